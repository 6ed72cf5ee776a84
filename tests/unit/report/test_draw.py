"""Tables and figures from scores alone: the paper's own numbers digit for digit, and what a user's file may lack."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from fixtures.report import (
    COMPARATORS,
    FAMILIES,
    PUBLISHED,
    ROOT,
    Files,
    change_rows,
    make_files,
    read_rows,
    write_rows,
)
from lep.config import UserError
from lep.names import COLUMNS
from lep.report.draw import draw_scores, merge_settings
from lep.report.markup import number

SETTINGS = {"families": FAMILIES, "comparators": COMPARATORS}
# Heavy libraries cannot be imported in this process.
LIGHT = (
    "import sys; sys.modules |= dict.fromkeys(('torch', 'transformers', 'tokenizers', 'lm_eval', 'datasets'));"
    "sys.argv[0] = 'draw'; import runpy; runpy.run_module('lep.report.draw', run_name='__main__')"
)
FIGURES = ("figure1", "figure2", "symbols_per_token")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return make_files(tmp_path_factory.mktemp("files"), items=4, draws=20)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """What `make figures SOURCE=published` writes, and what it says."""
    out = tmp_path_factory.mktemp("published")
    result = draw("--source", "published", "--out", str(out))
    assert result.returncode == 0, result.stderr
    return out, result.stderr


def draw(*arguments: str) -> subprocess.CompletedProcess:
    environment = os.environ | {"PYTHONPATH": str(ROOT / "scripts")}
    command = [sys.executable, "-c", LIGHT, *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_the_papers_tables_digit_for_digit(published: tuple[Path, str], n: int) -> None:
    """In CSV, Markdown and LaTeX, every value of every row in the paper's order."""
    folder = published[0] / "tables"
    paper = [row for row in read_rows(PUBLISHED) if row["table"] == str(n)]
    columns = (*(["symbols_per_token"] if n == 2 else []), *COLUMNS)
    shown = [[number(float(row[c]), 2 if c == "symbols_per_token" else 3) for c in columns] for row in paper]
    assert [[float(row[f"paper_{c}"]) for c in columns] for row in read_rows(folder / f"table{n}.csv")] == [
        [float(row[c]) for c in columns] for row in paper
    ]
    lines = [line for line in (folder / f"table{n}.md").read_text().splitlines() if line.startswith("|")][2:]
    assert [
        [cell.strip(" *\u2191\u2193") for cell in line.split("|")[-len(columns) - 1 : -1]] for line in lines
    ] == shown
    body = (folder / f"table{n}.tex").read_text()
    for values in shown:
        for value in values:
            assert value in body
    assert len(read_rows(folder / f"table{n}.tidy.csv")) == len(paper) * len(columns)


def test_the_papers_figures(published: tuple[Path, str]) -> None:
    out, said = published
    assert sorted(path.stem for path in (out / "figures").glob("*.pdf")) == list(FIGURES)
    bars = read_rows(out / "figures/figure1.csv")
    first = [row for row in read_rows(PUBLISHED) if row["table"] == "1"]
    assert [(row["label"], float(row["micro_avg"])) for row in bars] == [
        (row["model"], float(row["micro_avg"])) for row in first
    ]
    assert [line for line in said.splitlines() if "Figure 3 is left out" in line] != []
    run = json.loads((out / "run_id.json").read_text())["run"]
    assert run.startswith("published-")
    assert {row["run"] for row in bars} == {run}


def test_own_scores_are_drawn_with_what_lies_beside_them(files: Files, tmp_path: Path) -> None:
    draw_scores(files.scores, SETTINGS, PUBLISHED, tmp_path, files.metrics, files.samples)
    assert {path.stem for path in (tmp_path / "figures").glob("*.png")} == {*FIGURES, "figure3"}
    row = read_rows(tmp_path / "tables/table3.csv")[0]
    score = next(r for r in read_rows(files.scores) if (r["model"], r["name"]) == (row["model"], "micro_avg"))
    assert (row["micro_avg"], row["paper_micro_avg"]) == (score["value"], "0.587")


def test_scores_of_one_model_alone_still_make_all_tables(files: Files, tmp_path: Path) -> None:
    one = "llama/extended/conversion"
    scores = change_rows(files.scores, tmp_path / "s.csv", lambda row: row if row["model"] == one else None)
    draw_scores(scores, SETTINGS, PUBLISHED, tmp_path / "out")
    for n, rows in {1: 8, 2: 9, 3: 21, 4: 20}.items():
        table = read_rows(tmp_path / f"out/tables/table{n}.csv")
        assert len(table) == rows
        assert {row["model"] for row in table if row["micro_avg"]} == ({one} if n > 2 else set())


def test_the_methods_of_the_configuration_are_shown(files: Files, tmp_path: Path) -> None:
    settings = SETTINGS | {"propagation": {"methods": ["swap", "conversion"]}}
    draw_scores(files.scores, settings, PUBLISHED, tmp_path, files.metrics)
    assert {row["lep"] for row in read_rows(tmp_path / "tables/table3.csv")} == {"Swap", "Conversion"}


BAD = {
    "twice": (lambda rows: [*rows, rows[0]], "repeats line 2"),
    "nan": (lambda rows: [rows[0] | {"value": "nan"}, *rows[1:]], "line 2: value is 'nan'; it must be a finite number"),
    "task": (lambda rows: [rows[0] | {"name": "rte"}, *rows[1:]], "line 2: unknown task 'rte'; use rummlu"),
    "model": (
        lambda rows: [rows[0] | {"model": "llama/wide/swap"}, *rows[1:]],
        "line 2: 'llama/wide/swap' is not a model name",
    ),
    "family": (
        lambda rows: [rows[0] | {"model": "gpt/base"}, *rows[1:]],
        "line 2: gpt/base has an unknown family",
    ),
}


@pytest.mark.parametrize(("change", "message"), BAD.values(), ids=BAD.keys())
def test_bad_scores_are_refused_with_their_line_and_leave_nothing(
    files: Files, tmp_path: Path, change, message: str
) -> None:
    rows = change(read_rows(files.scores))
    scores = write_rows(tmp_path / "mine.csv", tuple(rows[0]), rows)
    with pytest.raises(UserError, match=r"mine\.csv, line") as raised:
        draw_scores(scores, SETTINGS, PUBLISHED, tmp_path / "out")
    assert message in str(raised.value)
    assert not (tmp_path / "out").exists()


def test_the_command_refuses_what_is_not_there(tmp_path: Path) -> None:
    result = draw("--scores", str(tmp_path / "no.csv"), "--out", str(tmp_path / "out"))
    assert result.returncode == 1
    assert "no.csv does not exist; give an existing file of scores" in result.stderr
    assert "Traceback" not in result.stderr
    assert draw().returncode == 2


def test_overlays_are_merged_as_snakemake_merges_them(tmp_path: Path) -> None:
    from snakemake.utils import update_config

    paths = [ROOT / "config.yaml", ROOT / "configs/ci.yaml", ROOT / "configs/small.yaml"]
    wanted: dict = {}
    for path in paths:
        update_config(wanted, yaml.safe_load(path.read_text(encoding="utf-8")))
    assert merge_settings(paths) == wanted
    with pytest.raises(UserError, match=r"no\.yaml does not exist"):
        merge_settings([tmp_path / "no.yaml"])
