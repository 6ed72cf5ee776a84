"""Choose the documents to train on, and how often: shares of languages, weights of domains, a reserve."""

import dataclasses
import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy
from pydantic.dataclasses import dataclass

from lep.config import STRICT, UserError
from lep.corpus.parts import read_part
from lep.files import fraction

_PLACES = 2**16  # resolution of the limits


@dataclass(frozen=True, config=STRICT)
class PackingRecipe:
    """What determines the blocks, besides documents and tokenizer."""

    block_size: int  # tokens of a block
    language_weights: dict[str, float] | None = None  # shares of characters by language; None, {} = all documents
    domain_weights: dict[str, float] | None = None  # how often: 2 = twice, 0.5 = half of them; 1 if not listed
    reserve: float = 0.05  # share of the groups that is left out, for the copy task of the calibration; 0 = none
    seed: int = 42  # of the choice of documents


def is_reserved(group: str, share: float, seed: int) -> bool:
    """Whether pre-training never sees a group of documents, by a hash of seed and group."""
    return fraction(f"{seed}/reserve/{group}") < share


@dataclasses.dataclass
class Selection:
    """Which documents are packed, and how often.

    The place of a document is a hash of seed, id and language in [0, 1). The document is used if its place is below the
    limit of its language. Each document is chosen independently; only the limits depend on the whole corpus.
    """

    recipe: PackingRecipe
    limits: dict[str, float] = dataclasses.field(default_factory=dict)  # by language; {} = all documents are used
    counts: Counter = dataclasses.field(default_factory=Counter)  # documents and characters that are left out

    def copies(self, document: dict) -> int:
        """How often a document is read: the weight of its domain; a hash decides about the fraction."""
        weight = (self.recipe.domain_weights or {}).get(document.get("domain", ""), 1.0)
        return math.floor(weight) + (self.place(document, "copies") < weight % 1)

    def wanted(self, document: dict) -> bool:
        """Whether the document is used at all."""
        return self.place(document) < self.limits.get(document["language"], 1.0 if not self.limits else 0.0)

    def place(self, document: dict, kind: str = "") -> float:
        """A hash of the document in [0, 1); another `kind` gives an independent one."""
        key = f"{self.recipe.seed}/{document['id']}/{document['language']}{kind}".encode()
        return int.from_bytes(hashlib.blake2b(key, digest_size=8).digest()) / 2**64


def count_part(documents: Path, part: int, parts: int, recipe: PackingRecipe) -> dict:
    """What one of `parts` equal parts of a JSONL file has, as plain data for `select_documents`.

    - `counts`: reserved documents and characters
    - `domains`: their names
    - `characters`: {language: characters by place of the document, 65,536 numbers}, for shares of languages
    """
    counts: Counter = Counter()
    domains = set()
    characters: dict[str, numpy.ndarray] = defaultdict(lambda: numpy.zeros(_PLACES, numpy.int64))
    selection = Selection(recipe)
    for document in read_part(documents, part, parts):
        size = sum(len(paragraph["text"]) for paragraph in document["paragraphs"])
        domains.add(document.get("domain", ""))
        if is_reserved(document["group"], recipe.reserve, recipe.seed):
            counts.update(reserved_documents=1, reserved_characters=size)
        elif recipe.language_weights:
            place = int(selection.place(document) * _PLACES)
            characters[document["language"]][place] += size * selection.copies(document)
    found = {language: sizes.tolist() for language, sizes in characters.items()}
    return {"counts": dict(counts), "domains": sorted(domains), "characters": found}


def select_documents(found: Sequence[Mapping], recipe: PackingRecipe) -> Selection:
    """Set the limits that give each language its share of characters, from what `count_part` found in all parts.

    As many documents are used as the scarcest language allows. The shares are exact up to 1/65,536 of the places or up
    to one document. Raises `UserError` if a language or domain with a weight has no text.
    """
    domains = {domain for part in found for domain in part["domains"]}
    if unknown := sorted({*(recipe.domain_weights or {})} - domains):
        raise UserError(
            f"pretraining.domain_weights: no document has the domain {', '.join(unknown)}; "
            f"the domains of the corpus are {', '.join(sorted(domains))}"
        )
    selection = Selection(recipe, counts=sum((Counter(part["counts"]) for part in found), Counter()))
    if recipe.language_weights:
        # Characters of each language by place: their running sum gives the limit for any number of characters.
        characters = {
            language: numpy.sum([part["characters"][language] for part in found if language in part["characters"]], 0)
            for language in sorted({language for part in found for language in part["characters"]})
        }
        totals = {language: int(sizes.sum()) for language, sizes in characters.items()}
        for language, budget in _budgets(totals, recipe.language_weights).items():
            below = int(numpy.searchsorted(numpy.cumsum(characters[language]), budget)) + 1
            selection.limits[language] = below / _PLACES
            characters[language][:below] = 0
        selection.counts["unused_characters"] = int(sum(sizes.sum() for sizes in characters.values()))
    return selection


def selected(documents: Path, part: int, parts: int, selection: Selection) -> Iterator[dict]:
    """The documents to pack of one of `parts` equal parts of a JSONL file.

    One pass over the part uses a document once, so that its copies are far apart.
    """
    recipe = selection.recipe
    for number in range(math.ceil(max([1.0, *(recipe.domain_weights or {}).values()]))):
        for document in read_part(documents, part, parts):
            if is_reserved(document["group"], recipe.reserve, recipe.seed) or not selection.wanted(document):
                continue
            if selection.copies(document) > number:
                yield document


def _budgets(present: dict[str, int], weights: dict[str, float]) -> dict[str, float]:
    wanted = {language: weight for language, weight in weights.items() if weight > 0}
    for language in wanted:
        if not present.get(language):
            raise UserError(
                f"the corpus has no text in {language!r} but pretraining.language_weights asks for it; "
                f"use languages out of {sorted(present)}"
            )
    if not wanted:
        raise UserError("pretraining.language_weights has no positive weight; give at least one language a share")
    total = min(present[language] / weight for language, weight in wanted.items())
    return {language: weight * total for language, weight in wanted.items()}
