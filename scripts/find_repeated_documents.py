"""Rule find_repeated_documents: find near duplicates and repeated ids in one range of keys."""

from pathlib import Path

from lep.corpus.deduplication import repeated_documents, save_repeats
from lep.log import logged

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        repeats = repeated_documents(
            shards=[Path(path) for path in Path(snakemake.input.shards).read_text(encoding="utf-8").splitlines()],
            bucket=int(snakemake.wildcards.shard),
            refuse_same_id=snakemake.params.broken_records == "refuse",
            threshold=snakemake.params.threshold,
        )
        save_repeats(Path(snakemake.output[0]), repeats)
