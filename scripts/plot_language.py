"""Rule plot_language: draw what models know of their languages."""

from lep.log import logged
from lep.report.figure_language import plot_language
from lep.report.run_id import read_run

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        plot_language(
            families=snakemake.params.families,
            measures=snakemake.input.measures,
            outputs={name: snakemake.output[name] for name in ("pdf", "png", "csv")},
            run=read_run(snakemake.input.run),
        )
