"""Rule make_benchmark: make the miniature Darumeru tasks."""

from pathlib import Path

from lep.log import logged
from lep.stand_ins.benchmark.miniature import make_benchmark

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        make_benchmark(
            train=Path(snakemake.input.train),
            benchmark=Path(snakemake.input.benchmark),
            output=Path(snakemake.output.manifest).parent,
            items=snakemake.params.test_items,
            seed=snakemake.params.seed,
            items_per_task=snakemake.params.items_per_task,
        )
