"""Rule plot_figure3: sample answers before and after LEP and calibration."""

from lep.log import job
from lep.report.figure3 import plot_figure3
from lep.report.run_id import read_run

if __name__ == "__main__":
    with job(snakemake.log[0]):
        plot_figure3(
            families=snakemake.params.families,
            samples=snakemake.input.samples,
            outputs=dict(snakemake.output.items()),
            run=read_run(snakemake.input.run),
        )
