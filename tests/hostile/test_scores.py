"""The border of scores and other tables: a file that is not what it says is named with its line."""

import csv
import io
from pathlib import Path

import pytest
from fixtures.checkout import ROOT
from fixtures.hostile import broken, held, outcome
from hypothesis import given
from hypothesis import strategies as some
from lep.report.draw import merge_settings
from lep.report.published import read_published
from lep.report.scores import METRIC_COLUMNS, SCORE_COLUMNS, read_metrics, read_samples, read_scores

ROW = ("llama/base", "", "5", "task", "rcb", "score", "0.5", "0.4", "0.6", "8", "0.3", "2.0", "0" * 16, "hf")
METRIC = ("vocabulary", "llama/bpe", "symbols_per_token", "3.4")


def table(columns: tuple[str, ...], *rows: tuple[str, ...]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([columns, *rows])
    return text.getvalue().encode()


def scores(**changes: str) -> bytes:
    """A table of two scores, the second with other values."""
    values = dict(zip(SCORE_COLUMNS, ROW, strict=True)) | {"name": "rwsd"} | changes
    return table(SCORE_COLUMNS, ROW, tuple(values.values()))


GOOD, GOOD_METRICS = scores(), table(METRIC_COLUMNS, METRIC)
GOOD_PUBLISHED = (ROOT / "data/published_scores.csv").read_bytes()
SAMPLE = (
    '{"family": "llama", "prompt": "Что?", "answers": [{"model": "llama/base", "label": "original", "text": "Да"}]}'
)
GOOD_SAMPLES = f"{SAMPLE}\n".encode()
CONFIG = b"families: []\nscale: ci\n"
ROWS = [
    (read_scores, b"", "lacks the columns model, step"),
    (read_scores, b"model\n", "lacks the columns step"),
    (read_scores, GOOD.replace(b"0.5", b"0,5"), "line 2 must have 13 fields"),
    (read_scores, GOOD + b"x,y\n", "line 4 must have 13 fields"),
    (read_scores, GOOD + ",".join(ROW).encode(), "line 4 repeats line 2"),
    (read_scores, GOOD.decode().encode("utf-16"), "is not UTF-8"),
    (read_scores, GOOD + "модель".encode("cp1251"), "is not UTF-8"),
    (read_scores, GOOD.replace(b"llama", b"ll\x00ma"), "line 2"),
    (read_scores, scores(value="nan"), "line 3: value is 'nan'; it must be a finite number"),
    (read_scores, scores(value="inf"), "finite number"),
    (read_scores, scores(value=""), "finite number"),
    (read_scores, scores(value="half"), "finite number"),
    (read_scores, scores(low="0.9"), "low 0.9 is above high 0.6"),
    (read_scores, scores(n="0"), "n is 0; it must be the number of scored items"),
    (read_scores, scores(n="2.5"), "must be a whole number"),
    (read_scores, scores(shots="-1"), "must be a whole number, 0 or more"),
    (read_scores, scores(chance="x"), "chance is 'x'"),
    (read_scores, scores(level="city"), "unknown level 'city'; use task, group, micro"),
    (read_scores, scores(name="nosuch"), "unknown task 'nosuch'"),
    (read_scores, scores(model="llama"), "line 3"),
    (read_scores, scores(model="../x/base"), "line 3"),
    (read_scores, scores(model="llama/bpe/cpt-050"), "has no step; give the training step"),
    (read_scores, scores(model="llama/bpe/cpt-050", step="x"), "step is 'x'"),
    (read_metrics, b"", "lacks the columns"),
    (read_metrics, GOOD_METRICS.replace(b"3.4", b"nan"), "line 2: value is nan"),
    (read_metrics, GOOD_METRICS + ",".join(METRIC).encode(), "repeats line 2"),
    (read_metrics, GOOD_METRICS + b"\xff", "is not UTF-8"),
    (read_published, b"\xff", "is not UTF-8"),
    (read_published, GOOD_PUBLISHED.split(b"\n")[0][5:], "lacks the columns"),
    (read_published, GOOD_PUBLISHED.replace(b"\n1,", b"\n7,", 1), "unknown table '7'; use 1, 2, 3 or 4"),
    (read_samples, b"", "is empty; generate sample answers first"),
    (read_samples, b"{", "line 1: not JSON"),
    (read_samples, b"[]", "line 1: list instead of an object"),
    (read_samples, GOOD_SAMPLES.replace(b'"prompt"', b'"question"'), "write family, prompt, answers"),
    (read_samples, GOOD_SAMPLES + b"\xff\n", "line 2: not UTF-8"),
    (lambda path: merge_settings([path]), b"- a\n", "must be a mapping"),
    (lambda path: merge_settings([path]), b"a: [\n", "is not YAML"),
    (lambda path: merge_settings([path]), b"a: \xff\n", "is not YAML"),
]  # fmt: skip


@pytest.mark.parametrize(("read", "data", "words"), ROWS, ids=range(len(ROWS)))
def test_a_bad_table_is_named(read, data: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "given.csv").write_bytes(data)
    message = outcome(read, tmp_path / "given.csv", kept=tmp_path)
    assert words in message
    assert "given.csv" in message


@pytest.mark.parametrize(
    ("read", "data"),
    [(read_scores, GOOD), (read_metrics, GOOD_METRICS), (read_published, GOOD_PUBLISHED), (read_samples, GOOD_SAMPLES)],
)
def test_a_byte_order_mark_is_no_fault(read, data: bytes, tmp_path: Path) -> None:
    """As spreadsheets write it; so are their line ends."""
    (tmp_path / "given.csv").write_bytes(b"\xef\xbb\xbf" + data.replace(b"\n", b"\r\n"))
    assert outcome(read, tmp_path / "given.csv", kept=tmp_path) == ""


KINDS = [(read_scores, GOOD), (read_metrics, GOOD_METRICS), (read_published, GOOD_PUBLISHED),
         (read_samples, GOOD_SAMPLES), (lambda path: merge_settings([path]), CONFIG)]  # fmt: skip


@held
@given(kind=some.sampled_from(KINDS), place=some.integers(0, 4000), change=some.integers(0, 11))
def test_any_change_is_read_or_refused(kind: tuple, place: int, change: int, tmp_path: Path) -> None:
    read, data = kind
    (tmp_path / "given.csv").write_bytes(broken(data, place, change))
    outcome(read, tmp_path / "given.csv", kept=tmp_path)
