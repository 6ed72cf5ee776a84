"""Rule gather_metrics: gather facts about vocabularies, runs, fits and calibrations in one table."""

from pathlib import Path

from lep.log import logged
from lep.report.gather import gather_metrics

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        gather_metrics(
            artefacts={
                kind: {name: Path(path).parent for name, path in models.items()}
                for kind, models in snakemake.params.artefacts.items()
            },
            vocabularies=snakemake.input.vocabularies,
            target=snakemake.output.metrics,
        )
