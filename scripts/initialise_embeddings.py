"""Rule initialise_embeddings: a base model with a new vocabulary, its rows averaged from the old ones."""

from pathlib import Path

from lep.initialise import initialise_embeddings
from lep.log import job

if __name__ == "__main__":
    with job(snakemake.log[0]):
        initialise_embeddings(
            base=Path(snakemake.input.base).parent,
            operator=Path(snakemake.input.operator).parent,
            vocabulary=Path(snakemake.input.vocabulary).parent,
            target=Path(snakemake.output[0]).parent,
            seed=snakemake.params.seed,
        )
