"""Rule adopt_vocabulary: publish the tokenizer of a published donor as a new vocabulary."""

from pathlib import Path

from lep.log import logged
from lep.pretraining.adopt import adopt_vocabulary

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        adopt_vocabulary(
            donor=Path(snakemake.input.donor).parent,
            kind=snakemake.wildcards.vocabulary,
            target=Path(snakemake.output.manifest).parent,
        )
