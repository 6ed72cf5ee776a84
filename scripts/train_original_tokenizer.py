"""Rule train_original_tokenizer: train the English-dominant tokenizer of a stand-in family."""

from pathlib import Path

from lep.log import logged
from lep.stand_ins.tokenizer import train_original_tokenizer

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        train_original_tokenizer(
            corpus=Path(snakemake.input.documents),
            family=snakemake.wildcards.family,
            size=snakemake.params.size,
            russian=snakemake.params.russian,
            characters=snakemake.params.characters,
            target=Path(snakemake.output.manifest).parent,
        )
