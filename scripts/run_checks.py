"""Rule run_checks: run the integrity checks of a finished run."""

from lep.log import logged
from lep.report.checks import run_checks
from lep.report.run_id import read_manifests, read_run

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        names = ("scores", "metrics", "published", "overlaps", "tables", "evaluations")
        run_checks(
            families=snakemake.params.families,
            models=snakemake.params.models,
            **{name: snakemake.input[name] for name in names},
            manifests=list(read_manifests(snakemake.input.run)),
            propagated=snakemake.params.propagated,
            donors=snakemake.params.donors,
            target=snakemake.output[0],
            run=read_run(snakemake.input.run),
        )
