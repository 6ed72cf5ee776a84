"""Rule make_benchmark: the miniature Darumeru tasks."""

from pathlib import Path

from lep.benchmark import make_benchmark
from lep.log import job

if __name__ == "__main__":
    with job(snakemake.log[0]):
        make_benchmark(
            train=Path(snakemake.input.train),
            benchmark=Path(snakemake.input.benchmark),
            output=Path(snakemake.output.manifest).parent,
            items=snakemake.params.test_items,
            seed=snakemake.params.seed,
            items_per_task=snakemake.params.items_per_task,
        )
