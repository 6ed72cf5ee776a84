"""The stand-in instructions: schema, shares, right answers, the same by seed."""

from collections import Counter
from pathlib import Path

from lep.calibration.records import read_records
from lep.manifest import verify
from lep.stand_ins.choices import split_words
from lep.stand_ins.instructions import InstructionRecipe, make_instructions


def test_schema_and_shares(instructions: Path) -> None:
    records = list(read_records(instructions))
    assert len(records) == 600
    for record in records:
        assert set(record) == {"messages", "opus_score", "is_bad_by_regex", "source", "language"}
        assert [m["role"] for m in record["messages"]] == ["user", "bot"]
        assert all(m["content"].strip() and "{" not in m["content"] for m in record["messages"])
        assert record["opus_score"] is None or 1 <= record["opus_score"] <= 10
    assert {r["source"] for r in records} == {
        f"made/{k}" for k in ("copy", "choice", "continuation", "summary", "search")
    }
    assert 0.78 < sum(r["language"] == "Russian" for r in records) / 600 < 0.92
    assert 0.04 < sum(r["is_bad_by_regex"] for r in records) / 600 < 0.12
    assert 0.14 < sum((r["opus_score"] or 10) < 8 for r in records) / 600 < 0.26
    assert 0.05 < sum(r["opus_score"] is None for r in records) / 600 < 0.15


def test_good_answers_are_right(instructions: Path) -> None:
    checked: Counter = Counter()
    for record in read_records(instructions):
        question, answer = (message["content"] for message in record["messages"])
        if record["is_bad_by_regex"] or (record["opus_score"] or 10) < 8:
            continue
        if record["source"] == "made/copy":
            assert answer in question
        elif record["source"] == "made/search":
            word = question.split("«" if "«" in question else '"')[1].split("»")[0].split('"')[0]
            options = [line for line in question.splitlines() if line[:2] in ("A.", "B.", "C.", "D.")]
            holding = [o[0] for o in options if word.casefold() in {w.casefold() for w in split_words(o[3:])}]
            assert holding == [answer[-1]]
        checked[record["source"]] += 1
    assert checked["made/copy"] > 20
    assert checked["made/search"] > 20


def test_deterministic_by_seed(verses: Path, instructions: Path, tmp_path: Path) -> None:
    make_instructions(verses, tmp_path / "again", InstructionRecipe(records=600))
    assert verify(tmp_path / "again")["files"] == verify(instructions)["files"]
    make_instructions(verses, tmp_path / "other", InstructionRecipe(records=600, seed=1))
    assert verify(tmp_path / "other")["files"] != verify(instructions)["files"]
