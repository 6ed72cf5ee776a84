"""Readers: from source files to documents, `{"id", "group", "source", "domain", "language", "title", "paragraphs"}`.

- Documents with the same id in two languages are translations of each other, and so are their paragraphs with the same
  id. Documents of one `group` (languages and editions of one text) are always in the same split.
- A shard is a range of the bytes of all files together, in the order of the sources and of the names of their files.
- The id of a document is unique in its file and language. Ids that are numbers often begin again in each file, so they
  get the names of source and file in front.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from pydantic.dataclasses import dataclass

from lep.config import STRICT, UserError
from lep.corpus.debian_docs import read_debian
from lep.corpus.languages import RUSSIAN, guess
from lep.corpus.package_readers import read_bible, read_home_assistant, read_wordnet
from lep.corpus.records import SUFFIXES, Broken, Place, read_records
from lep.files import is_text, sha256_file
from lep.log import logger
from lep.manifest import MANIFEST, verify

_DOCUMENT = ("id", "group", "source", "domain", "language", "title", "paragraphs")
READ, BROKEN = "read_records", "broken_records"  # counts for each source: READ/NAME, BROKEN/NAME
_LOGGED = 20  # broken records of one kind that are logged one by one


@dataclass(frozen=True, config=STRICT)
class Source:
    """One source of text: a file or folder, and how it is read."""

    name: str
    reader: str  # key of READERS
    path: Path  # a file or a folder
    sha256: str = "unpinned"  # of a file; unpinned = not checked
    split: str | None = None  # of all its documents; None = drawn by group
    text_column: str = "text"  # field of a record that has its text
    domain: str | None = None  # of records without a domain; None = the reader's own
    domain_pattern: str | None = None  # finds it in the name of a file, as group `domain`; None = not there
    language: str | None = None  # of records without a language; None = guessed from the script


class Span(NamedTuple):
    """A range of bytes of one file; a shard reads the records that begin in it."""

    source: Source
    file: Path
    start: int
    stop: int
    languages: Mapping[str, str]  # {language: script} of the corpus


class BrokenRecords:
    """Handles broken records: stops with one message (`refuse`), or counts them under `records/KIND` and skips them."""

    def __init__(self, refuse: bool, counts: Counter, longest: int = 2**26) -> None:
        """A record of more than `longest` bytes is broken."""
        self.refuse, self.counts, self.longest = refuse, counts, longest

    def __call__(self, kind: str, message: str, source: str) -> None:
        if self.refuse:
            raise UserError(f"{message}; or skip such records with corpus.broken_records: drop")
        self.counts[f"records/{kind}"] += 1
        self.counts[f"{BROKEN}/{source}"] += 1
        if self.counts[f"records/{kind}"] <= _LOGGED:
            logger.warning("skipped: %s", message)


def read_shard(
    sources: Sequence[Source], shard: int, shards: int, faults: BrokenRecords, languages: Mapping[str, str] = RUSSIAN
) -> Iterator[dict]:
    """Documents of one of `shards` equal parts.

    Each also has `split` (of its source, or None), `origin` (file and place) and `input` (source/file).

    `languages`: {language: script} of the corpus. Raises `UserError` for missing and changed files.
    """
    found = spans(sources, shard, shards, languages)
    for source in sources:
        # Each source is checked once: by the shard where its first file begins.
        first = _files(source)[0]
        if any(span.source is source and span.start == 0 and span.file == first for span in found):
            check_content(source)
    for span in found:
        for document in READERS[span.source.reader](span, faults):
            origin = document.get("origin", span.file.name)
            place = f"{span.source.name}/{file_key(span.source, span.file)}"
            yield {**document, "split": span.source.split, "origin": origin, "input": place}


def spans(sources: Sequence[Source], shard: int, shards: int, languages: Mapping[str, str]) -> list[Span]:
    """The ranges of files that belong to one of `shards` equal parts of all bytes.

    A package is read as a whole, by the shard that has its middle.
    """
    files = [(source, file, max(file.stat().st_size, 1)) for source in sources for file in _files(source)]
    total = sum(size for _, _, size in files)
    low, high = shard * total // shards, (shard + 1) * total // shards
    found, position = [], 0
    for source, file, size in files:
        start, stop = max(low - position, 0), min(high - position, size)
        if start < stop:
            if file.name.endswith(SUFFIXES):
                found.append(Span(source, file, start, stop, languages))
            elif start <= size // 2 < stop:
                found.append(Span(source, file, 0, size, languages))
        position += size
    return found


def check_content(source: Source) -> None:
    """Raise `UserError` if a file has another hash than recorded, or a fetched folder does not match its manifest."""
    if source.path.is_dir() and (source.path / MANIFEST).is_file():  # fetched
        verify(source.path)
    elif source.sha256 != "unpinned" and (found := sha256_file(source.path)) != source.sha256:
        raise UserError(
            f"corpus source {source.name}: {source.path} has sha256 {found}, expected {source.sha256}; "
            "delete the file and fetch it again, or correct the recorded hash"
        )


def read_documents(span: Span, faults: BrokenRecords) -> Iterator[dict]:
    """Documents of JSONL (also .gz, .zst), Parquet or plain text.

    A record has a text (in the source's `text_column`), and optionally `id`, `group`, `domain`, `language` and `title`.
    Records with broken UTF-8, broken JSON, without text or too long go to `faults`, with file and place.
    """
    for place, record in read_records(span.file, span.start, span.stop, faults.longest):
        faults.counts[f"{READ}/{span.source.name}"] += 1
        found = _document(span, place, record)
        if isinstance(found, Broken):
            faults(found.kind, f"{_where(span, place)}: {found.message}", span.source.name)
        else:
            yield found


def _document(span: Span, place: Place, record: object) -> dict | Broken:
    """The document of a record. Fields that are null or empty count as absent."""
    source, column = span.source, span.source.text_column
    if isinstance(record, Broken):
        return record
    if isinstance(record, dict) and not isinstance(record.get(column, ""), str):
        return Broken("no_text", f"no text in column `{column}` but {_shown(record[column])}; write text")
    if not isinstance(record, dict) or column not in record:
        found = ", ".join(record) if isinstance(record, dict) else type(record).__name__
        return Broken("no_text", f"no text column `{column}`; found: {found}; name yours with `text_column`")
    try:
        given = {key: _label(record, key) for key in ("id", "group", "domain", "language", "title")}
    except _WrongTypeError as error:
        return Broken("wrong_type", str(error))
    text, identity = record[column], given["id"] or f"{place.position:012d}"
    if identity.isdecimal():
        identity = f"{source.name}/{file_key(source, span.file)}/{identity}"
    return {
        "id": identity,
        "group": given["group"] or identity,
        "source": source.name,
        "domain": given["domain"] or file_domain(source, span.file) or "undefined",
        "language": given["language"] or source.language or guess(text, span.languages),
        "title": given["title"],
        "paragraphs": [{"id": f"{i:05d}", "text": line} for i, line in enumerate(text.split("\n")) if line],
        "origin": f"{span.file}, from {place.unit} {place.position}",
    }


def file_key(source: Source, file: Path) -> str:
    """The name of a file in the ids of its documents: its place below the source's folder, without its type."""
    name = file.relative_to(source.path).as_posix() if source.path.is_dir() else file.name
    return next((name.removesuffix(suffix) for suffix in SUFFIXES if name.endswith(suffix)), name)


def file_domain(source: Source, file: Path) -> str | None:
    """The domain of documents that name none: from the name of their file, else the source's."""
    found = re.search(source.domain_pattern, file.name) if source.domain_pattern else None
    return (found and found["domain"]) or source.domain


class _WrongTypeError(ValueError):
    """A field of a record has a value of another type than it should."""


def _label(record: Mapping, key: str) -> str:
    """A field of a record as text; "" if it is absent, null or empty."""
    value = record.get(key)
    if value is None:
        return ""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not is_text(value):
        raise _WrongTypeError(f"`{key}` is {_shown(value)}; write text or a whole number, or leave it out")
    return value


def _shown(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= 40 else f"{text[:40]}..."


def read_corpus(span: Span, faults: BrokenRecords) -> Iterator[dict]:
    """Documents of a JSONL file in the form of a finished corpus, such as those of `data/fixtures`."""
    for place, document in read_records(span.file, span.start, span.stop, faults.longest):
        faults.counts[f"{READ}/{span.source.name}"] += 1
        fault = document if isinstance(document, Broken) else _document_fault(document)
        if fault:
            faults(fault.kind, f"{_where(span, place)}: {fault.message}", span.source.name)
        else:
            yield document


def _document_fault(document: object) -> Broken | None:
    """What is wrong with a document of a finished corpus."""
    known = f"a document has {', '.join(_DOCUMENT)}"
    if not isinstance(document, dict):
        return Broken("wrong_type", f"{type(document).__name__} instead of an object; {known}")
    if missing := [key for key in _DOCUMENT if key not in document]:
        return Broken("no_text", f"no {', '.join(missing)}; {known}")
    for key in _DOCUMENT[:-1]:
        if not is_text(document[key]) or not (document[key] or key == "title"):
            return Broken("wrong_type", f"`{key}` is {_shown(document[key])}; write text")
    paragraphs = document["paragraphs"]
    if not isinstance(paragraphs, list):
        return Broken("wrong_type", f"`paragraphs` is {_shown(paragraphs)}; write a list of {{id, text}}")
    for number, paragraph in enumerate(paragraphs, 1):
        values = [paragraph.get(key) for key in ("id", "text")] if isinstance(paragraph, dict) else [None]
        if not all(map(is_text, values)):
            return Broken("wrong_type", f"paragraph {number} is {_shown(paragraph)}; write {{id, text}}, both text")
    return None


def _where(span: Span, place: Place) -> str:
    """File and line for a message. Lines are counted from the file's beginning: only call it for broken records."""
    return f"{span.file}, {place.name} {place.number()}"


def _of_file(read: Callable[[Path], Iterator[dict]]) -> Callable[[Span, BrokenRecords], Iterator[dict]]:
    """Turn a reader of whole files into a reader of spans; a domain of the source replaces the reader's."""

    def documents(span: Span, faults: BrokenRecords) -> Iterator[dict]:
        for document in read(span.file):
            yield document | ({"domain": span.source.domain} if span.source.domain else {})

    return documents


def _home_assistant(span: Span, faults: BrokenRecords) -> Iterator[dict]:
    languages = list(span.languages)
    return _of_file(lambda path: read_home_assistant(path, languages))(span, faults)


def _debian(span: Span, faults: BrokenRecords) -> Iterator[dict]:
    for document in read_debian(span.file):
        yield document | {"source": span.source.name, "domain": span.source.domain or "documentation"}


READERS: dict[str, Callable[[Span, BrokenRecords], Iterator[dict]]] = {
    "bible": _of_file(read_bible),
    "home_assistant": _home_assistant,
    "wordnet": _of_file(read_wordnet),
    "debian": _debian,
    "documents": read_documents,
    "corpus": read_corpus,
}


def _files(source: Source) -> list[Path]:
    if source.reader not in READERS:
        raise UserError(f"corpus source {source.name}: no reader {source.reader!r}; use one of {sorted(READERS)}")
    if not source.path.exists():
        raise UserError(f"corpus source {source.name}: {source.path} does not exist")
    if source.path.is_file():
        return [source.path]
    suffixes = (".deb",) if source.reader == "debian" else SUFFIXES
    found = sorted(p for p in source.path.rglob("*") if p.is_file() and p.name.endswith(suffixes))
    if not found:
        raise UserError(f"corpus source {source.name}: {source.path} has no file of the types {', '.join(suffixes)}")
    return found
