"""Rule train_sentencepiece: train one SentencePiece model on the training split."""

from pathlib import Path

from lep.log import logged
from lep.vocabulary.train import train_vocabulary_model

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        train_vocabulary_model(
            corpus=Path(snakemake.input.documents),
            model_type=snakemake.wildcards.model_type,
            size=int(snakemake.wildcards.size),
            target=Path(snakemake.output.manifest).parent,
            **snakemake.params.settings,
        )
