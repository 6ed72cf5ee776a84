"""Rule filter_shard: one cleaned shard without repeats, dealt out into the splits."""

from pathlib import Path

from lep.corpus import SplitRecipe
from lep.log import job
from lep.shards import filter_shard

if __name__ == "__main__":
    with job(snakemake.log[0]):
        filter_shard(
            prepared=Path(snakemake.input.shard),
            shard=int(snakemake.wildcards.shard),
            target=Path(snakemake.output[0]),
            recipe=SplitRecipe(**snakemake.params.recipe),
            documents=[Path(path) for path in snakemake.input.documents],
            paragraphs=[Path(path) for path in snakemake.input.paragraphs],
        )
