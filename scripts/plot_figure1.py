"""Rule plot_figure1: plot Micro-Avg of the models of Table 1."""

from lep.log import logged
from lep.report.figure_1_2 import plot_figure1
from lep.report.run_id import read_run
from lep.report.tables import read_sources

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        files = {name: snakemake.input[name] for name in ("published", "scores")}
        rows = {name: snakemake.params[name] for name in ("families", "comparators", "methods")}
        plot_figure1(
            sources=read_sources(**rows, **files, run=read_run(snakemake.input.run)),
            outputs=dict(snakemake.output.items()),
        )
