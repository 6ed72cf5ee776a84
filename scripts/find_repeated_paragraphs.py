"""Rule find_repeated_paragraphs: find repeated paragraphs in one range of keys, in documents that are not dropped."""

from pathlib import Path

from lep.corpus.deduplication import repeated_paragraphs, save_repeats
from lep.log import logged

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        repeats = repeated_paragraphs(
            shards=[Path(path) for path in Path(snakemake.input.shards).read_text(encoding="utf-8").splitlines()],
            dropped=Path(snakemake.input.documents),
            bucket=int(snakemake.wildcards.shard),
        )
        save_repeats(Path(snakemake.output[0]), repeats)
