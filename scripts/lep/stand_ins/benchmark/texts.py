"""Source text of the miniature tasks: passages, sentences and clauses of the corpus, an index of the training text."""

import re
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from lep.config import UserError
from lep.files import read_jsonl

SOURCES = ("bible", "home_assistant")  # one edition of each text: a second one would only repeat its questions
SHARED_RUN = 8  # words in sequence; text that shares so many with the training text (a formula, say) counts as seen
_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*|\d+")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[\"'«“(\[]?[A-ZА-ЯЁ])")
_CLAUSE = re.compile(r"[^.,;:!?()\[\]«»\"“”—–…]+")
_NUMBER = re.compile(r"^\(\d+:\d+\)\s*")  # verse number of another edition at the start of a verse
_ENCLOSING = set('«»“”"()[]')
_UNFIT = re.compile(r"[{}<>|*_#\n/\\]")  # placeholders and markup of interface strings


@dataclass(frozen=True)
class Passage:
    """One paragraph of a document: a verse or an interface string."""

    document: str  # id of the document
    paragraph: str  # id of the paragraph
    source: str
    language: str
    title: str  # of the document
    text: str

    @property
    def book(self) -> str:
        """The document's title without the chapter number."""
        return re.sub(r"\s*\d+$", "", self.title)


def words(text: str) -> list[str]:
    """Words of a text in lower case, without punctuation, with `е` for `ё`."""
    return _WORD.findall(text.casefold().replace("ё", "е"))


def tokens(text: str) -> list[tuple[str, int, int]]:
    """(word, start, end) of the words of a text, as written."""
    return [(match.group(), match.start(), match.end()) for match in _WORD.finditer(text)]


def sentences(text: str) -> list[str]:
    """Sentences of a paragraph."""
    return [part.strip() for part in _SENTENCE_END.split(text) if words(part)]


def clauses(text: str) -> list[str]:
    """Parts of a text between punctuation marks."""
    stretches = (match.group().strip(" -'") for match in _CLAUSE.finditer(text))
    return [stretch for stretch in stretches if words(stretch)]


def excerpt(text: str, start: int, end: int, limit: int) -> str | None:
    """The longest run of whole clauses around `text[start:end]` with at most `limit` characters.

    None if there is no such run, or if it contains a quotation mark or a bracket: the other half may be cut off.
    """
    spans = [match.span() for match in _CLAUSE.finditer(text) if match.group().strip()]
    inside = [index for index, (left, right) in enumerate(spans) if left <= start and end <= right]
    if not inside:
        return None
    # Grow the run clause by clause, to the left first, as long as the limit allows.
    first = last = inside[0]
    if _length(text, spans, first, last) > limit:
        return None
    while True:
        if first > 0 and _length(text, spans, first - 1, last) <= limit:
            first -= 1
        elif last + 1 < len(spans) and _length(text, spans, first, last + 1) <= limit:
            last += 1
        else:
            found = text[spans[first][0] : spans[last][1]].strip(" -'")
            return None if _ENCLOSING & set(found) else found


def _length(text: str, spans: list[tuple[int, int]], first: int, last: int) -> int:
    return len(text[spans[first][0] : spans[last][1]].strip(" -'"))


def capitalised(text: str) -> str:
    """The text with an upper-case first letter."""
    return text[:1].upper() + text[1:]


class Seen:
    """Index of the words of the training text; tells whether a text, or a part of it, occurs there."""

    def __init__(self, paragraphs: Iterable[str]):
        """Index all words of `paragraphs`. A match never crosses the end of a paragraph."""
        self._words: list[str] = []
        self._positions: dict[str, array] = {}
        for paragraph in paragraphs:
            for word in words(paragraph):
                self._positions.setdefault(word, array("I")).append(len(self._words))
                self._words.append(word)
            self._words.append("")  # matches no word

    def count(self, sequence: Sequence[str], at_most: int = 2) -> int:
        """Number of places where the words occur in sequence; counting stops at `at_most`."""
        sequence = list(sequence)
        if not sequence or any(word not in self._positions for word in sequence):
            return 0
        # Look only at the places of the rarest word.
        offset = min(range(len(sequence)), key=lambda index: len(self._positions[sequence[index]]))
        found = 0
        for position in self._positions[sequence[offset]]:
            start = position - offset
            if start >= 0 and self._words[start : start + len(sequence)] == sequence:
                found += 1
                if found >= at_most:
                    break
        return found

    def contains(self, text: str) -> bool:
        """Whether the words of `text` occur in sequence."""
        return self.count(words(text), 1) > 0

    def overlaps(self, text: str) -> bool:
        """Whether a sentence of `text`, or any run of `SHARED_RUN` words of it, occurs."""
        if any(self.contains(sentence) for sentence in sentences(text)):
            return True
        all_words = words(text)
        return any(
            self.count(all_words[start : start + SHARED_RUN], 1) for start in range(len(all_words) - SHARED_RUN + 1)
        )


class Texts:
    """Source text of the benchmark: held-out passages that share nothing with the training text."""

    def __init__(self, train: Path, benchmark: Path):
        """Read both JSONL files. The overlap check covers the whole training file, with every source and edition."""
        training = _documents(train)
        self.seen = Seen(
            text for document in training for text in [document["title"], *(p["text"] for p in document["paragraphs"])]
        )
        self._every = list(_passages(_documents(benchmark)))

    @cached_property
    def held_out(self) -> list[Passage]:
        """Held-out passages that share no sentence and no run of `SHARED_RUN` words with the training text."""
        return [passage for passage in self._every if self.unseen(passage.text)]

    @cached_property
    def pairs(self) -> list[tuple[Passage, Passage]]:
        """(Russian, English) pairs of held-out passages."""
        english = {(p.document, p.paragraph): p for p in self.held_out if p.language == "en"}
        russian = (p for p in self.held_out if p.language == "ru")
        return [(p, english[p.document, p.paragraph]) for p in russian if (p.document, p.paragraph) in english]

    def unseen(self, text: str) -> bool:
        """Whether the training text shares nothing with `text` (see `Seen.overlaps`)."""
        return not self.seen.overlaps(text)

    def russian(self, source: str | None = None) -> list[Passage]:
        """Held-out Russian passages of one source (None = all)."""
        return [p for p in self.held_out if p.language == "ru" and source in (None, p.source)]

    def english(self) -> list[Passage]:
        """Held-out English passages."""
        return [p for p in self.held_out if p.language == "en"]


def _documents(path: Path) -> list[dict]:
    if not Path(path).is_file():
        raise UserError(f"{path} does not exist; build the corpus first")
    documents = sorted(read_jsonl(path), key=lambda document: (document["id"], document["language"]))
    if not documents:
        raise UserError(f"{path} has no document; add sources to the corpus or raise the share of this split")
    return documents


def _passages(documents: list[dict]) -> Iterator[Passage]:
    for document in documents:
        if document["source"] not in SOURCES:
            continue
        for paragraph in document["paragraphs"]:
            if not _UNFIT.search(paragraph["text"]):
                yield Passage(
                    document["id"],
                    paragraph["id"],
                    document["source"],
                    document["language"],
                    document["title"],
                    _NUMBER.sub("", paragraph["text"]),
                )
