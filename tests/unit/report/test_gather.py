"""scores.csv and metrics.csv of a run from the files of its steps; symbols per token of a vocabulary."""

import csv
import gzip
import json
from pathlib import Path

import pytest
from lep.config import UserError
from lep.files import write_csv, write_json
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


def test_scores_of_several_seeds_are_their_mean(tmp_path: Path) -> None:
    """The interval holds the scores of all seeds; a model that no seed changes stays as it was scored."""
    scores, samples = [], []
    for seed, right in (("42", 10), ("43", 30)):
        model = {
            "model": "a/bpe/swap",
            "level": "task",
            "name": "rwsd",
            "metric": "score",
            "value": f"{right / 40:.6f}",
        }
        row = dict.fromkeys(SCORE_COLUMNS, "") | model | {"low": "0", "high": "1", "n": "40", "chance": "0.5"}
        rows = [row, *([row | {"model": "a/base"}] if seed == "42" else [])]
        write_csv(tmp_path / f"{seed}.csv", SCORE_COLUMNS, ([row[key] for key in SCORE_COLUMNS] for row in rows))
        lines = [{"model": "a/bpe/swap", "task": "rwsd", "item": str(n), "value": {"gold": 1, "pred": int(n < right)}}
                 for n in range(40)]  # fmt: skip
        with gzip.open(tmp_path / f"{seed}.jsonl.gz", "wt", encoding="utf-8") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)
        scores.append(tmp_path / f"{seed}.csv")
        samples.append(tmp_path / f"{seed}.jsonl.gz")
    gather_scores(scores, tmp_path / "scores.csv", samples, draws=500, seed=1)
    swap, base = csv.DictReader((tmp_path / "scores.csv").read_text(encoding="utf-8").splitlines())
    assert (swap["value"], swap["n"], base["value"]) == ("0.500000", "40", "0.250000")
    assert (base["low"], base["high"]) == ("0", "1")
    low, high = float(swap["low"]), float(swap["high"])
    assert 0.05 < low < 0.25
    assert 0.75 < high < 0.95


def test_scores_of_an_earlier_version_name_no_engine(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"{HEADER.removesuffix(',engine')}\n{row('a')[:-1]}\n", encoding="utf-8")
    gather_scores([tmp_path / "a.csv"], tmp_path / "scores.csv")
    assert (tmp_path / "scores.csv").read_text(encoding="utf-8").splitlines() == [HEADER, row("a")]


def test_scores_of_other_columns_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("model,score\nx,1\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"a\.csv lacks the columns step, .*its header must be model,step"):
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
