"""Readers: from source files to documents, `{"id", "group", "source", "domain", "language", "title", "paragraphs"}`.

The same id and paragraph id in two languages are translations of each other. Documents of one `group` (languages and
editions of one text) are always split together. All files of all sources lie on one line of bytes, in the order of the
sources and of their names; a shard is a stretch of that line.
"""

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
from lep.files import sha256_file
from lep.log import logger
from lep.manifest import MANIFEST, verify

_DOCUMENT = ("id", "group", "source", "domain", "language", "title", "paragraphs")
_LOGGED = 20  # broken records of a kind that the log names one by one


@dataclass(frozen=True, config=STRICT)
class Source:
    """One source of text: a file or folder, how it is read, and what its records do not say themselves.

    `language` and `domain` are those of records without (else the script decides); `text_column` is the column of a
    record's text. A source with a `split` goes there as a whole, the groups of documents of the others are drawn.
    """

    name: str
    reader: str
    path: Path
    sha256: str = "unpinned"
    split: str | None = None
    text_column: str = "text"
    domain: str | None = None
    language: str | None = None


class Span(NamedTuple):
    """The bytes of a file that a shard reads, the records that begin in them, and the languages of the corpus."""

    source: Source
    file: Path
    start: int
    stop: int
    languages: Mapping[str, str]


class BrokenRecords:
    """What happens to broken records: refused with one message, or counted under `records/KIND` and left out."""

    def __init__(self, refuse: bool, counts: Counter, longest: int = 2**26) -> None:
        self.refuse, self.counts, self.longest = refuse, counts, longest

    def __call__(self, kind: str, message: str) -> None:
        if self.refuse:
            raise UserError(f"{message}; or leave such records out with corpus.broken_records: drop")
        self.counts[f"records/{kind}"] += 1
        if self.counts[f"records/{kind}"] <= _LOGGED:
            logger.warning("left out: %s", message)


def read_shard(
    sources: Sequence[Source], shard: int, shards: int, faults: BrokenRecords, languages: Mapping[str, str] = RUSSIAN
) -> Iterator[dict]:
    """Documents of one of `shards` parts, with `split` (of the source, or None) and `origin` (the file's name).

    `languages` are those of the corpus, with their scripts.
    """
    found = spans(sources, shard, shards, languages)
    for source in sources:  # one shard checks a source: that where its first file begins
        first = _files(source)[0]
        if any(span.source is source and span.start == 0 and span.file == first for span in found):
            check_content(source)
    for span in found:
        for document in READERS[span.source.reader](span, faults):
            origin = document.get("origin", span.file.name)
            yield {**document, "split": span.source.split, "origin": origin}


def spans(sources: Sequence[Source], shard: int, shards: int, languages: Mapping[str, str]) -> list[Span]:
    """The stretches of files that belong to one of `shards` equal parts of all bytes.

    Of a file that cannot be entered in the middle, the shard where it begins reads everything.
    """
    files = [(source, file, max(file.stat().st_size, 1)) for source in sources for file in _files(source)]
    total = sum(size for _, _, size in files)
    low, high = shard * total // shards, (shard + 1) * total // shards
    found, position = [], 0
    for source, file, size in files:
        start, stop = max(low - position, 0), min(high - position, size)
        if start < stop:
            if file.suffix in (".jsonl", ".parquet"):
                found.append(Span(source, file, start, stop, languages))
            elif start == 0:
                found.append(Span(source, file, 0, size, languages))
        position += size
    return found


def check_content(source: Source) -> None:
    """Refuse a file of another content than recorded, and a fetched folder that its manifest does not fit."""
    if source.path.is_dir() and (source.path / MANIFEST).is_file():  # fetched
        verify(source.path)
    elif source.sha256 != "unpinned" and (found := sha256_file(source.path)) != source.sha256:
        raise UserError(
            f"corpus source {source.name}: {source.path} has sha256 {found}, expected {source.sha256}; "
            "delete the file and fetch it again, or correct the recorded hash"
        )


def read_documents(span: Span, faults: BrokenRecords) -> Iterator[dict]:
    """Documents of JSONL (also .gz, .zst), Parquet or plain text; the form of a record is that of `Source`.

    A record has a text, and optionally `id`, `group`, `domain`, `language` (else the script decides) and `title`.
    Broken UTF-8, broken JSON, a missing text and a record that is too long go to `faults` with file and place.
    """
    source, column = span.source, span.source.text_column
    for place, record in read_records(span.file, span.start, span.stop, faults.longest):
        if isinstance(record, Broken):
            faults(record.kind, f"{_where(span, place)}: {record.message}")
            continue
        if not isinstance(record, dict) or not isinstance(record.get(column), str):
            found = ", ".join(record) if isinstance(record, dict) else type(record).__name__
            where = _where(span, place)
            faults("no_text", f"{where}: no text column `{column}`; found: {found}; name yours with `text_column`")
            continue
        text = record[column]
        identity = str(record.get("id", f"{source.name}/{span.file.name.split('.')[0]}/{place.position:012d}"))
        yield {
            "id": identity,
            "group": str(record.get("group", identity)),
            "source": source.name,
            "domain": str(record.get("domain") or source.domain or "undefined"),
            "language": str(record.get("language") or source.language or guess(text, span.languages)),
            "title": str(record.get("title") or ""),
            "paragraphs": [{"id": f"{i:05d}", "text": line} for i, line in enumerate(text.split("\n")) if line],
            "origin": f"{span.file}, from {place.unit} {place.position}",
        }


def read_corpus(span: Span, faults: BrokenRecords) -> Iterator[dict]:
    """Documents of a JSONL file in the form of a finished corpus, as `data/fixtures` holds them."""
    for place, document in read_records(span.file, span.start, span.stop, faults.longest):
        if isinstance(document, Broken):
            faults(document.kind, f"{_where(span, place)}: {document.message}")
        elif missing := [key for key in _DOCUMENT if key not in document]:
            faults("no_text", f"{_where(span, place)}: no {', '.join(missing)}; a document has {', '.join(_DOCUMENT)}")
        else:
            yield document


def _where(span: Span, place: Place) -> str:
    """File and line for a message: lines are counted from the beginning of the file, so only where one is shown."""
    return f"{span.file}, {place.name} {place.number()}"


def _of_file(read: Callable[[Path], Iterator[dict]]) -> Callable[[Span, BrokenRecords], Iterator[dict]]:
    """A reader of whole files as one of spans; the source's domain, where it names one, counts."""

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
        raise UserError(f"corpus source {source.name}: {source.path} holds no file of {', '.join(suffixes)}")
    return found
