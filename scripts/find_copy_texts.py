"""Rule find_copy_texts: one part of the training text, searched for texts of the copy task."""

from pathlib import Path

from lep.calibration.copies import CopyRecipe, find_texts
from lep.config import parse_job
from lep.log import logged

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        find_texts(
            documents=Path(snakemake.input.documents),
            part=int(snakemake.wildcards.part),
            parts=snakemake.params.parts,
            target=Path(snakemake.output[0]),
            recipe=parse_job(CopyRecipe, dict(snakemake.params.recipe), "calibration"),
        )
