"""Validation: closed forms of loss and bits per character, windows."""

import math

import pytest
import torch
from fixtures.training import tiny_model
from lep.pretraining.validation import ScoredText, ValidationRecipe, split_windows, validate
from torch.nn import functional


def test_uniform_model_costs_log_v_per_token() -> None:
    model = tiny_model(rows=40, tied=False)
    with torch.no_grad():
        model.get_output_embeddings().weight.zero_()
    texts = [ScoredText("ru", [[1, *range(3, 20)], [1, 5, 6]], 60), ScoredText("en", [[1, 7]], 10)]
    scores = validate(model, texts, ValidationRecipe(["ru", "en"], 100, window=7))
    assert scores["loss_per_token"] == pytest.approx(math.log(40))
    assert scores["bits_per_character"] == pytest.approx(math.log2(40) * 20 / 70)
    assert scores["bits_per_character_ru"] == pytest.approx(math.log2(40) * 19 / 60)


def test_validation_ignores_padding_and_batching() -> None:
    model = tiny_model(rows=40, tied=False).eval()
    ids = [[1, *range(3, 12)], [1, 5, 6]]
    expected = 0.0
    with torch.no_grad():
        for document in ids:  # shorter than the window: one plain forward pass each
            logits = model(torch.tensor([document])).logits[0]
            expected += functional.cross_entropy(logits[:-1], torch.tensor(document[1:]), reduction="sum").item()
    for batch_size in (1, 2):
        recipe = ValidationRecipe(["ru"], 100, window=64, batch_size=batch_size)
        assert validate(model, [ScoredText("ru", ids, 10)], recipe)["loss_per_token"] == pytest.approx(expected / 11)


@pytest.mark.parametrize("length", [1, 2, 7, 8, 13, 14])
def test_every_token_but_the_first_is_a_target_once(length: int) -> None:
    windows = split_windows(list(range(length)), 7)
    assert [token for window in windows for token in window[1:]] == list(range(1, length))
    assert all(2 <= len(window) <= 7 for window in windows)
