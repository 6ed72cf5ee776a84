"""Readers: parts of files that meet without gap, documents made of records, bad sources named."""

from pathlib import Path

import pytest
from fixtures.corpus import build, raw, source, write_lines
from fixtures.records import KINDS, RECORDS, read
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
    }
    assert [p["text"] for p in full["paragraphs"]] == ["раз", "два"]
    assert [full[key] for key in ("id", "group", "domain", "language", "title")] == ["7", "g", "news", "en", "T"]
    assert full["origin"] == f"{path}, from byte {path.read_bytes().index(b'{', 1)}"


def test_a_source_says_what_its_records_do_not(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "raw.jsonl", [{"content": "word"}, {"content": "слово", "domain": "wiki"}])
    found = read(path, text_column="content", domain="web", language="ru")
    assert [(d["domain"], d["language"]) for d in found] == [("web", "ru"), ("wiki", "ru")]


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
