"""Rule plot_methods: draw the differences of the methods of propagation."""

from lep.log import logged
from lep.report.figure_methods import plot_methods
from lep.report.run_id import read_run

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        plot_methods(
            families=snakemake.params.families,
            compared=snakemake.input.compared,
            outputs={name: snakemake.output[name] for name in ("pdf", "png", "csv")},
            run=read_run(snakemake.input.run),
        )
