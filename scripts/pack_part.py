"""Rule pack_part: pack one part of the training text into blocks of token ids for one vocabulary."""

from pathlib import Path

from lep.config import parse_job
from lep.log import logged
from lep.pretraining.packing import pack_part
from lep.pretraining.selection import PackingRecipe

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        pack_part(
            documents=Path(snakemake.input.documents),
            counts=[Path(path) for path in snakemake.input.counts],
            tokenizer=Path(snakemake.input.tokenizer).parent,
            part=int(snakemake.wildcards.part),
            target=Path(snakemake.output[0]),
            recipe=parse_job(PackingRecipe, dict(snakemake.params.recipe), "pretraining"),
            threads=snakemake.threads,
        )
