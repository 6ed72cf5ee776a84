"""Order and padding of examples, the loss at the answers."""

from pathlib import Path

import pytest
import torch
from fixtures.calibration import TALK
from lep.calibration.trainer import Tuning, answer_loss, order_examples, padding_share
from lep.models.chat import IGNORED, encode_conversation
from lep.models.folder import load_tokenizer


def test_order_and_padding() -> None:
    tuning = Tuning(learning_rate=1.0, weight_decay=0.0, batch_size=4, micro_batch_size=2, epochs=2)
    lengths = [5, 1, 9, 3, 7, 2, 8]
    order = order_examples(lengths, tuning, seed=0)
    assert sorted(order) == sorted([*range(7), *range(7)])
    assert sorted(order[:7]) != order[:7]
    first = [lengths[i] for i in order[:4]]
    assert first == sorted(first, reverse=True)
    assert padding_share([4, 4, 2, 1], 2) == pytest.approx(1 / 12)
    assert padding_share([3], 2) == 0


def test_the_loss_at_the_answers_is_the_models_own(calibration_folder: Path) -> None:
    from lep.models.store import load_model

    model = load_model(calibration_folder / "model", "float32", "cpu")
    rows = [encode_conversation(load_tokenizer(calibration_folder / "model"), talk) for talk in (TALK, TALK[:2])]
    width = max(len(ids) for ids, _ in rows)
    padded = {
        "input_ids": torch.tensor([ids + [1] * (width - len(ids)) for ids, _ in rows]),
        "labels": torch.tensor([labels + [IGNORED] * (width - len(labels)) for _, labels in rows]),
        "attention_mask": torch.tensor([[1] * len(ids) + [0] * (width - len(ids)) for ids, _ in rows]),
    }
    with torch.no_grad():
        loss, count = answer_loss(model, padded)
        expected = model(**padded).loss
    assert (loss / count).item() == pytest.approx(expected.item(), rel=1e-5)
