import csv
import os
from pathlib import Path

import darumeru.sources
import pytest
from darumeru.records import DataError
from lep.calibration.data import is_held_out
from lep.config import UserError
from lep.corpus.documents import SplitRecipe, in_sample, split_of
from lep.files import (
    fraction,
    hash_number,
    link_or_copy,
    read_jsonl,
    sha256_json,
    write_csv,
    write_json,
    write_jsonl,
    write_text,
    written_by_rename,
)
from lep.pretraining.selection import is_reserved


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_whole_at_the_end(tmp_path: Path) -> None:
    with written_by_rename(tmp_path / "deep" / "a.bin") as partial:
        partial.write_bytes(b"new")
        assert not (tmp_path / "deep" / "a.bin").exists()
        assert partial.parent == tmp_path / "deep", "on the same file system"
    assert (tmp_path / "deep" / "a.bin").read_bytes() == b"new"
    assert names(tmp_path / "deep") == ["a.bin"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path, error: type[BaseException]) -> None:
    def write_half() -> None:
        with written_by_rename(tmp_path / "a.txt") as partial:
            partial.write_text("half")
            raise error

    write_text(tmp_path / "a.txt", "old")
    with pytest.raises(error):
        write_half()
    assert (tmp_path / "a.txt").read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_an_error_before_the_first_byte_is_not_hidden(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="first"), written_by_rename(tmp_path / "a.txt"):
        raise ValueError("first")
    assert names(tmp_path) == []


def test_what_a_kill_left_is_not_written_into(tmp_path: Path) -> None:
    (tmp_path / "source").write_text("source")
    os.link(tmp_path / "source", tmp_path / ".a.txt.partial")
    write_text(tmp_path / "a.txt", "new")
    assert (tmp_path / "source").read_text() == "source"
    assert (tmp_path / "a.txt").read_text() == "new"


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_text(tmp_path / "deep" / "a.txt", "старый\r\n")
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_text(tmp_path / "deep" / "a.txt", "новый")
    assert (tmp_path / "deep" / "a.txt").read_bytes() == "старый\r\n".encode()


def test_json_is_canonical(tmp_path: Path) -> None:
    assert sha256_json({"a": 1, "b": ["ё"]}) == sha256_json({"b": ["ё"], "a": 1}) != sha256_json({"a": 1, "b": ["е"]})
    write_json(tmp_path / "a.json", {"b": "ё", "a": 1})
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == '{\n  "a": 1,\n  "b": "ё"\n}\n'


def test_bytes_of_a_csv(tmp_path: Path) -> None:
    rows = [["до, после", 'он сказал "да"', None, 0.5], ["two\nlines", "", 7, "é"]]
    write_csv(tmp_path / "deep" / "a.csv", ("text", "quote", "none", "number"), iter(rows))
    wanted = 'text,quote,none,number\n"до, после","он сказал ""да""",,0.5\n"two\nlines",,7,é\n'
    assert (tmp_path / "deep" / "a.csv").read_bytes() == wanted.encode()
    with open(tmp_path / "deep" / "a.csv", encoding="utf-8", newline="") as file:
        assert list(csv.reader(file))[1:] == [["" if x is None else str(x) for x in row] for row in rows]


def test_records_come_back_from_jsonl(tmp_path: Path) -> None:
    records = [{"text": "строка\nвторая\u2028", "n": 1}, {}]
    write_jsonl(tmp_path / "deep" / "a.jsonl", iter(records))
    assert (tmp_path / "deep" / "a.jsonl").read_bytes().count(b"\n") == 2
    assert "строка".encode() in (tmp_path / "deep" / "a.jsonl").read_bytes()
    assert list(read_jsonl(tmp_path / "deep" / "a.jsonl")) == records


def test_a_record_that_cannot_be_written_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        write_jsonl(tmp_path / "a.jsonl", [{"n": 1}, {"n": {1}}])
    assert names(tmp_path) == []


def test_a_link_costs_nothing(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("text")
    (tmp_path / "source").symlink_to("real")
    (tmp_path / "deep").mkdir()
    link_or_copy(tmp_path / "source", tmp_path / "deep" / "target")
    assert (tmp_path / "deep" / "target").samefile(tmp_path / "real")
    assert not (tmp_path / "deep" / "target").is_symlink()


def test_a_copy_where_no_link_can_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr("lep.files.os.link", refuse)
    (tmp_path / "source").write_text("text")
    link_or_copy(tmp_path / "source", tmp_path / "target")
    assert (tmp_path / "target").read_text() == "text"
    assert not (tmp_path / "target").samefile(tmp_path / "source")


@pytest.mark.parametrize(
    ("key", "number", "position"),
    [
        ("", 16406829232824261652, 0.8894159948913374),
        ("42/reserve/wiki/1", 6827484261737972599, 0.370118663459345),
        ("42/книга", 3039341055230839446, 0.16476300875028307),
    ],
)
def test_fraction_of_a_key_never_changes(key: str, number: int, position: float) -> None:
    assert hash_number(key) == number
    assert fraction(key) == position


def test_fractions_are_spread_evenly() -> None:
    drawn = [fraction(f"key {i}") for i in range(10_000)]
    assert all(0 <= x < 1 for x in drawn)
    assert abs(sum(x < 0.05 for x in drawn) / len(drawn) - 0.05) < 0.01


def test_what_is_drawn_by_hash_never_changes() -> None:
    """Splits, the tokenizer's sample, the reserve, the held-out conversations: another draw would move every number."""
    recipe = SplitRecipe(tokenizer_fraction=0.1)
    groups = [f"d{i}" for i in range(60)]
    talks = [[{"role": "user", "content": f"вопрос {i}"}] for i in range(200)]
    assert [i for i, g in enumerate(groups) if split_of(g, recipe) != "train"] == [16, 17, 19, 22, 48, 52, 56]
    assert [i for i, g in enumerate(groups) if in_sample(g, recipe)] == [0, 8, 11, 12, 22, 27, 42, 50]
    assert [i for i, g in enumerate(groups) if is_reserved(g, 0.05, 42)] == [6, 14, 26, 28]
    assert [i for i, t in enumerate(talks) if is_held_out(t, 3)] == [10, 23, 47, 58, 63, 103, 144, 198]


GOOD_LINES = {
    "U+2028 in a text": '{"a": "\u2028\u2029\x85"}\n{"a": 1}\n',
    "empty lines": '\n{"a": 1}\n\n  \n{"a": 2}',
    "byte order mark": '\ufeff{"a": 1}\n{"a": 2}\n',
    "CRLF": '{"a": 1}\r\n{"a": 2}\r\n',
}
BAD_LINES = {
    "not JSON": b'{"a": ',
    "not UTF-8": b'{"a": "\xb8"}',
    "nested": b"[" * 100000,
    "number": b"5",
    "null": b"null",
    "long number": b"1" * 5000,
}


@pytest.mark.parametrize("name", GOOD_LINES)
def test_every_reader_of_json_lines_reads_the_same(tmp_path: Path, name: str) -> None:
    """The library's and that of Darumeru, which works alone."""
    (tmp_path / "a.jsonl").write_bytes(GOOD_LINES[name].encode())
    found = list(read_jsonl(tmp_path / "a.jsonl"))
    assert len(found) == 2
    assert found == darumeru.sources._read(tmp_path / "a.jsonl")


@pytest.mark.parametrize("name", BAD_LINES)
def test_every_reader_of_json_lines_names_file_and_line(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'\n{"a": 1}\n' + BAD_LINES[name] + b"\n")
    with pytest.raises(UserError, match=r"a\.jsonl, line 3"):
        list(read_jsonl(tmp_path / "a.jsonl"))
    with pytest.raises(DataError, match=r"a\.jsonl, line 3"):
        darumeru.sources._read(tmp_path / "a.jsonl")
