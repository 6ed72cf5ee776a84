"""Rule build_report: the PDF."""

from pathlib import Path

from lep.log import job
from lep.report.document import build_report

if __name__ == "__main__":
    with job(snakemake.log[0]):
        names = ("tables", "figures", "scores", "metrics", "published", "claims", "checks", "manifests", "requirements")
        names += ("errors", "search")
        build_report(
            families=snakemake.params.families,
            settings=snakemake.params.settings,
            source=Path(snakemake.input.source[0]).parent,
            **{name: snakemake.input[name] for name in names},
            target=snakemake.output[0],
        )
