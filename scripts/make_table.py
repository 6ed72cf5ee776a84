"""Rule make_table: one of Tables 1 to 4 as CSV, Markdown, LaTeX and Typst."""

from lep.log import job
from lep.report.tables import write_table

if __name__ == "__main__":
    with job(snakemake.log[0]):
        write_table(
            number=int(snakemake.wildcards.number),
            families=snakemake.params.families,
            published=snakemake.input.published,
            outputs=dict(snakemake.output.items()),
            scores=snakemake.input.get("scores"),
            metrics=snakemake.input.get("metrics"),
        )
