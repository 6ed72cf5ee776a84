"""Rule make_table: make one of Tables 1 to 4 as CSV, Markdown, LaTeX and Typst."""

from lep.log import logged
from lep.report.run_id import read_run
from lep.report.tables import read_sources, write_table

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        files = {name: snakemake.input[name] for name in ("published", "scores", "metrics")}
        rows = {name: snakemake.params[name] for name in ("families", "comparators", "methods")}
        write_table(
            number=int(snakemake.wildcards.number),
            sources=read_sources(**rows, **files, run=read_run(snakemake.input.run)),
            outputs=dict(snakemake.output.items()),
        )
