"""Training of the input embeddings and the LM head alone: model, data order and optimiser (paper section 2.4.1)."""

import functools
import math
from pathlib import Path
from typing import Literal

import numpy
import torch
from pydantic.dataclasses import dataclass
from transformers import PrinterCallback, Trainer, TrainingArguments

from lep.compute import distributed
from lep.config import STRICT, UserError
from lep.log import logger
from lep.models.chat import IGNORED
from lep.pretraining.loss import final_hidden, summed_cross_entropy
from lep.pretraining.packing import Blocks
from lep.pretraining.resumable import ResumableMixin, Schedule, quiet_arguments


@dataclass(frozen=True, config=STRICT)
class Optimisation:
    """Hyper-parameters; the defaults are the paper's.

    A step takes `batch_size` sequences, whatever the number of processes. `max_steps` null: one epoch (the last
    incomplete step is left out); more steps than an epoch: the data again, in another order. `token_budget` and
    `share` (of the steps) shorten that. `head_learning_rate` null: that of the input embeddings. `packing` masked:
    attention stays inside a document. `float32_weights`: the matrices and their optimiser state in float32 beside a
    body of fewer bits.
    """

    learning_rate: float
    batch_size: int = 256
    head_learning_rate: float | None = None
    max_steps: int | None = None
    token_budget: int | None = None
    share: float = 1.0
    warmup_steps: int = 100
    schedule: str = "cosine"
    weight_decay: float = 0.1
    betas: tuple[float, float] = (0.9, 0.95)
    epsilon: float = 1e-5
    max_gradient_norm: float = 1.0
    packing: Literal["paper", "masked"] = "paper"
    float32_weights: bool = False


@dataclass(frozen=True, config=STRICT)
class Execution:
    """How a step is computed: time and memory, no number beyond rounding. `micro_batch_size`: sequences at a time."""

    micro_batch_size: int = 4
    attention: Literal["sdpa", "flash_attention_2"] = "sdpa"
    compile: bool = False
    activation_checkpointing: bool = False


class TrainedEmbeddings(torch.nn.Module):
    """A causal language model of which only the two matrices train (one where they are tied).

    The loss is part of `forward`, so that the processes of a distributed training exchange its gradients.
    """

    accepts_loss_kwargs = True  # the Trainer counts a step's targets and passes their number

    def __init__(self, causal: torch.nn.Module, float32_weights: bool = False, padding: int = 0) -> None:
        """`padding` rows at the end of the matrices belong to no token and stay as they are."""
        super().__init__()
        self.causal = causal
        freeze_body(causal)
        matrices = [causal.get_input_embeddings().weight, causal.get_output_embeddings().weight]
        if float32_weights:
            for matrix in matrices:
                matrix.data = matrix.data.float()
        self._padding = [(matrix, matrix.detach()[-padding:].clone()) for matrix in matrices if padding]

    @torch.no_grad()
    def restore_padding(self, *_: object) -> None:
        """Undo what a step did to the rows of no token: the softmax and the decay move them."""
        for matrix, rows in self._padding:
            matrix[-len(rows) :] = rows

    def forward(
        self,
        input_ids: torch.Tensor,
        labels: torch.Tensor,
        position_ids: torch.Tensor | None = None,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> dict[str, torch.Tensor]:
        """Loss in nats over `num_items_in_batch` targets (a step's; default: those of this batch)."""
        hidden = final_hidden(self.causal, input_ids, position_ids)
        head = self.causal.get_output_embeddings().weight.to(hidden.dtype)
        total = summed_cross_entropy(hidden.reshape(-1, hidden.shape[-1]), head, labels.reshape(-1))
        return {"loss": total / (labels.ne(IGNORED).sum() if num_items_in_batch is None else num_items_in_batch)}


def freeze_body(model: torch.nn.Module) -> None:
    """Let nothing train but the input embeddings and the LM head (one matrix where they are tied)."""
    model.requires_grad_(False)
    model.get_input_embeddings().weight.requires_grad_(True)
    model.get_output_embeddings().weight.requires_grad_(True)


def embedding_tensors(model: torch.nn.Module, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """Copies of the two matrices on the CPU: `input` (V, d) and, untied, `head` (V, d)."""
    matrices = {"input": model.get_input_embeddings().weight}
    if not model.config.tie_word_embeddings:
        matrices["head"] = model.get_output_embeddings().weight
    return {name: matrix.detach().to("cpu", dtype).contiguous() for name, matrix in matrices.items()}


class BlockDataset(torch.utils.data.Dataset):
    """The sequences of a whole run in their order: each epoch a new permutation of the blocks, by seed.

    An index is a position in the run, so that going on needs no replay and the number of processes
    does not change which sequences a step takes.
    """

    def __init__(self, blocks: Blocks, length: int, seed: int) -> None:
        self.blocks, self.length, self.seed = blocks, length, seed
        self._epoch, self._order = -1, numpy.empty(0, numpy.int64)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> numpy.ndarray:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: list[int]) -> numpy.ndarray:
        return self.blocks.take([self._block(index) for index in indices])

    def _block(self, index: int) -> int:
        epoch, position = divmod(index, len(self.blocks))
        if epoch != self._epoch:
            self._epoch, self._order = epoch, numpy.random.default_rng([self.seed, epoch]).permutation(len(self.blocks))
        return int(self._order[position])


def collate(blocks: numpy.ndarray, document_start: int | None = None) -> dict[str, torch.Tensor]:
    """Blocks (batch, block_size) as inputs and labels: of each position the next token, of the last none.

    With `document_start`, the id that begins a document, positions start anew there, which keeps the attention inside
    a document, and this id is no target: what stands before it is another document.
    """
    ids = torch.from_numpy(numpy.asarray(blocks).astype(numpy.int64))
    labels = torch.full_like(ids, IGNORED)
    labels[:, :-1] = ids[:, 1:]
    if document_start is None:
        return {"input_ids": ids, "labels": labels}
    labels[labels == document_start] = IGNORED
    places = torch.arange(ids.shape[1]).expand_as(ids)
    starts = torch.where(ids == document_start, places, 0).cummax(1).values
    return {"input_ids": ids, "labels": labels, "position_ids": places - starts}


class EmbeddingTrainer(ResumableMixin, Trainer):
    """The stock Trainer with light, safe checkpoints, a fixed order of data, and a rate of its own for the head."""

    head_learning_rate: float | None = None

    def create_optimizer(self, model: torch.nn.Module | None = None) -> torch.optim.Optimizer:
        """The Trainer's optimiser over the matrices, each of which decays."""
        if self.optimizer is None:
            causal = self.model.causal
            kind, options = self.get_optimizer_cls_and_kwargs(self.args, self.model)
            groups = [{"params": [causal.get_input_embeddings().weight]}]
            if not causal.config.tie_word_embeddings:
                rate = self.args.learning_rate if self.head_learning_rate is None else self.head_learning_rate
                groups.append({"params": [causal.get_output_embeddings().weight], "lr": rate})
            self.optimizer = kind(groups, **options | {"weight_decay": self.args.weight_decay})
            self.optimizer.register_step_post_hook(self.model.restore_padding)
        return self.optimizer


def make_trainer(
    model: TrainedEmbeddings,
    blocks: Blocks,
    steps: int,
    schedule: Schedule,
    recipe: Optimisation,
    execution: Execution,
    *,
    work: Path,
    seed: int,
    document_start: int,
) -> EmbeddingTrainer:
    """The Trainer of a run of `steps`. Only the given schedule reports; nothing leaves the machine."""
    _prepare(model.causal, recipe, execution)
    micro, accumulation = split_batch(recipe.batch_size, execution.micro_batch_size, distributed.processes())
    logger.info(
        "a step: %d sequences = %d x %d accumulated x %d processes",
        *(recipe.batch_size, micro, accumulation, distributed.processes()),
    )
    arguments = TrainingArguments(
        output_dir=str(work),
        max_steps=steps,
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=accumulation,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type=recipe.schedule,
        warmup_steps=min(recipe.warmup_steps, steps // 2),
        weight_decay=recipe.weight_decay,
        adam_beta1=recipe.betas[0],
        adam_beta2=recipe.betas[1],
        adam_epsilon=recipe.epsilon,
        max_grad_norm=recipe.max_gradient_norm,
        seed=seed,
        use_cpu=next(model.parameters()).device.type == "cpu",
        ddp_find_unused_parameters=False,
        **quiet_arguments(),
    )
    dataset = BlockDataset(blocks, steps * recipe.batch_size, seed)
    batches = functools.partial(collate, document_start=document_start if recipe.packing == "masked" else None)
    trainer = EmbeddingTrainer(model, arguments, batches, dataset, callbacks=[schedule])
    trainer.head_learning_rate = recipe.head_learning_rate
    trainer.remove_callback(PrinterCallback)
    return trainer


def _prepare(causal: torch.nn.Module, recipe: Optimisation, execution: Execution) -> None:
    if recipe.head_learning_rate is not None and causal.config.tie_word_embeddings:
        raise UserError("pretraining.head_learning_rate: this model's head is its input embeddings; set it to 0")
    if execution.attention != "sdpa":
        causal.set_attn_implementation(execution.attention)
    if execution.activation_checkpointing:
        causal.activation_checkpointing_enable({"use_reentrant": False})
    if execution.compile:
        causal.base_model.compile(dynamic=False)


def split_batch(batch: int, micro: int, processes: int) -> tuple[int, int]:
    """(sequences at a time, accumulated micro-batches) that make a step of `batch` sequences in `processes`.

    At most `micro` at a time, fewer where they would not divide the step.
    """
    share, rest = divmod(batch, processes)
    if rest or not share:
        raise UserError(
            f"pretraining.batch_size {batch} cannot be shared by {processes} processes; use a multiple of {processes}"
        )
    micro = next(size for size in range(min(micro, share), 0, -1) if share % size == 0)
    return micro, share // micro


def count_steps(blocks: int, block_size: int, recipe: Optimisation) -> int:
    """Optimiser steps of a run over `blocks` sequences."""
    whole = recipe.max_steps or blocks // recipe.batch_size
    if recipe.token_budget:
        whole = min(whole, recipe.token_budget // (recipe.batch_size * block_size))
    steps = math.floor(whole * recipe.share)
    if steps < 1:
        raise UserError(
            f"{blocks} blocks of {block_size} tokens do not fill one step of {recipe.batch_size} sequences; "
            "lower pretraining.batch_size, set pretraining.max_steps, or raise pretraining.token_budget"
        )
    return steps
