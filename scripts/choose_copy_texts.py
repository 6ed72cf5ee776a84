"""Rule choose_copy_texts: the texts of the copy task that occur nowhere else."""

from pathlib import Path

from lep.calibration.copies import CopyRecipe, choose_texts
from lep.config import parse_job
from lep.log import logged

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        choose_texts(
            parts=[Path(part) for part in snakemake.input.parts],
            held_out=[Path(snakemake.input.benchmark).parent],
            corpus=Path(snakemake.input.corpus).parent,
            target=Path(snakemake.output[0]).parent,
            recipe=parse_job(CopyRecipe, dict(snakemake.params.recipe), "calibration"),
        )
