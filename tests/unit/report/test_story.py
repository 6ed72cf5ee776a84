"""The three sentences of the abstract, and the figures of the claims: counted by hand."""

import csv
from pathlib import Path

import pytest
from fixtures.report import FAMILIES, PUBLISHED, Files, change_rows, make_files, outputs
from lep.names import MICRO, TASKS, parse_families
from lep.report.claim_list import KINDS
from lep.report.claims import COLUMNS, read_claims, write_claims
from lep.report.figure_claims import plot_claims
from lep.report.scores import read_scores
from lep.report.story import tell


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return make_files(tmp_path_factory.mktemp("files"), items=6, draws=20)


@pytest.fixture(scope="module")
def claims(files: Files) -> Path:
    target = files.scores.parent / "claims.csv"
    write_claims(FAMILIES, files.scores, files.metrics, PUBLISHED, files.answers, target, draws=20)
    return target


def claim(name: str, ours: float, low: float, high: float, verdict: str) -> dict[str, str]:
    return dict.fromkeys(COLUMNS, "") | {
        "id": name, "ours": str(ours), "low": str(low), "high": str(high), "verdict": verdict,
    }  # fmt: skip


def test_the_story_counts_what_is_above_chance_and_what_differs(files: Files, tmp_path: Path) -> None:
    first = "llama/instruct"

    def change(row: dict) -> dict:
        above = row["model"] == first and row["name"] in ("rcb", MICRO)
        return row | {"value": "0.5", "low": "0.4" if above else "0.2", "high": "0.6", "chance": "0.2"}

    scores = read_scores(change_rows(files.scores, tmp_path / "scores.csv", change))
    exact = claim("tokens/llama/bpe", 0.5, 0, 0, "holds") | {"low": "", "high": ""}
    found = tell(parse_families(FAMILIES), scores, [
        exact,
        claim("pretraining/llama/bpe", -0.2, -0.3, -0.1, "does not hold"),
        claim("propagation/llama/bpe", 0.01, -0.01, 0.03, "undecided"),
        claim("controls/llama/bpe", 0.05, 0.02, 0.08, "holds"),
    ])  # fmt: skip
    assert (found["models"], found["models_above"]) == (str(len(scores.entries)), "1")
    assert (found["tasks"], found["tasks_above"]) == (str(len(TASKS) * len(scores.entries)), "1")
    assert [family["above"] for family in found["originals"]] == ["0", "1"]
    assert (found["undecided"], found["claims"], found["half"]) == ("1", "3", ".030")
    vocabulary, calibration = found["kinds"]
    assert [vocabulary[key] for key in ("name", "claims", "differing", "least", "largest")] == [
        "vocabulary", "2", "1", "−.200", "+.010",
    ]  # fmt: skip
    assert [calibration[key] for key in ("name", "claims", "differing")] == ["calibration", "1", "1"]


def test_every_claim_on_scores_is_drawn_once(claims: Path, tmp_path: Path) -> None:
    drawn = {kind: outputs(tmp_path, kind, "pdf", "png", "csv") for kind in KINDS}
    plot_claims(claims, drawn, "run-1")
    rows = [row for files in drawn.values() for row in csv.DictReader(files["csv"].read_text().splitlines())]
    expected = [row["id"] for row in read_claims(claims) if row["low"]]
    assert sorted(row["id"] for row in rows) == sorted(expected)
    assert {row["run"] for row in rows} == {"run-1"}
    again = {kind: outputs(tmp_path / "again", kind, "pdf", "png", "csv") for kind in KINDS}
    plot_claims(claims, again, "run-1")
    for kind, paths in drawn.items():
        assert all(path.read_bytes() == again[kind][ending].read_bytes() for ending, path in paths.items())


def test_a_run_without_claims_has_empty_figures(tmp_path: Path) -> None:
    (tmp_path / "claims.csv").write_text(",".join(COLUMNS) + "\n", encoding="utf-8")
    drawn = {kind: outputs(tmp_path, kind, "pdf", "png", "csv") for kind in KINDS}
    plot_claims(tmp_path / "claims.csv", drawn)
    assert all(path.stat().st_size for paths in drawn.values() for path in paths.values())
    assert tell([], read_scores(_one_model(tmp_path)), []) == {
        "tasks": "0", "tasks_above": "0", "models": "0", "models_above": "0", "originals": [], "kinds": [],
        "undecided": "0", "claims": "0", "half": "",
    }  # fmt: skip


def _one_model(folder: Path) -> Path:
    path = folder / "scores.csv"
    path.write_text("model,step,shots,level,name,metric,value,low,high,n,chance,task_version,prompt_hash,engine\n")
    return path
