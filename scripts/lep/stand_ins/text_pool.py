"""Material for the questions of the stand-ins, from documents of one language."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from lep.stand_ins.choices import split_words

Item = TypeVar("Item")
_LONGEST = 110  # characters of the text of a question
_LINE = (20, 160)  # shortest and longest line to copy, in characters
_CLAUSE = re.compile(r"[^.,;:!?()\[\]«»\"“”—–…]+")


@dataclass(frozen=True)
class TextPool:
    """Material for the questions of one language."""

    lines: Sequence[str]  # paragraphs of a usable length, for copies
    texts: Sequence[str]  # stretches of a paragraph that are short enough for a question
    clauses: Sequence[str]  # of three to eight words
    words: Sequence[str]  # distinct words of more than 3 letters that begin small, sorted
    names: Sequence[str]  # distinct words of more than 3 letters that begin with a capital inside a text, sorted
    language: str


def text_pool(documents: list[dict], language: str) -> TextPool:
    """Collect the material for questions from documents of one language."""
    paragraphs = [p["text"] for d in documents for p in d["paragraphs"] if not {"\n", "{"} & set(p["text"])]
    lines = [text for text in paragraphs if _LINE[0] <= len(text) <= _LINE[1]]
    texts = [text for paragraph in paragraphs if (text := _stretch(paragraph)) and len(text.split()) >= 5]
    clauses = [clause for text in texts for clause in split_clauses(text) if 3 <= len(clause.split()) <= 8]
    words: set[str] = set()
    names: set[str] = set()
    for text in texts:
        for word in split_words(text)[1:]:
            if len(word) > 3:
                (names if word[0].isupper() else words).add(word)
    return TextPool(lines, texts, clauses, sorted(words), sorted(names), language)


def split_clauses(text: str) -> list[str]:
    """Parts of a text between punctuation marks."""
    return [part.strip(" -'") for part in _CLAUSE.findall(text) if part.strip(" -'")]


def _stretch(paragraph: str) -> str:
    """The paragraph, or its first clauses that fit."""
    if len(paragraph) <= _LONGEST:
        return paragraph
    ends = [match.end() for match in re.finditer(r"[.,;:!?](?=\s)", paragraph) if match.end() <= _LONGEST]
    return f"{paragraph[: ends[-1] - 1]}." if ends else ""


def pick(items: Sequence[Item], rng: np.random.Generator) -> Item:
    """One item, drawn uniformly."""
    return items[int(rng.integers(len(items)))]


def inner_words(text: str) -> list[str]:
    """Words of more than 3 letters that occur once and do not begin the text."""
    row = split_words(text)
    return [word for word in row[1:] if len(word) > 3 and row.count(word) == 1]


def strangers(pool: TextPool, text: str, like: str, count: int, rng: np.random.Generator) -> list[str]:
    """Distinct words that begin like `like` (small, capital) and do not occur in the text."""
    source = pool.names if like[0].isupper() and len(pool.names) > 50 else pool.words
    inside = text.casefold()
    found: dict[str, None] = {}
    while len(found) < count:
        word = pick(source, rng)
        if word.casefold() not in inside and word != like:
            found[word] = None
    return list(found)
