"""Rule make_calibration_data: make the conversations of one calibration."""

from pathlib import Path

from lep.calibration.data import CalibrationRecipe, make_calibration_data
from lep.config import parse_job
from lep.log import logged

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        folders = {name: snakemake.input.get(name) for name in ("instructions", "answers", "copies")}
        make_calibration_data(
            **{name: Path(path).parent if path else None for name, path in folders.items()},
            target=Path(snakemake.output[0]).parent,
            recipe=parse_job(CalibrationRecipe, dict(snakemake.params.recipe), "calibration"),
        )
