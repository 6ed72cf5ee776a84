"""SentencePiece models that new vocabularies are built from (paper section 2.1.1): trained here, or brought along."""

import shutil
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from lep.config import UserError
from lep.corpus.documents import text_of
from lep.files import read_jsonl, sha256_file
from lep.manifest import publish, staging, with_manifest
from lep.vocabulary.pieces import model_faults
from lep.vocabulary.spm import train_sentencepiece

RECIPE_VERSION = 3
PIECES = "spm.model"  # a SentencePiece model, in its folder


def train_vocabulary_model(
    corpus: Path,
    model_type: str,
    size: int,
    target: Path,
    *,
    characters: int,
    languages: list[str],
    weights: Mapping[str, float] | None,
    threads: int,
) -> None:
    """Train a SentencePiece model on a sample of the corpus (`sample_documents`).

    The folder `target` gets the model as `spm.model`.
    """
    used: Counter = Counter()

    def lines() -> Iterator[str]:
        for document in sample_documents(corpus, languages, characters, weights):
            text = text_of(document)
            used[f"characters_{document['language']}"] += len(text)
            yield from text.split("\n")

    folder = staging(target)
    train_sentencepiece(lines(), model_type, size, folder / PIECES, threads)
    config = {"model_type": model_type, "size": size, "characters": characters}
    config |= {"languages": languages, "weights": weights}
    parents = with_manifest({"corpus": corpus.parent})
    publish(folder, target, recipe_version=RECIPE_VERSION, parents=parents, config=config, facts=dict(used))


def import_vocabulary_model(model: Path, model_type: str, size: int, target: Path) -> None:
    """Publish a ready SentencePiece model as if it had been trained here; its hash is in the manifest."""
    if faults := model_faults(model, model_type, size):
        raise UserError(f"vocabulary.models: {'; '.join(faults)}")
    folder = staging(target)
    shutil.copyfile(model, folder / PIECES)
    config = {"model_type": model_type, "size": size, "given": model.name, "sha256": sha256_file(model)}
    publish(folder, target, recipe_version=RECIPE_VERSION, config=config)


def sample_documents(
    corpus: Path, languages: Collection[str], characters: int, weights: Mapping[str, float] | None = None
) -> Iterator[dict]:
    """Documents in `languages`, in the order of the file: at most `characters` of text, spread evenly over the file.

    `weights`: the share of characters of each language; without them the languages keep the shares that they have in
    the corpus. A language with too little text for its share makes the whole sample smaller. Raises `UserError` if one
    with a weight has no text. Reads the file twice; memory does not grow with it.
    """

    def found() -> Iterator[tuple[dict, int]]:
        return ((d, len(text_of(d))) for d in read_jsonl(corpus) if d["language"] in languages)

    sizes: Counter = Counter()
    for document, length in found():
        sizes[document["language"]] += length
    shares = _shares(sizes, characters, weights, corpus)
    # Languages are counted apart: one after the other in the file, they would take each other's room.
    seen, taken = Counter(), Counter()
    for document, length in found():
        language = document["language"]
        seen[language] += length
        if taken[language] + length <= seen[language] * shares[language]:
            taken[language] += length
            yield document


def _shares(sizes: Counter, characters: int, weights: Mapping[str, float] | None, corpus: Path) -> dict[str, float]:
    """Share of each language's text that is used."""
    if not weights:
        return dict.fromkeys(sizes, min(1, characters / max(1, sizes.total())))
    wanted = {language: weight / sum(weights.values()) for language, weight in weights.items() if weight}
    if missing := [language for language in wanted if not sizes[language]]:
        raise UserError(
            f"{corpus} has no text in {', '.join(missing)}; add some, or set the weight to 0 in "
            "vocabulary.language_weights"
        )
    total = min(characters, *(sizes[language] / part for language, part in wanted.items()))
    return dict.fromkeys(sizes, 0.0) | {code: total * part / sizes[code] for code, part in wanted.items()}
