"""Text for a vocabulary: spread evenly over the documents of its languages."""

import re
from pathlib import Path

import pytest
from fixtures.corpus import FIXTURES
from lep.vocabulary.train import sample_documents, train_vocabulary_model


def test_training_text_is_spread_evenly_over_the_languages_documents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    monkeypatch.setattr("lep.vocabulary.train.train_sentencepiece", lambda lines, *rest: seen.extend(lines))
    corpus = FIXTURES / "benchmark.jsonl"

    def lines(characters: int) -> list[str]:
        seen.clear()
        options = {"characters": characters, "languages": ["ru"], "threads": 1}
        train_vocabulary_model(corpus, "bpe", 1, tmp_path / "m", **options)
        return seen.copy()

    whole, half = lines(10**9), lines(50_000)
    assert sum(map(len, whole)) > 80_000
    assert not [line for line in whole if re.fullmatch("[A-Za-z ,.;]+", line) and len(line) > 40]
    assert 40_000 < sum(map(len, half)) <= 50_000
    places = [whole.index(line) / len(whole) for line in half]
    assert places[0] < 0.1
    assert places[-1] > 0.9
    documents = [d["id"] for d in sample_documents(corpus, ["ru"], 50_000)]
    everything = [d["id"] for d in sample_documents(corpus, ["ru"], 10**9)]
    assert documents == [name for name in everything if name in documents]
