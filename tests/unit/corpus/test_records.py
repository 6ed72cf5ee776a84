"""Records: broken ones named with their place, truncated files refused, in constant memory."""

from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from fixtures.corpus import write_lines
from fixtures.records import KINDS, RECORDS, dropped, read
from lep.config import UserError


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
    "no string": (b'{"text": ["a"]}', "no_text", r"line 2: no text in column `text` but \['a'\]"),
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
    with pytest.raises(UserError, match=rf"{name} (is truncated|is not a complete).*(line|row) \d+.*fetch it again"):
        dropped(tmp_path / name)


def test_a_parquet_row_without_text(tmp_path: Path) -> None:
    rows = [{"text": "one"}, {"text": None}, {"text": "three"}]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "raw.parquet")
    with pytest.raises(UserError, match=r"raw\.parquet, row 2: no text in column `text` but None; write text"):
        read(tmp_path / "raw.parquet")
    assert dropped(tmp_path / "raw.parquet") == (["one", "three"], {"records/no_text": 1})
