"""Rule adopt_vocabulary: the tokenizer of a published donor as an adapted vocabulary."""

from pathlib import Path

from lep.adopt import adopt_vocabulary
from lep.log import job

if __name__ == "__main__":
    with job(snakemake.log[0]):
        adopt_vocabulary(
            donor=Path(snakemake.input.donor).parent,
            kind=snakemake.wildcards.vocabulary,
            target=Path(snakemake.output.manifest).parent,
        )
