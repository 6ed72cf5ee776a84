"""Samples of an evaluation: one line per answer, with all that the scores are made of."""

import gzip
import json
from pathlib import Path

import pytest
from darumeru.specs import SPECS
from lep.config import UserError
from lep.evaluation.harness import EvaluateJob
from lep.evaluation.samples import load_samples

LINE = ("model", "task", "item", "value", "question", "prompt", "target", "output")


def test_samples_hold_what_the_scores_are_made_of(finished: EvaluateJob) -> None:
    samples = load_samples(Path(finished.output) / "samples.jsonl.gz")
    assert list(samples) == ["llama/base", "llama/extended/cpt-050"]
    assert list(samples["llama/base"]) == list(SPECS)
    with gzip.open(Path(finished.output) / "samples.jsonl.gz", "rt", encoding="utf-8") as file:
        lines = [json.loads(line) for line in file]
    assert all(set(line) == set(LINE) for line in lines)
    ranked = next(line for line in lines if line["task"] == "treeway_extractive")
    assert ranked["output"].startswith("Предложение")
    first = next(line for line in lines if line["task"] == "rwsd")
    assert first["question"] == "Кот 0 спал. Он ел. «Он» - «Кот»?"
    assert first["prompt"].endswith("Кот 0 спал. Он ел. «Он» - «Кот»?\nОтвет:")
    assert first["output"] in ("Да", "Нет")


def test_files_that_are_no_samples_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        load_samples(tmp_path / "none.gz")
    (tmp_path / "text").write_text("text")
    with pytest.raises(UserError, match=r"not a samples\.jsonl\.gz"):
        load_samples(tmp_path / "text")
