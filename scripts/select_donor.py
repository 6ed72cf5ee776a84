"""Rule select_donor: publish the best checkpoint of a pre-training run as the donor of the propagation."""

from pathlib import Path

from lep.log import logged
from lep.pretraining.donor import select_donor

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        select_donor(
            scores=Path(snakemake.input.scores[0]) if snakemake.input.scores else None,
            models=Path(snakemake.input.models[0]).parent.parent,
            target=Path(snakemake.output[0]).parent,
        )
