"""Rule prepare_shard: read and clean one part of the sources' bytes."""

from pathlib import Path

from lep.corpus.readers import Source
from lep.corpus.shards import CleaningRecipe, prepare_shard
from lep.log import logged

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        prepare_shard(
            sources=[Source(**source) for source in snakemake.params.sources],
            shard=int(snakemake.wildcards.shard),
            shards=snakemake.params.shards,
            target=Path(snakemake.output[0]),
            recipe=CleaningRecipe(**snakemake.params.recipe),
        )
