"""Rules initialise_embeddings and initialise_direct: a model with a new vocabulary, its rows averaged from old ones."""

from pathlib import Path

from lep.log import logged
from lep.propagation.initialise import initialise_embeddings

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        initialise_embeddings(
            base=Path(snakemake.input.base).parent,
            operator=Path(snakemake.input.operator).parent,
            vocabulary=Path(snakemake.input.vocabulary).parent,
            target=Path(snakemake.output[0]).parent,
            seed=snakemake.params.seed,
            instruct=Path(manifest).parent if (manifest := snakemake.input.get("instruct")) else None,
        )
