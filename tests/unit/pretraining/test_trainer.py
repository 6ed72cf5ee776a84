"""What one step does: data and their order, packing by documents, what trains, number types, rates, padded rows."""

from pathlib import Path

import numpy
import pytest
import torch
from fixtures.training import tiny_model
from lep.config import UserError
from lep.models.chat import IGNORED
from lep.pretraining.loss import body_dtype
from lep.pretraining.packing import Blocks
from lep.pretraining.resumable import Schedule, hash_frozen
from lep.pretraining.trainer import (
    BlockDataset,
    Execution,
    Optimisation,
    TrainedEmbeddings,
    collate,
    freeze_body,
    make_trainer,
)

BOS, EOS = 0, 1


def test_the_order_of_data_is_a_permutation_per_epoch() -> None:
    blocks = Blocks([numpy.arange(4)[:, None], numpy.arange(4, 10)[:, None]])
    dataset = BlockDataset(blocks, 20, seed=3)
    first, second = dataset.__getitems__(list(range(10))), dataset.__getitems__(list(range(10, 20)))
    assert sorted(first[:, 0]) == sorted(second[:, 0]) == list(range(10))
    assert first[:, 0].tolist() != second[:, 0].tolist()
    fresh = BlockDataset(blocks, 20, seed=3)
    assert [int(fresh[i][0]) for i in range(12, 15)] == second[2:5, 0].tolist()


@pytest.mark.parametrize("tied", [False, True])
def test_only_the_matrices_train(tied: bool) -> None:
    model = tiny_model(rows=40, tied=tied)
    freeze_body(model)
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trained == {"model.embed_tokens.weight"} | (set() if tied else {"lm_head.weight"})
    before = hash_frozen(model)
    with torch.no_grad():
        model.get_input_embeddings().weight.add_(1)
    assert hash_frozen(model) == before
    with torch.no_grad():
        model.model.norm.weight[0] += 1e-6
    assert hash_frozen(model) != before


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
    schedule = Schedule(work, log_steps=1, save_steps=99)
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
