"""Rule build_report: build the report as a PDF."""

from pathlib import Path

from lep.log import logged
from lep.report.document import build_report
from lep.report.run_id import read_manifests, read_run
from lep.report.tables import read_sources

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        files = {name: snakemake.input[name] for name in ("published", "scores", "metrics")}
        rows = {name: snakemake.params[name] for name in ("families", "comparators", "methods")}
        others = {name: paths for name, paths in snakemake.input.items() if name not in {*files, "source", "run"}}
        build_report(
            sources=read_sources(**rows, **files, run=read_run(snakemake.input.run)),
            settings=snakemake.params.settings,
            source=Path(snakemake.input.source[0]).parent,
            manifests=read_manifests(snakemake.input.run),
            **others,
            target=snakemake.output[0],
        )
