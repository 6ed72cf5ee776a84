"""Rule find_repeated_paragraphs: paragraphs of one range of keys that occur before, in documents that stay."""

from pathlib import Path

from lep.log import job
from lep.repeats import repeated_paragraphs, save_repeats

if __name__ == "__main__":
    with job(snakemake.log[0]):
        repeats = repeated_paragraphs(
            shards=[Path(path) for path in snakemake.input.shards],
            dropped=[Path(path) for path in snakemake.input.documents],
            bucket=int(snakemake.wildcards.shard),
        )
        save_repeats(Path(snakemake.output[0]), repeats)
