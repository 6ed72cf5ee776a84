"""Rule make_search_table: what each learning rate of the search reached."""

from pathlib import Path

from lep.log import job
from lep.report.training import write_search

if __name__ == "__main__":
    with job(snakemake.log[0]):
        write_search(
            runs={
                run: {rate: Path(manifest).parent for rate, manifest in rates.items()}
                for run, rates in snakemake.params.runs.items()
            },
            outputs=dict(snakemake.output.items()),
        )
