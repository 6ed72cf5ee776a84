"""Rule gather_scores: gather the scores of all evaluations in one table."""

from lep.log import logged
from lep.report.gather import gather_scores

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        gather_scores(
            scores=snakemake.input.scores,
            samples=snakemake.input.samples,
            target=snakemake.output.scores,
            draws=snakemake.params.draws,
            seed=snakemake.params.seed,
        )
