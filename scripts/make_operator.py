"""Rule make_operator: the averaging operator of an original and a new vocabulary."""

from pathlib import Path

from lep.initialise import make_operator
from lep.log import job

if __name__ == "__main__":
    with job(snakemake.log[0]):
        make_operator(
            old_tokenizer=Path(snakemake.input.base).parent,
            new_tokenizer=Path(snakemake.input.vocabulary).parent,
            target=Path(snakemake.output[0]).parent,
        )
