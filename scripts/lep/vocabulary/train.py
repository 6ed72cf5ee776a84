"""Training of the SentencePiece models that the new vocabularies are built from (paper section 2.1.1)."""

from collections.abc import Collection, Iterator
from pathlib import Path

from lep.corpus.documents import text_of
from lep.files import read_jsonl
from lep.manifest import publish, staging, with_manifest
from lep.vocabulary.spm import train_sentencepiece

RECIPE_VERSION = 2
PIECES = "spm.model"  # a trained SentencePiece model, in its folder


def train_vocabulary_model(
    corpus: Path, model_type: str, size: int, target: Path, *, characters: int, languages: list[str], threads: int
) -> None:
    """Train a SentencePiece model on about `characters` of the documents in `languages`, spread evenly.

    The folder `target` gets the model as `spm.model`.
    """
    documents = sample_documents(corpus, languages, characters)
    lines = (line for document in documents for line in text_of(document).split("\n"))
    folder = staging(target)
    train_sentencepiece(lines, model_type, size, folder / PIECES, threads)
    config = {"model_type": model_type, "size": size, "characters": characters, "languages": languages}
    publish(
        folder, target, recipe_version=RECIPE_VERSION, parents=with_manifest({"corpus": corpus.parent}), config=config
    )


def sample_documents(corpus: Path, languages: Collection[str], characters: int) -> Iterator[dict]:
    """Documents in `languages`, in the order of the file: at most `characters` of text, spread evenly over the file.

    Reads the file twice; memory does not grow with it.
    """

    def found() -> Iterator[tuple[dict, int]]:
        return ((d, len(text_of(d))) for d in read_jsonl(corpus) if d["language"] in languages)

    share = min(1, characters / max(1, sum(length for _, length in found())))
    seen = taken = 0
    for document, length in found():
        seen += length
        if taken + length <= seen * share:
            taken += length
            yield document
