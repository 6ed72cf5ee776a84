"""Rule build_corpus: assemble the corpus and its data card from the filtered shards."""

from pathlib import Path

from lep.corpus.assembly import assemble_corpus
from lep.corpus.documents import SplitRecipe
from lep.log import logged

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        assemble_corpus(
            shards=[Path(path) for path in snakemake.input.shards],
            origins=snakemake.params.origins,
            target=Path(snakemake.output.manifest).parent,
            recipe=SplitRecipe(**snakemake.params.recipe),
            cleaning=snakemake.params.cleaning,
            maximum_broken_share=snakemake.params.maximum_broken_share,
        )
