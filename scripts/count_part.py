"""Rule count_part: what one part of the training text has, for the choice of documents."""

from pathlib import Path

from lep.config import parse_job
from lep.files import write_json
from lep.log import logged
from lep.pretraining.selection import PackingRecipe, count_part

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        recipe = parse_job(PackingRecipe, dict(snakemake.params.recipe), "pretraining")
        part, documents = int(snakemake.wildcards.part), Path(snakemake.input.documents)
        write_json(snakemake.output[0], count_part(documents, part, snakemake.params.parts, recipe))
