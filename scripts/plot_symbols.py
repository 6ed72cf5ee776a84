"""Rule plot_symbols: plot symbols per token against Micro-Avg."""

from lep.log import logged
from lep.report.figure_symbols import plot_symbols
from lep.report.run_id import read_run
from lep.report.tables import read_sources

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        files = {name: snakemake.input[name] for name in ("published", "scores", "metrics")}
        rows = {name: snakemake.params[name] for name in ("families", "comparators", "methods")}
        plot_symbols(
            sources=read_sources(**rows, **files, run=read_run(snakemake.input.run)),
            outputs=dict(snakemake.output.items()),
        )
