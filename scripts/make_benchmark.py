"""Entry script of the rule `make_benchmark`."""

from pathlib import Path

from lep.benchmark import make_benchmark
from lep.log import job


def main(corpus: str, manifest: str, test_items: int, seed: int) -> None:
    """Make the miniature benchmark beside its `manifest` from the splits beside the corpus manifest."""
    splits = Path(corpus).parent
    make_benchmark(splits / "train.jsonl", splits / "benchmark.jsonl", Path(manifest).parent, test_items, seed)


if __name__ == "__main__":
    with job(snakemake.log[0]):
        main(snakemake.input.corpus, snakemake.output.manifest, snakemake.params.test_items, snakemake.params.seed)
