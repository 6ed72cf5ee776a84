"""Reading of scores.csv, metrics.csv and the published values: what cannot be right is refused with its line."""

import json
from collections import Counter
from pathlib import Path

import pytest
from fixtures.report import FAMILIES, PUBLISHED, read_rows, write_rows
from lep.config import UserError
from lep.names import COLUMNS, GROUPS, MICRO, TASKS, micro_average, parse_families
from lep.report.published import PUBLISHED_COLUMNS, find_published, read_published
from lep.report.scores import METRIC_COLUMNS, SCORE_COLUMNS, read_metrics, read_samples, read_scores

GOOD = {
    "model": "llama/base", "step": "", "shots": "5", "level": "task", "name": "parus", "metric": "score",
    "value": "0.5", "low": "0.4", "high": "0.6", "n": "24", "chance": "0.25", "task_version": "1.0",
    "prompt_hash": "0" * 16, "engine": "transformers 5.0",
}  # fmt: skip
CHECKPOINT = {"model": "llama/bpe/cpt-050", "step": "60"}
MICRO_ROW = {"level": "micro", "name": MICRO}


def score_file(folder: Path, *changes: dict) -> Path:
    """scores.csv with a row per change of `GOOD`; the first is line 2."""
    return write_rows(folder / "scores.csv", SCORE_COLUMNS, [GOOD | change for change in changes])


def metric_file(folder: Path, *rows: tuple[str, str, str, str]) -> Path:
    named = [dict(zip(METRIC_COLUMNS, row, strict=True)) for row in rows]
    return write_rows(folder / "metrics.csv", METRIC_COLUMNS, named)


def published_file(folder: Path, line: int, **change: str) -> Path:
    rows = read_rows(PUBLISHED)
    rows[line - 2] |= change
    return write_rows(folder / "published.csv", PUBLISHED_COLUMNS, rows)


def test_values_are_read_as_written(tmp_path: Path) -> None:
    accuracy = {"metric": "accuracy", "value": "0.9", "low": "0.8", "high": "1.0", "chance": "", "n": ""}
    path = score_file(tmp_path, {}, accuracy, CHECKPOINT | {"value": "-0.1", "low": "-0.2", "high": "0.1"})
    scores = read_scores(path, parse_families(FAMILIES))
    parus = scores.need("llama/base", "parus")
    assert (parus.value, parus.low, parus.high, parus.n, parus.chance, parus.shots) == (0.5, 0.4, 0.6, 24, 0.25, 5)
    assert (parus.step, parus.line) == (None, 2)
    later = scores.need("llama/bpe/cpt-050", "parus")
    assert (later.value, later.step, later.line) == (-0.1, 60, 4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"value": "nan"}, "value is 'nan'; it must be a finite number"),
        ({"value": ""}, "value is ''; it must be a finite number"),
        ({"high": "inf"}, "high is 'inf'; it must be a finite number"),
        ({"low": "no"}, "low is 'no'; it must be a finite number"),
        ({"metric": "accuracy", "value": "NaN"}, "value is 'NaN'; it must be a finite number"),
        ({"low": "0.7"}, "low 0.7 is above high 0.6"),
        ({"name": "paruss"}, "unknown task 'paruss'; use rummlu, .*parus"),
        ({"name": "daru_mmlu"}, "unknown task 'daru_mmlu'"),
        ({"level": "group"}, "unknown group 'parus'; use daru_mmlu"),
        ({"level": "subject"}, "unknown level 'subject'; use task, group, micro"),
        ({"model": "llama/extended/convertion"}, "'llama/extended/convertion' is not a model name"),
        ({"model": "llama/conversion"}, "is not a model name; use FAMILY/ROLE"),
        ({"model": "llama/bpe/cpt-50", "step": "60"}, "is not a model name; use FAMILY/ROLE"),
        ({"model": "llama/bpe/conversion/saiga/self"}, "is not a model name; use FAMILY/ROLE"),
        ({"model": "qwen/base"}, "has an unknown family; use one of llama, mistral"),
        ({"n": "0"}, "n is 0; it must be the number"),
        ({"n": "3.5"}, "n is '3.5'; it must be a whole number"),
        ({"n": "nan"}, "n is 'nan'; it must be a finite number"),
        ({"chance": ""}, "chance is ''; it must be a finite number"),
        ({"shots": "-1"}, "shots is '-1'; it must be a whole number"),
        (CHECKPOINT | {"step": ""}, "checkpoint llama/bpe/cpt-050 has no step"),
        (CHECKPOINT | {"step": "60.5"}, "step is '60.5'; it must be a whole number"),
    ],
)
def test_a_bad_row_is_refused_with_its_line(tmp_path: Path, change: dict, message: str) -> None:
    families = parse_families(FAMILIES)
    good = {"name": "rwsd"}
    read_scores(score_file(tmp_path, good), families)
    with pytest.raises(UserError, match=rf"scores\.csv, line 3: .*{message}"):
        read_scores(score_file(tmp_path, good, change, {"name": "rcb"}), families)


def test_a_repeated_row_is_refused_with_both_lines(tmp_path: Path) -> None:
    path = score_file(tmp_path, {}, {"name": "rcb"}, {"value": "0.51"})
    with pytest.raises(UserError, match=r"line 4 repeats line 2 .*llama/base, task, parus, score"):
        read_scores(path)
    read_scores(score_file(tmp_path, {}, {"metric": "accuracy"}, {"model": "llama/instruct"}))


@pytest.mark.parametrize("cut", ["chance", "value", "model"])
def test_missing_columns_are_named(tmp_path: Path, cut: str) -> None:
    columns = tuple(column for column in SCORE_COLUMNS if column != cut)
    path = write_rows(tmp_path / "scores.csv", columns, [{column: GOOD[column] for column in columns}])
    with pytest.raises(UserError, match=f"lacks the columns {cut};"):
        read_scores(path)
    (tmp_path / "empty.csv").touch()
    with pytest.raises(UserError, match="lacks the columns model, step"):
        read_scores(tmp_path / "empty.csv")


def test_scores_without_an_engine_are_read(tmp_path: Path) -> None:
    """Those of earlier versions, which recorded none."""
    path = write_rows(tmp_path / "scores.csv", SCORE_COLUMNS[:-1], [{k: GOOD[k] for k in SCORE_COLUMNS[:-1]}])
    assert read_scores(path).need("llama/base", "parus").engine == ""
    assert read_scores(score_file(tmp_path, {})).need("llama/base", "parus").engine == "transformers 5.0"


@pytest.mark.parametrize("ending", [",more\n", None])
def test_a_line_with_other_fields_is_refused(tmp_path: Path, ending: str | None) -> None:
    path = score_file(tmp_path, {}, {"name": "rcb"})
    text = path.read_text().removesuffix("\n")
    path.write_text(text + ending if ending else text.rpartition(",")[0] + "\n")
    with pytest.raises(UserError, match="line 3 must have 13 fields"):
        read_scores(path)


def test_missing_file_model_and_score(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nothing\.csv does not exist"):
        read_scores(tmp_path / "nothing.csv")
    scores = read_scores(score_file(tmp_path, {}, CHECKPOINT))
    assert scores.get("llama/instruct", MICRO) is None
    with pytest.raises(UserError, match=r"no scores of llama/instruct.*has llama/base, llama/bpe/cpt-050"):
        scores.need("llama/instruct", MICRO)
    assert scores.get("llama/base", "rcb") is None
    with pytest.raises(UserError, match="no rcb of llama/base"):
        scores.need("llama/base", "rcb")
    assert scores.checkpoints("llama", "unigram") == []
    for find in (scores.last, scores.donor):
        with pytest.raises(UserError, match="no checkpoint llama/unigram/cpt-NNN"):
            find("llama", "unigram")


def test_checkpoints_are_in_the_order_of_steps(tmp_path: Path) -> None:
    steps = {"cpt-100": "1000", "cpt-025": "250", "cpt-050": "500"}
    rows = [{"model": f"llama/bpe/{name}", "step": step} for name, step in steps.items()]
    other = [{"model": f"{run}/cpt-075", "step": "1"} for run in ("llama/unigram", "mistral/bpe")]
    scores = read_scores(score_file(tmp_path, *rows, *other))
    found = [(250, "llama/bpe/cpt-025"), (500, "llama/bpe/cpt-050"), (1000, "llama/bpe/cpt-100")]
    assert scores.checkpoints("llama", "bpe") == found
    assert scores.donor("llama", "bpe") == "llama/bpe/cpt-100"  # none has a Micro-Avg


@pytest.mark.parametrize(
    ("values", "best"), [((0.3, 0.5, 0.4), "050"), ((0.5, 0.5, 0.4), "050"), ((0.4, 0.3, 0.4), "100")]
)
def test_donor_is_the_best_and_of_equals_the_later(tmp_path: Path, values: tuple, best: str) -> None:
    steps = {"025": "9", "050": "18", "100": "100"}  # as text, 9 is the last
    rows = [
        MICRO_ROW | {"model": f"llama/bpe/cpt-{name}", "step": step, "value": str(value), "low": "0", "high": "1"}
        for (name, step), value in zip(steps.items(), values, strict=True)
    ]
    assert read_scores(score_file(tmp_path, *reversed(rows))).donor("llama", "bpe") == f"llama/bpe/cpt-{best}"


def test_metrics(tmp_path: Path) -> None:
    rows = [("vocabulary", "llama/bpe", "symbols_per_token", "3.41"), ("vocabulary", "llama/bpe", "kind", "byte-level")]
    metrics = read_metrics(metric_file(tmp_path, *rows, ("propagation", "llama/bpe", "symbols_per_token", "1")))
    assert metrics.need("vocabulary", "llama/bpe", "symbols_per_token") == 3.41
    assert metrics.get("vocabulary", "llama/unigram", "symbols_per_token") is None
    with pytest.raises(UserError, match="line 3: value is 'byte-level'; it must be a finite number"):
        metrics.need("vocabulary", "llama/bpe", "kind")
    with pytest.raises(UserError, match="no row vocabulary,llama/unigram,symbols_per_token"):
        metrics.need("vocabulary", "llama/unigram", "symbols_per_token")


@pytest.mark.parametrize("value", ["nan", "NaN", "-nan", "inf", "-Infinity"])
def test_metrics_without_a_finite_value_are_refused(tmp_path: Path, value: str) -> None:
    path = metric_file(tmp_path, ("a", "llama/bpe", "x", "1"), ("a", "llama/bpe", "y", value))
    with pytest.raises(UserError, match=f"line 3: value is {value}"):
        read_metrics(path)


def test_repeated_and_incomplete_metrics_are_refused(tmp_path: Path) -> None:
    row = ("a", "llama/bpe", "x", "1")
    with pytest.raises(UserError, match="line 4 repeats line 2"):
        read_metrics(metric_file(tmp_path, row, ("a", "llama/bpe", "y", "1"), row))
    (tmp_path / "metrics.csv").write_text("kind,model,value\na,b,1\n")
    with pytest.raises(UserError, match="lacks the columns name;"):
        read_metrics(tmp_path / "metrics.csv")


def test_published_rows_satisfy_the_micro_average() -> None:
    rows = read_published(PUBLISHED)
    assert Counter(row.table for row in rows) == {1: 8, 2: 9, 3: 21, 4: 20}
    for row in rows:
        mmlu, mera, summary, copy_en, copy_ru = (row.values[group] for group in GROUPS)
        mean = (3 * mmlu + 8 * mera + 2 * summary + 2 * copy_en + 2 * copy_ru) / 17
        assert abs(mean - row.values[MICRO]) < 0.001, row
        assert micro_average({group: row.values[group] for group in GROUPS}) == pytest.approx(mean)
        assert ("symbols_per_token" in row.values) == (row.table == 2)
    assert len(TASKS) == 17


def test_published_tables_agree_where_they_show_the_same_model() -> None:
    rows = read_published(PUBLISHED)
    named = {
        (r.table, r.family, r.vocabulary, r.lep, r.calibration): r.values for r in rows if r.family != "comparator"
    }
    for family in ("mistral-7b", "llama-3-8b"):
        assert named[1, family, "", "", ""] == named[4, family, "original", "", "none"]
        best = named[1, family, "extended", "conversion", "saiga+copy"]
        assert best == named[4, family, "extended", "conversion", "saiga+copy"]
        for vocabulary in ("unigram", "extended") if family == "mistral-7b" else ("extended", "optimized"):
            assert named[3, family, vocabulary, "conversion", ""] == named[4, family, vocabulary, "conversion", "none"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"micro_avg": "nan"}, "line 9: micro_avg is 'nan'"),
        ({"daru_sum": "-"}, "line 9: daru_sum is '-'"),
        ({"daru_copy_ru": ""}, "line 9 has no daru_copy_ru"),
        ({"table": "5"}, "line 9: unknown table '5'"),
        ({"table": ""}, "line 9: unknown table ''"),
    ],
)
def test_bad_published_rows_are_refused(tmp_path: Path, change: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_published(published_file(tmp_path, 9, **change))


def test_repeated_and_incomplete_published_rows_are_refused(tmp_path: Path) -> None:
    first = read_rows(PUBLISHED)[9]
    with pytest.raises(UserError, match=r"line 12 repeats line 11 \(2, mistral-7b, base, bpe\)"):
        read_published(published_file(tmp_path, 12, **first | {"micro_avg": "0.9"}))
    columns = tuple(column for column in PUBLISHED_COLUMNS if column not in ("lep", "daru_sum"))
    rows = [{column: row[column] for column in columns} for row in read_rows(PUBLISHED)]
    with pytest.raises(UserError, match="lacks the columns lep, daru_sum;"):
        read_published(write_rows(tmp_path / "published.csv", columns, rows))


def test_find_published_of_our_names() -> None:
    rows = read_published(PUBLISHED)
    _, llama = parse_families(FAMILIES)
    copying = find_published(rows, 4, llama, "optimized", "conversion", "saiga_copy")
    assert [copying.values[name] for name in COLUMNS] == [0.617, 0.555, 0.522, 0.339, 1.0, 0.989]
    assert find_published(rows, 4, llama, "optimized", "conversion", "self").values[MICRO] == 0.601
    assert find_published(rows, 4, llama, "bpe", "conversion", "self") is None
    ours = parse_families([{**FAMILIES[1], "published_family": None}])[0]
    assert find_published(rows, 4, ours, "optimized", "conversion", "self") is None


def test_samples(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    good = {"family": "llama", "prompt": "?", "answers": [{"model": "m", "label": "LEP", "text": "да", "ids": [1]}]}
    path.write_text(json.dumps(good) + "\n")
    assert read_samples(path) == [{**good, "answers": [{"model": "m", "label": "LEP", "text": "да"}]}]
    bad = ["{", "[]", json.dumps({"family": "llama", "prompt": "?"}), json.dumps({**good, "answers": [{"text": ""}]})]
    for line in bad:
        path.write_text(json.dumps(good) + "\n" + line + "\n")
        with pytest.raises(UserError, match=r"line 2(:| is not a sample)"):
            read_samples(path)
    path.write_text("")
    with pytest.raises(UserError, match="is empty"):
        read_samples(path)
