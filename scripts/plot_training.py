"""Rule plot_training: plot bits per character during embedding pre-training, for all runs and for each run."""

from pathlib import Path

from lep.log import logged
from lep.report.figure_training import plot_training

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        plot_training(
            families=snakemake.params.families,
            runs={run: Path(manifest).parent for run, manifest in snakemake.params.runs.items()},
            outputs=snakemake.params.figures,
        )
