"""Rule compute_claims: compute the verdicts on the paper's claims from this run."""

from lep.log import logged
from lep.report.claims import write_claims
from lep.report.run_id import read_run

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        files = {name: snakemake.input[name] for name in ("scores", "metrics", "published", "samples")}
        write_claims(
            families=snakemake.params.families,
            methods=snakemake.params.methods,
            **files,
            target=snakemake.output[0],
            draws=snakemake.params.draws,
            seed=snakemake.params.seed,
            run=read_run(snakemake.input.run),
        )
