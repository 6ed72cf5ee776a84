"""The table of wrong answers: which are listed, how texts are shortened, what the files hold."""

import csv
import gzip
import json
from pathlib import Path

import pytest
from lep.evaluation.wrong_answers import COLUMNS, list_wrong_answers, shortened, worst


def line(task: str, item: int, value: dict, model: str = "m", **texts: str) -> dict:
    return {"model": model, "task": task, "item": str(item), "value": value, "question": "вопрос?", "target": "да",
            "output": "нет"} | texts  # fmt: skip


RIGHT, WRONG = {"gold": 1, "pred": 1}, {"gold": 1, "pred": 0}


def test_the_worst_come_first_and_right_ones_never() -> None:
    lines = [
        line("rcb", 0, RIGHT), line("rcb", 1, WRONG), line("rcb", 2, WRONG),
        line("multiq", 5, {"f1": 0.8, "exact_match": 0.0}), line("multiq", 6, {"f1": 0.2, "exact_match": 0.0}),
        line("rwsd", 7, RIGHT),
    ]  # fmt: skip
    assert [(row["task"], row["item"], row["score"]) for row in worst(lines, 1)] == [
        ("multiq", "6", "0.10"),
        ("rcb", "1", "0.00"),
    ]
    assert [row["item"] for row in worst(lines, 5)] == ["6", "5", "1", "2"]
    assert worst(lines, 0) == []


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", "(empty)"),
        (" \n ", "(empty)"),
        ("один\n\n два ", "один / два"),
        ("а\ufffd漢", "а<U+FFFD><U+6F22>"),
        ("x" * 120, "x" * 120),
        ("a" * 70 + "b" * 70, "a" * 58 + " … " + "b" * 58),
    ],
)
def test_shortened(text: str, shown: str) -> None:
    assert shortened(text) == shown


def test_both_files_list_the_models_in_order(tmp_path: Path) -> None:
    for name in ("a", "b"):
        lines = [line("rcb", 3, WRONG, f"family/{name}", question="да|нет"), line("rcb", 4, WRONG, "another")]
        with gzip.open(tmp_path / f"{name}.gz", "wt", encoding="utf-8") as file:
            file.writelines(json.dumps(entry) + "\n" for entry in lines)
    outputs = {"csv": tmp_path / "errors.csv", "md": tmp_path / "errors.md"}
    list_wrong_answers([tmp_path / "a.gz", tmp_path / "b.gz"], ["family/b", "family/a"], 2, outputs, "mini-0123")
    with open(outputs["csv"], encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["model"] for row in rows] == ["family/b", "family/a"]
    assert tuple(rows[0]) == (*COLUMNS, "run")
    assert "Run `mini-0123`." in outputs["md"].read_text()
    assert "| да\\|нет |" in outputs["md"].read_text(encoding="utf-8")
