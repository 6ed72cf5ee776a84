"""Rule join_repeats: join the repeats that the jobs of one step found into one file, ordered by shard."""

from pathlib import Path

from lep.corpus.deduplication import join_repeats
from lep.log import logged

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        join_repeats(files=[Path(path) for path in snakemake.input], target=Path(snakemake.output[0]))
