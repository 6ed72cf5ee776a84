"""Rule filter_shard: write one cleaned shard to the splits, without repeated documents and paragraphs."""

from pathlib import Path

from lep.corpus.documents import SplitRecipe
from lep.corpus.shards import filter_shard
from lep.log import logged

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        filter_shard(
            prepared=Path(snakemake.input.shard),
            shard=int(snakemake.wildcards.shard),
            target=Path(snakemake.output[0]),
            recipe=SplitRecipe(**snakemake.params.recipe),
            documents=Path(snakemake.input.documents),
            paragraphs=Path(snakemake.input.paragraphs),
        )
