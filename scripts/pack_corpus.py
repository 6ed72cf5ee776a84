"""Rule pack_corpus: the blocks of all parts of the training text for one vocabulary."""

from pathlib import Path

from lep.config import parse_job
from lep.log import logged
from lep.pretraining.packing import join_parts
from lep.pretraining.selection import PackingRecipe

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        join_parts(
            parts=[Path(path) for path in snakemake.input.parts],
            counts=[Path(path) for path in snakemake.input.counts],
            tokenizer=Path(snakemake.input.tokenizer).parent,
            corpus=Path(snakemake.input.corpus).parent,
            target=Path(snakemake.output[0]).parent,
            recipe=parse_job(PackingRecipe, dict(snakemake.params.recipe), "pretraining"),
        )
