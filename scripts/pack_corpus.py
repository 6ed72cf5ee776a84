"""Rule pack_corpus: pack documents into blocks of token ids for one vocabulary."""

from pathlib import Path

from lep.config import parse_job
from lep.log import logged
from lep.pretraining.packing import pack_corpus
from lep.pretraining.selection import PackingRecipe

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        pack_corpus(
            documents=Path(snakemake.input.documents),
            tokenizer=Path(snakemake.input.tokenizer).parent,
            target=Path(snakemake.output[0]).parent,
            recipe=parse_job(PackingRecipe, dict(snakemake.params.recipe), "pretraining.packing"),
            threads=snakemake.threads,
        )
