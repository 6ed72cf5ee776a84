"""Rule report_vocabularies: show the measures of the vocabularies as a table and a figure."""

from lep.log import logged
from lep.report.vocabularies import report_vocabularies

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        report_vocabularies(
            families=snakemake.params.families,
            metrics=snakemake.input.metrics,
            tokens=snakemake.input.tokens,
            published=snakemake.input.published,
            published_pieces=snakemake.input.published_pieces,
            outputs=dict(snakemake.output.items()),
            **snakemake.params.settings,
        )
