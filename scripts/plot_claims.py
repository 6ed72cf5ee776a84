"""Rule plot_claims: draw the differences behind the claims, one figure for each kind."""

from lep.log import logged
from lep.report.figure_claims import plot_claims
from lep.report.run_id import read_run

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        plot_claims(
            claims=snakemake.input.claims,
            outputs=snakemake.params.figures,
            run=read_run(snakemake.input.run),
        )
