"""scores.csv and metrics.csv of a run from the files of its steps; symbols per token of a vocabulary."""

import csv
import json
from pathlib import Path

import pytest
from lep.config import UserError
from lep.manifest import publish, staging, write_json
from lep.report.gather import gather_metrics, gather_scores
from lep.report.scores import SCORE_COLUMNS, read_metrics
from lep.symbols import measure_vocabularies, symbols_per_token
from tokenizers import Tokenizer, models, pre_tokenizers

HEADER = ",".join(SCORE_COLUMNS)


def row(model: str) -> str:
    return f"{model},,0,micro,micro_avg,score,0.500000,0.400000,0.600000,10,0.250000,,"


def artefact(folder: Path, facts: dict, metrics: dict | None = None) -> Path:
    place = staging(folder)
    if metrics:
        write_json(place / "metrics.json", metrics)
    publish(place, folder, recipe_version=1, facts=facts)
    return folder


def characters() -> Tokenizer:
    """A tokenizer of two known pieces: `ab` and single letters."""
    vocabulary = {"a": 0, "b": 1, "ab": 2, "я": 3, "ю": 4}
    tokenizer = Tokenizer(models.BPE(vocabulary, [("a", "b")]))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens(["<s>"])
    return tokenizer


def test_scores_are_joined_in_order(tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / f"{name}.csv").write_text(f"{HEADER}\n{row(f'{name}/base')}\n", encoding="utf-8")
    gather_scores([tmp_path / "b.csv", tmp_path / "a.csv"], tmp_path / "scores.csv")
    lines = (tmp_path / "scores.csv").read_text(encoding="utf-8").splitlines()
    assert lines == [HEADER, row("b/base"), row("a/base")]


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


def test_symbols_per_token_counts_no_special_token() -> None:
    assert symbols_per_token(characters(), ["abab", "ab"]) == 2.0
    assert symbols_per_token(characters(), ["ab", "b"] * 600) == 1.5  # over several batches


def test_vocabularies_are_measured_in_both_languages(tmp_path: Path) -> None:
    characters().save(str(tmp_path / "tokenizer.json"))
    documents = [("ru", "яю"), ("en", "ab")]
    lines = [
        json.dumps({"language": language, "title": "", "paragraphs": [{"text": text}]}, ensure_ascii=False)
        for language, text in documents
    ]
    (tmp_path / "held-out.jsonl").write_text("\n".join(lines), encoding="utf-8")
    measure_vocabularies({"m/bpe": tmp_path}, tmp_path / "held-out.jsonl", tmp_path / "metrics.csv")
    with open(tmp_path / "metrics.csv", encoding="utf-8", newline="") as file:
        found = {(line["model"], line["name"]): float(line["value"]) for line in csv.DictReader(file)}
    assert found == {("m/bpe", "symbols_per_token"): 1.0, ("m/bpe", "symbols_per_token_en"): 2.0}
    (tmp_path / "held-out.jsonl").write_text(lines[0], encoding="utf-8")
    with pytest.raises(UserError, match="no document in en"):
        measure_vocabularies({"m/bpe": tmp_path}, tmp_path / "held-out.jsonl", tmp_path / "metrics.csv")
