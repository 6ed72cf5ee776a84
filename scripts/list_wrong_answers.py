"""Rule list_wrong_answers: list wrong answers of the models of Figure 3, a few per task."""

from lep.evaluation.wrong_answers import list_wrong_answers
from lep.log import logged
from lep.report.run_id import read_run

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        list_wrong_answers(
            samples=snakemake.input.samples,
            models=snakemake.params.models,
            per_task=snakemake.params.per_task,
            outputs=dict(snakemake.output.items()),
            run=read_run(snakemake.input.run),
        )
