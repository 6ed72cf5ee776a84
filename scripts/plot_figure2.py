"""Rule plot_figure2: Micro-Avg during embedding pre-training."""

from lep.log import job
from lep.report.figures import plot_figure2

if __name__ == "__main__":
    with job(snakemake.log[0]):
        plot_figure2(
            families=snakemake.params.families,
            scores=snakemake.input.scores,
            outputs=dict(snakemake.output.items()),
        )
