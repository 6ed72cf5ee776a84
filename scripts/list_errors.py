"""Rule list_errors: wrong answers of the models of Figure 3, a few of each task."""

from lep.errors import list_errors
from lep.log import job
from lep.report.run_id import read_run

if __name__ == "__main__":
    with job(snakemake.log[0]):
        list_errors(
            samples=snakemake.input.samples,
            models=snakemake.params.models,
            per_task=snakemake.params.per_task,
            outputs=dict(snakemake.output.items()),
            run=read_run(snakemake.input.run),
        )
