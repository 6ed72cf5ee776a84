"""Rule measure_vocabularies: measure every vocabulary on held-out text."""

from pathlib import Path

from lep.log import logged
from lep.vocabulary.measure import measure_vocabularies

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        folders = [Path(path).parent for path in snakemake.input.tokenizers]
        measure_vocabularies(
            tokenizers=dict(zip(snakemake.params.names, folders, strict=True)),
            heldout=Path(snakemake.input.heldout),
            training=Path(snakemake.input.training),
            metrics=Path(snakemake.output.metrics),
            tokens=Path(snakemake.output.tokens),
            models={name: Path(path).parent for name, path in snakemake.params.models.items()},
            **snakemake.params.settings,
        )
