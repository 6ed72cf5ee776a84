"""Rule make_sweep_table: make the table of the learning-rate sweep."""

from pathlib import Path

from lep.log import logged
from lep.report.sweep_table import write_sweep_table

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        write_sweep_table(
            runs={
                run: {rate: Path(manifest).parent for rate, manifest in rates.items()}
                for run, rates in snakemake.params.runs.items()
            },
            outputs=dict(snakemake.output.items()),
        )
