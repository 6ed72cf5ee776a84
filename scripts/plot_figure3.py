"""Rule plot_figure3: show sample answers before and after LEP and calibration."""

from lep.log import logged
from lep.report.figure_3 import plot_figure3
from lep.report.run_id import read_run

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        plot_figure3(
            families=snakemake.params.families,
            samples=snakemake.input.samples,
            outputs=dict(snakemake.output.items()),
            run=read_run(snakemake.input.run),
        )
