"""What one step does: packing by documents, number types, rates, padded rows, estimate of memory."""

from pathlib import Path

import numpy
import pytest
import torch
from fixtures.training import tiny_model
from lep.config import UserError
from lep.models.chat import IGNORED
from lep.pretraining.loss import body_dtype
from lep.pretraining.memory import Load, check_memory, load_of
from lep.pretraining.packing import Blocks
from lep.pretraining.resumable import Schedule
from lep.pretraining.trainer import Execution, Optimisation, TrainedEmbeddings, collate, make_trainer

BOS, EOS = 0, 1


def loss_of(blocks: list[list[int]], document_start: int | None, positions: slice) -> torch.Tensor:
    """Summed loss of the targets in `positions` of the first block, under one fixed model."""
    batch = collate(numpy.array(blocks), document_start)
    batch["labels"][:, : positions.start] = IGNORED
    batch["labels"][:, positions.stop :] = IGNORED
    batch["labels"][1:] = IGNORED
    with torch.no_grad():
        return TrainedEmbeddings(tiny_model(rows=40)).eval()(**batch, num_items_in_batch=1)["loss"]


def test_masked_packing_keeps_a_document_to_itself() -> None:
    first, other, second = [5, 6, 7, EOS], [30, 31, 32, EOS], [BOS, 8, 9, 10, 11, EOS]
    inside = slice(4, 9)  # the targets of the second document, its end included
    packed = [loss_of([document + second], BOS, inside) for document in (first, other)]
    assert torch.equal(*packed)
    alone = collate(numpy.array([second]), BOS)
    with torch.no_grad():
        expected = TrainedEmbeddings(tiny_model(rows=40)).eval()(**alone, num_items_in_batch=1)["loss"]
    torch.testing.assert_close(packed[0], expected)
    seen = [loss_of([document + second], None, inside) for document in (first, other)]
    assert abs(seen[0] - seen[1]) > 1e-3  # as in the paper
    with_neighbour = loss_of([first + second, other + second], BOS, inside)
    torch.testing.assert_close(with_neighbour, packed[0])


def test_labels_are_the_next_tokens() -> None:
    block = numpy.array([[5, EOS, BOS, 8, EOS]])
    assert collate(block)["labels"].tolist() == [[EOS, BOS, 8, EOS, IGNORED]]
    masked = collate(block, BOS)
    assert masked["labels"].tolist() == [[EOS, IGNORED, 8, EOS, IGNORED]]
    assert masked["position_ids"].tolist() == [[0, 1, 0, 1, 2]]


def trained(work: Path, model: TrainedEmbeddings, steps: int = 4, execution: Execution | None = None, **recipe) -> None:
    blocks = Blocks([numpy.random.default_rng(0).integers(2, 38, (16, 12))])
    schedule = Schedule(work, log_steps=1, save_steps=99, visit_steps=set(), visit=lambda model, step: None)
    settings = {"learning_rate": 0.01, "batch_size": 4, "warmup_steps": 1} | recipe
    make_trainer(
        model, blocks, steps, schedule, Optimisation(**settings), execution or Execution(), work=work, seed=0,
        document_start=BOS,
    ).train()  # fmt: skip


def matrices(model: TrainedEmbeddings) -> list[torch.Tensor]:
    return [model.causal.get_input_embeddings().weight, model.causal.get_output_embeddings().weight]


@pytest.mark.parametrize("tied", [False, True])
def test_padded_rows_never_change(tmp_path: Path, tied: bool) -> None:
    model = TrainedEmbeddings(tiny_model(rows=40, tied=tied), padding=2)
    before = [matrix.detach().clone() for matrix in matrices(model)]
    trained(tmp_path, model)
    for old, new in zip(before, matrices(model), strict=True):
        assert torch.equal(old[-2:], new[-2:])
        assert (old[2:-2] != new[2:-2]).any(dim=1).all()


def test_the_head_has_its_own_rate(tmp_path: Path) -> None:
    def moved(**recipe) -> list[float]:
        model = TrainedEmbeddings(tiny_model(rows=40))
        before = [matrix.detach().clone() for matrix in matrices(model)]
        trained(tmp_path, model, **recipe)
        return [float((new - old).norm().detach()) for old, new in zip(before, matrices(model), strict=True)]

    same, slow = moved(), moved(head_learning_rate=0.0001)
    assert slow[1] < same[1] / 20
    assert slow[0] == pytest.approx(same[0], rel=0.2)
    with pytest.raises(UserError, match="head_learning_rate"):
        trained(tmp_path, TrainedEmbeddings(tiny_model(rows=40, tied=True)), head_learning_rate=0.1)


def test_float32_weights_keep_what_bfloat16_rounds_away(tmp_path: Path) -> None:
    """Steps below bfloat16's resolution move float32 matrices alone; the body computes in bfloat16 either way."""
    moved = []
    for float32_weights in (False, True):
        model = TrainedEmbeddings(tiny_model(rows=40).to(torch.bfloat16), float32_weights)
        with torch.no_grad():
            for matrix in matrices(model):
                matrix.fill_(1.0)
        trained(tmp_path, model, learning_rate=1e-4, weight_decay=0.0)
        assert body_dtype(model.causal) == torch.bfloat16
        assert all(m.dtype == (torch.float32 if float32_weights else torch.bfloat16) for m in matrices(model))
        moved.append(any(bool((matrix != 1).any()) for matrix in matrices(model)))
    assert moved == [False, True]


def test_activation_checkpointing_changes_no_number(tmp_path: Path) -> None:
    found = []
    for checkpointing in (False, True):
        model = TrainedEmbeddings(tiny_model(rows=40))
        trained(tmp_path, model, execution=Execution(activation_checkpointing=checkpointing))
        found.append(matrices(model)[0].detach())
    torch.testing.assert_close(*found)


def test_optimiser_state_is_for_what_trains_alone(tmp_path: Path) -> None:
    model = TrainedEmbeddings(tiny_model(rows=40))
    gradients = []
    trained(tmp_path, model)
    for name, parameter in model.named_parameters():
        gradients.append((name, parameter.requires_grad))
        assert parameter.requires_grad or parameter.grad is None
    assert sum(trains for _, trains in gradients) == 2


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
