"""Estimate of memory: the numbers of an 8B model, refusals with advice."""

import pytest
import torch
from fixtures.training import tiny_model
from lep.config import UserError
from lep.pretraining.memory import Load, check_memory, load_of
from lep.pretraining.trainer import TrainedEmbeddings


def load(**changes) -> Load:
    """Llama-3-8B with 174,817 rows in bfloat16, 4 sequences of 1,024 tokens at a time."""
    values = {
        "body": 6_979_588_096, "trained": 2 * 174817 * 4096, "head": 174817 * 4096, "rows": 174817, "layers": 32,
        "hidden": 4096, "intermediate": 14336, "body_bytes": 2, "matrix_bytes": 2, "tokens": 4096,
        "checkpointing": False, "processes": 8, "chunk": 2048,
    }  # fmt: skip
    return Load(**values | changes)


def test_memory_estimate_at_8b() -> None:
    """80 GB hold the paper's settings; 48 GB need smaller micro-batches and checkpointing, 24 GB nothing saves."""
    parts = load().parts()
    assert parts["body"] == 13_959_176_192
    assert parts["optimiser"] == 2 * 2 * 2 * 174817 * 4096
    assert sum(parts.values()) < 80e9
    assert sum(load(tokens=16 * 4096).parts().values()) > 80e9
    assert sum(load(tokens=1024, checkpointing=True).parts().values()) < 40e9


def test_what_does_not_fit_is_refused_with_advice(monkeypatch) -> None:
    device = torch.device("cpu")
    monkeypatch.setattr("lep.pretraining.memory.device_memory", lambda device: int(80e9))
    check_memory(load(), device)
    for size, words in ((50e9, r"micro_batch_size .* or pretraining.activation_checkpointing"), (24e9, "more memory")):
        monkeypatch.setattr("lep.pretraining.memory.device_memory", lambda device, size=size: int(size))
        with pytest.raises(UserError, match=words):
            check_memory(load(), device)


def test_load_of_a_model_counts_its_parameters() -> None:
    model = TrainedEmbeddings(tiny_model(rows=40))
    found = load_of(model.causal, 48, False, 1)
    assert (found.trained, found.head, found.rows) == (2 * 40 * 16, 40 * 16, 40)
    assert found.body + found.trained == sum(p.numel() for p in model.causal.parameters())
    assert found.parts()["body"] == 4 * found.body
