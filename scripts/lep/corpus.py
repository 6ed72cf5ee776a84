"""From source files to a clean corpus: normalise, filter, drop repeats, split without overlap (paper section 2.4.1)."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

from pydantic.dataclasses import dataclass

from lep.config import STRICT, UserError
from lep.manifest import MANIFEST, publish, sha256_file, staging, verify
from lep.normalise import letter_share, normalise
from lep.readers import READERS

RECIPE_VERSION = 1
SPLITS = ("train", "validation", "benchmark")


@dataclass(frozen=True, config=STRICT)
class CorpusRecipe:
    """What decides the corpus.

    `minimum_characters` and `minimum_letter_share` (share of the letters in the script of the
    document's language) drop paragraphs; the fractions are of groups of documents.
    """

    minimum_characters: int = 10
    minimum_letter_share: float = 0.6
    validation_fraction: float = 0.02
    benchmark_fraction: float = 0.08
    seed: int = 42


def build_corpus(sources: list[dict], target: Path, recipe: CorpusRecipe) -> None:
    """Clean and split `sources` into `target/{train,validation,benchmark}.jsonl`.

    A source is `{"name", "reader", "path", "sha256"}`; its hash is checked before it is read. A source with a
    `split` goes there as a whole, the groups of documents of the others are drawn.
    """
    for source in sources:
        check_source(source)
    counts: Counter = Counter()
    folder = staging(target)
    with ExitStack() as stack:
        files = {split: stack.enter_context(open(folder / f"{split}.jsonl", "w", encoding="utf-8")) for split in SPLITS}
        for document in clean(_read(sources), recipe, counts):
            split = document.pop("split") or split_of(document["group"], recipe)
            characters = sum(len(paragraph["text"]) for paragraph in document["paragraphs"])
            counts[f"{split}/{document['language']}/documents"] += 1
            counts[f"{split}/{document['language']}/characters"] += characters
            counts[f"domain/{document['domain']}/{document['language']}/characters"] += characters
            files[split].write(json.dumps(document, ensure_ascii=False) + "\n")
    for split in SPLITS:
        if not (folder / f"{split}.jsonl").stat().st_size:
            raise UserError(
                f"the corpus leaves no document for the {split} split; add text to corpus.sources "
                f"or raise corpus.{split}_fraction"
            )
    publish(
        folder,
        target,
        recipe_version=RECIPE_VERSION,
        seed=recipe.seed,
        config={
            "recipe": vars_of(recipe),
            "sources": [{k: v for k, v in s.items() if k != "path" and v is not None} for s in sources],
        },
        facts=dict(sorted(counts.items())),
    )


def check_source(source: dict) -> None:
    """Refuse a missing file, a reader that does not exist, and a file of another content than recorded."""
    path = Path(source["path"])
    if source["reader"] not in READERS:
        raise UserError(f"corpus source {source['name']}: no reader {source['reader']!r}; use one of {sorted(READERS)}")
    if not path.exists():
        raise UserError(f"corpus source {source['name']}: {path} does not exist")
    if path.is_dir() and (path / MANIFEST).is_file():  # fetched from the hub
        verify(path)
    elif source["sha256"] != "unpinned" and (found := sha256_file(path)) != source["sha256"]:
        raise UserError(
            f"corpus source {source['name']}: {path} has sha256 {found}, expected {source['sha256']}; "
            "delete the file and fetch it again, or correct the recorded hash"
        )


def clean(documents: Iterable[dict], recipe: CorpusRecipe, counts: Counter) -> Iterator[dict]:
    """Documents with normalised paragraphs, without short, foreign and repeated ones; `counts` says what was dropped.

    A paragraph that occurs anywhere before in the same language (case and white space apart) is a repeat.
    """
    seen: set[bytes] = set()
    for document in documents:
        kept = []
        for paragraph in document["paragraphs"]:
            text = normalise(paragraph["text"])
            reason = _reason_to_drop(text, document["language"], recipe, seen)
            counts[f"paragraphs/{reason}"] += 1
            if reason == "kept":
                kept.append({"id": paragraph["id"], "text": text})
        if kept:
            yield {**document, "title": normalise(document["title"]), "paragraphs": kept}


def split_of(group: str, recipe: CorpusRecipe) -> str:
    """The split of a group of documents: a hash of seed and group, so that adding text moves nothing."""
    digest = hashlib.sha256(f"{recipe.seed}/{group}".encode()).digest()
    position = int.from_bytes(digest[:8]) / 2**64
    if position < recipe.validation_fraction:
        return "validation"
    return "benchmark" if position < recipe.validation_fraction + recipe.benchmark_fraction else "train"


def read_jsonl(path: str | Path) -> Iterator[dict]:
    """Documents of a finished corpus file."""
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def text_of(document: dict) -> str:
    """A document as plain text: its title and its paragraphs, one a line."""
    lines = [document["title"]] if document["title"] else []
    return "\n".join(lines + [paragraph["text"] for paragraph in document["paragraphs"]])


def vars_of(recipe: object) -> dict:
    """The fields of a dataclass as a plain mapping."""
    return dict(vars(recipe))


def _read(sources: list[dict]) -> Iterator[dict]:
    for source in sources:
        for document in READERS[source["reader"]](Path(source["path"])):
            yield {**document, "split": source.get("split")}


def _reason_to_drop(text: str, language: str, recipe: CorpusRecipe, seen: set[bytes]) -> str:
    if len(text) < recipe.minimum_characters:
        return "short"
    if letter_share(text, language) < recipe.minimum_letter_share:
        return "foreign"
    key = hashlib.blake2b(f"{language}/{' '.join(text.casefold().split())}".encode(), digest_size=16).digest()
    if key in seen:
        return "repeated"
    seen.add(key)
    return "kept"
