"""Rule import_sentencepiece: take a ready SentencePiece model."""

from pathlib import Path

from lep.log import logged
from lep.vocabulary.train import import_vocabulary_model

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        import_vocabulary_model(
            model=Path(snakemake.input.model),
            model_type=snakemake.wildcards.model_type,
            size=int(snakemake.wildcards.size),
            target=Path(snakemake.output.manifest).parent,
        )
