"""Rule find_overlap: what one part of the training text shares with the held-out text."""

from pathlib import Path

from lep.corpus.overlap import find_overlap
from lep.log import logged

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        find_overlap(
            training=Path(snakemake.input.training),
            part=int(snakemake.wildcards.part),
            parts=snakemake.params.parts,
            heldout=[Path(path) for path in snakemake.input.heldout],
            target=Path(snakemake.output[0]),
        )
