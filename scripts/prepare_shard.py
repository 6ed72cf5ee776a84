"""Rule prepare_shard: one part of the sources' bytes, read and cleaned."""

from pathlib import Path

from lep.log import job
from lep.readers import Source
from lep.shards import CleaningRecipe, prepare_shard

if __name__ == "__main__":
    with job(snakemake.log[0]):
        prepare_shard(
            sources=[Source(**source) for source in snakemake.params.sources],
            shard=int(snakemake.wildcards.shard),
            shards=snakemake.params.shards,
            target=Path(snakemake.output[0]),
            recipe=CleaningRecipe(**snakemake.params.recipe),
        )
