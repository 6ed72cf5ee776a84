"""Rule make_operator: the averaging operator of an original and a new vocabulary."""

from pathlib import Path

from lep.log import logged
from lep.propagation.operator import make_operator

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        make_operator(
            old_tokenizer=Path(snakemake.input.base).parent,
            new_tokenizer=Path(snakemake.input.vocabulary).parent,
            target=Path(snakemake.output[0]).parent,
        )
