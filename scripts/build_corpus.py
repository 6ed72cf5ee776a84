"""Clean, deduplicate and split the raw corpus."""

from pathlib import Path

from lep.corpus import CorpusRecipe, build_corpus
from lep.log import job

if __name__ == "__main__":
    with job(snakemake.log[0]):
        build_corpus(
            sources=snakemake.params.sources,
            target=Path(snakemake.output.manifest).parent,
            recipe=CorpusRecipe(**snakemake.params.recipe),
        )
