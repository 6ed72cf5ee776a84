"""Rule make_instructions: make a miniature instruction data set from the training documents."""

from pathlib import Path

from lep.config import parse_job
from lep.log import logged
from lep.stand_ins.instructions import InstructionRecipe, make_instructions

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        make_instructions(
            documents=Path(snakemake.input.documents),
            target=Path(snakemake.output[0]).parent,
            recipe=parse_job(InstructionRecipe, dict(snakemake.params.recipe), "calibration"),
        )
