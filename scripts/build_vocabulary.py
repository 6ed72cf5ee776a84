"""Rule build_vocabulary: build one new vocabulary as a tokenizer folder."""

from pathlib import Path

from lep.log import logged
from lep.vocabulary.build import build_vocabulary

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        build_vocabulary(
            original=Path(snakemake.input.original).parent,
            model=Path(snakemake.input.model).parent,
            kind=snakemake.wildcards.vocabulary,
            target=Path(snakemake.output.manifest).parent,
            keep=snakemake.params.keep,
            **snakemake.params.union,
        )
