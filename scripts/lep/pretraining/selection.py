"""Which documents of a corpus are trained on, and how often: shares of languages, weights of domains, a reserve."""

import dataclasses
import hashlib
import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy
from pydantic.dataclasses import dataclass

from lep.config import STRICT, UserError
from lep.files import fraction

_PLACES = 2**16  # steps of the limit that decides which documents are used


@dataclass(frozen=True, config=STRICT)
class PackingRecipe:
    """What decides the blocks.

    `block_size` in tokens. `language_weights` are the wanted shares of characters by language; as many
    documents are used as the scarcest language allows. Empty: every document. `domain_weights` say how often the
    documents of a domain are read (2: twice, 0.5: half of them; others once). A share of `reserve` of the
    groups of documents is left out, for the copy task of the calibration. A file holds about `shard_tokens`.
    """

    block_size: int
    language_weights: dict[str, float] | None = None
    domain_weights: dict[str, float] | None = None
    reserve: float = 0.05
    seed: int = 42
    shard_tokens: int = 2**28


def is_reserved(group: str, share: float, seed: int) -> bool:
    """True for the groups of documents that pre-training never sees: a hash of seed and group decides."""
    return fraction(f"{seed}/reserve/{group}") < share


@dataclasses.dataclass
class Selection:
    """Which documents are packed, and how often; the choice of one does not depend on the others but by the limits.

    A document's place is a hash of seed, id and language in [0, 1). It is used where its place lies below the limit of
    its language, and repeated as its domain's weight says.
    """

    recipe: PackingRecipe
    limits: dict[str, float] = dataclasses.field(default_factory=dict)
    counts: Counter = dataclasses.field(default_factory=Counter)

    def copies(self, document: dict) -> int:
        """How often a document is in the whole text: its domain's weight, the broken part by a hash."""
        weight = (self.recipe.domain_weights or {}).get(document.get("domain", ""), 1.0)
        return math.floor(weight) + (self.place(document, "copies") < weight % 1)

    def wanted(self, document: dict) -> bool:
        """Whether the document is used at all."""
        return self.place(document) < self.limits.get(document["language"], 1.0 if not self.limits else 0.0)

    def place(self, document: dict, kind: str = "") -> float:
        key = f"{self.recipe.seed}/{document['id']}/{document['language']}{kind}".encode()
        return int.from_bytes(hashlib.blake2b(key, digest_size=8).digest()) / 2**64


def select_documents(path: Path, recipe: PackingRecipe) -> Selection:
    """Read all documents once and set the limits that give each language its share of characters.

    As many documents are used as the scarcest language allows. The shares are exact up to one part in 65,536 of the
    places, or to one document.
    """
    selection = Selection(recipe)
    characters: dict[str, numpy.ndarray] = defaultdict(lambda: numpy.zeros(_PLACES, numpy.int64))
    for document, _ in _read_from(path, 0):
        size = sum(len(paragraph["text"]) for paragraph in document["paragraphs"])
        if is_reserved(document["group"], recipe.reserve, recipe.seed):
            selection.counts.update(reserved_documents=1, reserved_characters=size)
        else:
            place = int(selection.place(document) * _PLACES)
            characters[document["language"]][place] += size * selection.copies(document)
    if recipe.language_weights:
        totals = {language: int(found.sum()) for language, found in characters.items()}
        for language, budget in _budgets(totals, recipe.language_weights, path).items():
            below = int(numpy.searchsorted(numpy.cumsum(characters[language]), budget)) + 1
            selection.limits[language] = below / _PLACES
            characters[language][:below] = 0
        selection.counts["unused_characters"] = int(sum(found.sum() for found in characters.values()))
    return selection


def selected(path: Path, selection: Selection, start: tuple[int, int]) -> Iterator[tuple[dict, tuple[int, int]]]:
    """The documents to pack from a position on, (pass, byte offset), each with the position behind it.

    One pass over the file uses a document once, so that its copies lie far apart.
    """
    recipe = selection.recipe
    passes = math.ceil(max([1.0, *(recipe.domain_weights or {}).values()]))
    for number in range(start[0], passes):
        for document, end in _read_from(path, start[1] if number == start[0] else 0):
            if is_reserved(document["group"], recipe.reserve, recipe.seed) or not selection.wanted(document):
                continue
            if selection.copies(document) > number:
                yield document, (number, end)


def _budgets(present: dict[str, int], weights: dict[str, float], path: Path) -> dict[str, float]:
    wanted = {language: weight for language, weight in weights.items() if weight > 0}
    for language in wanted:
        if not present.get(language):
            raise UserError(
                f"{path} has no text in {language!r} but pretraining.language_weights asks for it; "
                f"use languages out of {sorted(present)}"
            )
    if not wanted:
        raise UserError("pretraining.language_weights has no positive weight; give at least one language a share")
    total = min(present[language] / weight for language, weight in wanted.items())
    return {language: weight * total for language, weight in wanted.items()}


def _read_from(path: Path, offset: int) -> Iterator[tuple[dict, int]]:
    """Documents of a JSONL file from a byte offset on, each with the offset behind it."""
    with open(path, "rb") as file:
        file.seek(offset)
        for line in file:
            offset += len(line)
            yield json.loads(line), offset
