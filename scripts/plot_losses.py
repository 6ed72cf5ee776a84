"""Rule plot_losses: loss during embedding pre-training."""

from pathlib import Path

from lep.log import job
from lep.report.method_figures import plot_losses
from lep.report.run_id import read_run
from lep.report.tables import read_sources

if __name__ == "__main__":
    with job(snakemake.log[0]):
        files = {name: snakemake.input[name] for name in ("published", "scores", "metrics")}
        rows = {name: snakemake.params[name] for name in ("families", "comparators")}
        plot_losses(
            sources=read_sources(**rows, **files, run=read_run(snakemake.input.run)),
            runs={name: Path(path).parent for name, path in snakemake.params.runs.items()},
            outputs=dict(snakemake.output.items()),
        )
