"""Each metric of the benchmark against numbers that can be worked by hand: the tables of `benchmark/`.

A table has the strings that go in, the numbers that come out (as fractions) and why. The numbers are those that the
authors' code gives for the same strings; where we differ on purpose both have a column. `docs/fidelity.md` lists what
was compared.
"""

import csv
import re
from fractions import Fraction
from pathlib import Path

import pytest
from darumeru import metrics, scoring
from darumeru.specs import SPECS

TABLES = Path(__file__).with_name("benchmark")


class Words:
    """A tokenizer with one token for each word."""

    def tokenize(self, text: str) -> list[str]:
        return text.split()

    def encode(self, text: str, add_special_tokens: bool = True) -> list[str]:
        return text.split()


def rows(table: str) -> list[dict[str, str]]:
    with (TABLES / f"{table}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def numbers(row: dict[str, str], *columns: str) -> dict[str, float]:
    return {column: pytest.approx(float(Fraction(row[column]))) for column in columns}


def table(name: str) -> pytest.MarkDecorator:
    """One test for each row of a table."""
    return pytest.mark.parametrize("row", rows(name), ids=lambda row: row["why"])


def some(found: dict, *columns: str) -> dict[str, float]:
    return {column: found[column] for column in columns}


@table("answers")
def test_multiq(row: dict) -> None:
    found = scoring.answer_scores(row["said"], row["right"].split("|"))
    assert found == numbers(row, "f1", "exact_match")


@table("exam")
def test_use(row: dict) -> None:
    found = scoring.exam_points(row["said"], row["right"], row["kind"], row["task"])
    assert found == numbers(row, "points", "points_by_count")


@table("rouge")
def test_summaries(row: dict) -> None:
    kinds = [f"rouge{n}{kind}" for n in (1, 2) for kind in ("", "_recall", "_typographic")]
    assert scoring.rouge(row["said"], row["right"]) == numbers(row, *kinds)


@table("copies")
def test_copied_paragraphs(row: dict) -> None:
    columns = ("lcs", "copied", "lcs_tokens")
    found = scoring.copy_scores(row["said"], row["right"], Words(), 100)
    assert some(found, *columns) == numbers(row, *columns)


@table("labels")
def test_mixed_metrics(row: dict) -> None:
    options = SPECS[row["task"]].options
    pairs = zip(row["gold"].split(), row["said"].split(), strict=True)
    values = [{"item": i, "gold": options.index(g), "pred": options.index(s)} for i, (g, s) in enumerate(pairs)]
    found = metrics.aggregate(row["task"], values)
    second = "mcc" if row["task"] == "rucola" else "macro_f1"
    assert some(found, "accuracy", "score") == numbers(row, "accuracy", "score")
    assert {"second": found[second]} == numbers(row, "second")


@table("pairs")
def test_parus(row: dict) -> None:
    values = [
        {"item": f"{pair}/{order}", "pair": pair, "gold": 1, "pred": int(verdict == "right")}
        for order in ("first_order", "turned_round")
        for pair, verdict in enumerate(row[order].split())
    ]
    assert metrics.aggregate("parus", values) == numbers(row, "score", "accuracy")


@table("rankings")
def test_extracts(row: dict) -> None:
    scores, gold = [float(score) for score in row["scores"].split()], [int(index) for index in row["gold"].split()]
    assert {"r_precision": scoring.r_precision(scores, gold)[0]} == numbers(row, "r_precision")


@table("categories")
def test_mmlu(row: dict) -> None:
    values = []
    for subject, category, share in (entry.split() for entry in row["subjects"].split("; ")):
        right, questions = map(int, share.split("/"))
        values += [
            {"item": f"{subject} {n}", "subject": subject, "category": category, "gold": 1, "pred": int(n < right)}
            for n in range(questions)
        ]
    assert metrics.aggregate("nlpcore_enmmlu", values) == numbers(row, "score", "accuracy")


class Pieces:
    """A tokenizer of words with their blank and of punctuation, which may take the line ends behind it (`joined`)."""

    def __init__(self, joined: bool) -> None:
        self.piece = re.compile(r" ?\w+|[^\w\s]\n*|\n" if joined else r" ?\w+|[^\w\s]|\n")

    def tokenize(self, text: str) -> list[str]:
        return self.piece.findall(text)

    def encode(self, text: str, add_special_tokens: bool = True) -> list[str]:
        return self.tokenize(text)

    def decode(self, tokens: list[str]) -> str:
        return "".join(tokens)


@table("copy_length")
def test_length_of_copies(row: dict) -> None:
    tokenizer, stop = Pieces(row["vocabulary"] == "joined"), {"yes": "\n", "no": ""}[row["stop"]]
    found = scoring.copy_scores(row["said"], row["right"], tokenizer, 8, stop)
    columns = ("length_ratio", "length_ratio_text")
    assert some(found, *columns) == numbers(row, *columns)
