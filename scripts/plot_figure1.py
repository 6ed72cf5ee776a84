"""Rule plot_figure1: Micro-Avg of the models of Table 1."""

from lep.log import job
from lep.report.figures import plot_figure1

if __name__ == "__main__":
    with job(snakemake.log[0]):
        plot_figure1(
            families=snakemake.params.families,
            published=snakemake.input.published,
            outputs=dict(snakemake.output.items()),
            scores=snakemake.input.get("scores"),
        )
