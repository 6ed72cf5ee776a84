"""Readers: parts of files that meet without gap, documents made of records, bad sources named."""

from collections.abc import Callable
from pathlib import Path

import pytest
from fixtures.corpus import build, raw, source, splits, words, write_lines
from fixtures.records import KINDS, RECORDS, compressed, read
from lep.config import UserError
from lep.corpus.readers import Source


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
        "input": "darulm/darulm",
    }
    assert [p["text"] for p in full["paragraphs"]] == ["раз", "два"]
    assert [full[key] for key in ("id", "group", "domain", "language", "title")] == [
        "darulm/darulm/7",
        "g",
        "news",
        "en",
        "T",
    ]
    assert full["origin"] == f"{path}, from byte {path.read_bytes().index(b'{', 1)}"


def test_a_source_says_what_its_records_do_not(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "raw.jsonl", [{"content": "word"}, {"content": "слово", "domain": "wiki"}])
    found = read(path, text_column="content", domain="web", language="ru")
    assert [(d["domain"], d["language"]) for d in found] == [("web", "ru"), ("wiki", "ru")]


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("shards", [1, 2, 7, 300])
def test_shards_read_every_record_once_and_in_order(tmp_path: Path, name: str, shards: int) -> None:
    whole = read(KINDS[name](tmp_path / name))
    assert [d["paragraphs"][0]["text"] for d in whole] == [r["text"] for r in RECORDS]
    assert len({d["id"] for d in whole}) == len(RECORDS)
    parts = [read(tmp_path / name, shards=shards, only=shard) for shard in range(shards)]
    found = [document for part in parts for document in part]
    if name in ("raw.jsonl", "raw.parquet"):
        assert found == whole, "neither ids nor places depend on the number of shards"
    else:  # read as a stream: each shard has its share, in order
        order = {document["id"]: place for place, document in enumerate(whole)}
        assert sorted(found, key=lambda document: order[document["id"]]) == whole
        assert all([order[d["id"]] for d in part] == sorted(order[d["id"]] for d in part) for part in parts)
        assert max(map(len, parts)) <= len(RECORDS) / shards + 2


@pytest.mark.parametrize("suffix", ["jsonl.gz", "jsonl.zst"])
def test_shards_of_a_few_compressed_files_are_equal(tmp_path: Path, suffix: str) -> None:
    """Three files over eight shards: none is empty. The ids of their records begin again in each file."""
    for name in "abc":
        compressed(tmp_path / f"{name}.{suffix}")
    sizes = [len(read(tmp_path, shards=8, only=shard)) for shard in range(8)]
    assert sum(sizes) == 3 * len(RECORDS)
    assert max(sizes) - min(sizes) <= 4


@pytest.mark.parametrize("identity", [lambda n: n, str, lambda n: f"d{n}"])
def test_ids_that_begin_again_in_each_file_lose_nothing(tmp_path: Path, identity: Callable[[int], object]) -> None:
    folder = tmp_path / "raw"
    folder.mkdir()
    for name in "abc":
        write_lines(folder / f"{name}.jsonl", ({"id": identity(n), "text": " ".join(words(n + 100 * ord(name), 9))}
                                               for n in range(50)))  # fmt: skip
    corpus = build([Source("raw", "documents", folder)], tmp_path / "corpus")
    assert sum(map(len, splits(corpus).values())) == 150


@pytest.mark.parametrize("given", [{"id": None, "group": None}, {"id": "", "group": ""}, {}])
def test_null_and_empty_fields_are_absent(tmp_path: Path, given: dict) -> None:
    records = [given | {"text": f"слово {n}", "domain": None, "language": None, "title": None} for n in range(4)]
    found = read(write_lines(tmp_path / "raw.jsonl", records))
    assert len({d["id"] for d in found}) == len({d["group"] for d in found}) == 4
    assert {(d["domain"], d["language"], d["title"]) for d in found} == {("undefined", "ru", "")}


def test_the_domain_is_in_the_name_of_the_file(tmp_path: Path) -> None:
    """The names of darulm. A record's own domain comes first."""
    pattern = r"^(libru|rulm|wiki40)_(?P<domain>.+)_\d+\.jsonl"
    for name in ("libru_books_0.jsonl.gz", "rulm_ods-tass_12.jsonl.gz", "wiki40_enwiki_3.jsonl.gz"):
        compressed(tmp_path / name)
    write_lines(tmp_path / "rulm_habr_0.jsonl", [{"text": "слово", "domain": "own"}])
    write_lines(tmp_path / "other.jsonl", [{"text": "слово"}])
    found = {d["domain"] for d in read(tmp_path, domain_pattern=pattern, domain="web")}
    assert found == {"books", "ods-tass", "enwiki", "own", "web"}


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


def test_more_shards_than_text(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "raw.jsonl", [{"text": "one"}])
    assert len(read(path, shards=50)) == 1


def test_bad_sources_are_refused_before_they_are_read(tmp_path: Path) -> None:
    good = source(write_lines(tmp_path / "good.jsonl", [{"no": "text"}]))
    path = raw(tmp_path / "raw.jsonl", range(30))
    for bad, message in (
        (Source("raw", "documents", tmp_path / "absent"), "corpus source raw: .*absent does not exist"),
        (Source("raw", "pdf", path), r"corpus source raw: no reader 'pdf'; use one of \['bible', "),
        (source(path, sha256="0" * 64), r"raw\.jsonl has sha256 [0-9a-f]{64}, expected 0{64}; delete"),
    ):
        with pytest.raises(UserError, match=message):
            build([good, bad] if bad.sha256 == "unpinned" else [bad], tmp_path / "corpus")
        assert not (tmp_path / "corpus").exists()
