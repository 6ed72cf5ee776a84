"""Rule write_model_cards: write a README.md into the folder of each adapted model."""

from pathlib import Path

from lep.log import logged
from lep.names import parse_pairs
from lep.report.cards import parse_origins, write_cards
from lep.report.scores import read_scores

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        write_cards(
            models={name: Path(card).parent for name, card in snakemake.params.cards.items()},
            families=parse_pairs(snakemake.params.families),
            origins=parse_origins(snakemake.params.origins),
            scores=read_scores(snakemake.input.scores[0]) if snakemake.input.scores else None,
            languages=snakemake.params.languages,
        )
