"""Rule make_operator: make the averaging operator of an original and a new vocabulary."""

from pathlib import Path

from lep.log import logged
from lep.propagation.averaging import make_operator

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        make_operator(
            old_tokenizer=Path(snakemake.input.base).parent,
            new_tokenizer=Path(snakemake.input.vocabulary).parent,
            target=Path(snakemake.output[0]).parent,
        )
