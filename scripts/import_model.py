"""Rule import_model: import a source model into the model store."""

from pathlib import Path

from lep.log import logged
from lep.models.store import import_model

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        import_model(
            source=Path(snakemake.input.source).parent,
            target=Path(snakemake.output[0]).parent,
            dtype=snakemake.params.dtype,
        )
