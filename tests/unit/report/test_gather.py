"""scores.csv and metrics.csv of a run from the files of its steps; symbols per token of a vocabulary."""

from pathlib import Path

import pytest
from lep.config import UserError
from lep.files import write_json
from lep.manifest import publish, staging
from lep.report.gather import gather_metrics, gather_scores
from lep.report.scores import SCORE_COLUMNS, read_metrics

HEADER = ",".join(SCORE_COLUMNS)


def row(model: str) -> str:
    return f"{model},,0,micro,micro_avg,score,0.500000,0.400000,0.600000,10,0.250000,,,"


def artefact(folder: Path, facts: dict, metrics: dict | None = None) -> Path:
    place = staging(folder)
    if metrics:
        write_json(place / "metrics.json", metrics)
    publish(place, folder, recipe_version=1, facts=facts)
    return folder


def test_scores_are_joined_in_order(tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / f"{name}.csv").write_text(f"{HEADER}\n{row(f'{name}/base')}\n", encoding="utf-8")
    gather_scores([tmp_path / "b.csv", tmp_path / "a.csv"], tmp_path / "scores.csv")
    lines = (tmp_path / "scores.csv").read_text(encoding="utf-8").splitlines()
    assert lines == [HEADER, row("b/base"), row("a/base")]


def test_scores_of_an_earlier_version_name_no_engine(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"{HEADER.removesuffix(',engine')}\n{row('a')[:-1]}\n", encoding="utf-8")
    gather_scores([tmp_path / "a.csv"], tmp_path / "scores.csv")
    assert (tmp_path / "scores.csv").read_text(encoding="utf-8").splitlines() == [HEADER, row("a")]


def test_scores_of_other_columns_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("model,score\nx,1\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"a\.csv must have the columns model,step"):
        gather_scores([tmp_path / "a.csv"], tmp_path / "scores.csv")
    assert not (tmp_path / "scores.csv").exists()


def test_metrics_are_the_numeric_facts(tmp_path: Path) -> None:
    checkpoints = [
        {"name": "init", "step": 0, "bits_per_character": 3.5},
        {"name": "cpt-100", "bits_per_character": 2.25},
    ]
    artefacts = {
        "operator": {"m/bpe": artefact(tmp_path / "o", {"overlap": 7, "tokenizer_sha256": "ab", "tied": True})},
        "pretraining": {"m/bpe": artefact(tmp_path / "p", {"loss_last": 1 / 3}, {"checkpoints": checkpoints})},
    }
    (tmp_path / "v.csv").write_text("kind,model,name,value\nvocabulary,m/bpe,symbols_per_token,3.1\n", encoding="utf-8")
    gather_metrics(artefacts, tmp_path / "v.csv", tmp_path / "metrics.csv")
    found = read_metrics(tmp_path / "metrics.csv")
    assert {key: text for key, (text, _) in found.entries.items()} == {
        ("vocabulary", "m/bpe", "symbols_per_token"): "3.1",
        ("operator", "m/bpe", "overlap"): "7",
        ("pretraining", "m/bpe", "loss_last"): "0.333333",
        ("pretraining", "m/bpe/init", "step"): "0",
        ("pretraining", "m/bpe/init", "bits_per_character"): "3.5",
        ("pretraining", "m/bpe/cpt-100", "bits_per_character"): "2.25",
    }
