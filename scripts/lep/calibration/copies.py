"""Texts for the copy task of the calibration: from documents that pre-training leaves out, and nowhere else.

One job for each part of the training text finds the reserved documents and the keys of all other paragraphs; one job
compares them. All calibrations draw from its texts.
"""

import dataclasses
import itertools
import json
import os
import re
import shutil
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy
import xxhash
from pydantic.dataclasses import dataclass

from lep.calibration.records import read_records
from lep.config import STRICT, UserError
from lep.corpus.parts import read_part
from lep.files import json_line, read_jsonl, write_json, write_jsonl
from lep.manifest import publish, staging
from lep.pretraining.selection import is_reserved

RECIPE_VERSION = 1
TEXTS = "texts.jsonl"
_RESERVED, _KEYS, _DOMAINS = "reserved.jsonl", "keys.npy", "domains.json"
_NO_LETTER = re.compile(r"[\W_]+")


@dataclass(frozen=True, config=STRICT)
class CopyRecipe:
    """Which texts are copied."""

    characters: tuple[int, int] = (30, 140)  # shortest and longest text
    language: str = "ru"  # their language
    domains: list[str] = dataclasses.field(default_factory=list)  # their domains; empty = all
    reserve: float = 0.05  # share of document groups that pre-training leaves out
    seed: int = 42


def find_texts(documents: Path, part: int, parts: int, target: Path, recipe: CopyRecipe) -> None:
    """Write the folder `target` for one of `parts` equal parts of the training text.

    It has the paragraphs of the reserved documents of the wanted language and domains, the sorted keys (uint64) of the
    paragraphs of all documents that are not reserved, and the names of the domains.
    """
    keys, domains = array("Q"), set()
    folder = staging(target)
    with open(folder / _RESERVED, "w", encoding="utf-8") as file:
        for document in read_part(documents, part, parts):
            texts = [paragraph["text"] for paragraph in document["paragraphs"]]
            domains.add(document["domain"])
            if not is_reserved(document["group"], recipe.reserve, recipe.seed):
                keys.extend(map(_key, texts))
            elif document["language"] == recipe.language and document["domain"] in (recipe.domains or domains):
                file.write(json_line({"paragraphs": texts}))
    numpy.save(folder / _KEYS, numpy.unique(numpy.frombuffer(keys, numpy.uint64)), allow_pickle=False)
    write_json(folder / _DOMAINS, sorted(domains))
    shutil.rmtree(target, ignore_errors=True)
    os.replace(folder, target)


def choose_texts(
    parts: Sequence[Path], held_out: Sequence[Path], corpus: Path, target: Path, recipe: CopyRecipe
) -> None:
    """Publish `target/texts.jsonl`, each line `{"text"}`: neighbouring paragraphs of the reserved documents.

    - `parts`: what `find_texts` wrote, in order
    - `held_out`: benchmark files or folders
    - `corpus`: the published corpus

    A paragraph that the model sees elsewhere would be recalled instead of copied: no text has a paragraph that is also
    in another document or in `held_out`. Raises `UserError` if a wanted domain does not occur.
    """
    known = {domain for part in parts for domain in json.loads((part / _DOMAINS).read_text(encoding="utf-8"))}
    if unknown := sorted(set(recipe.domains) - known):
        raise UserError(
            f"calibration.copy_domains: no document has the domain {', '.join(unknown)}; "
            f"the domains of the corpus are {', '.join(sorted(known))}"
        )
    reserved = [document["paragraphs"] for part in parts for document in read_jsonl(part / _RESERVED)]
    # Only the keys of reserved paragraphs are kept, so memory does not grow with the whole corpus.
    candidates = numpy.unique(numpy.array([_key(text) for texts in reserved for text in texts], numpy.uint64))
    asked = numpy.array(list(_held_out_keys(held_out)), numpy.uint64)
    seen = [numpy.load(part / _KEYS, mmap_mode="r", allow_pickle=False) for part in parts]
    elsewhere = set(numpy.concatenate([candidates[numpy.isin(candidates, keys)] for keys in (*seen, asked)]).tolist())
    folder = staging(target)
    write_jsonl(folder / TEXTS, ({"text": text} for text in _join(reserved, elsewhere, recipe)))
    publish(
        folder,
        target,
        recipe_version=RECIPE_VERSION,
        parents={"corpus": corpus},
        seed=recipe.seed,
        config=dict(vars(recipe)),
        facts={"documents": len(reserved), "paragraphs": len(candidates), "elsewhere": len(elsewhere)},
    )


def _join(reserved: Sequence[list[str]], elsewhere: set[int], recipe: CopyRecipe) -> Iterator[str]:
    """Join neighbours up to the length limit; a paragraph that occurs elsewhere ends a text."""
    for paragraphs in reserved:
        for usable, run in itertools.groupby(paragraphs, key=lambda text: _key(text) not in elsewhere):
            if usable:
                yield from join_paragraphs(list(run), *recipe.characters)


def join_paragraphs(paragraphs: list[str], least: int, most: int) -> list[str]:
    """Join neighbouring paragraphs into texts of `least` to `most` characters; each paragraph is used at most once."""
    texts, current = [], ""
    for paragraph in paragraphs:
        joined = f"{current}\n{paragraph}" if current else paragraph
        if len(joined) > most:
            if len(current) >= least:
                texts.append(current)
            joined = paragraph
        current = joined if len(joined) <= most else ""
    return [*texts, current] if len(current) >= least else texts


def _held_out_keys(held_out: Sequence[Path]) -> Iterator[int]:
    """Keys of all lines of text in the records of the benchmark."""
    for source in held_out:
        for record in read_records(source):
            yield from (_key(line) for text in _strings(record) for line in text.split("\n"))


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _strings(part)


def _key(text: str) -> int:
    """A hash of the text in lower case without punctuation and spaces; with equal keys, texts count as the same."""
    return xxhash.xxh3_64_intdigest(_NO_LETTER.sub("", text.casefold()).encode("utf-8", "replace"))
