"""Rule plot_data_card: plot the data card of the corpus."""

from pathlib import Path

from lep.log import logged
from lep.report.figure_data_card import plot_data_card

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        plot_data_card(
            card=Path(snakemake.input.card),
            languages=snakemake.params.languages,
            outputs={name: Path(path) for name, path in snakemake.output.items()},
        )
