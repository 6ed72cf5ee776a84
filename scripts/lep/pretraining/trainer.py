"""Train only the input embeddings and the LM head: model, order of the data, optimiser (paper section 2.4.1)."""

import functools
import math
from pathlib import Path
from typing import Literal

import numpy
import torch
from pydantic.dataclasses import dataclass
from transformers import PrinterCallback, Trainer, TrainingArguments

from lep.compute import distributed
from lep.compute.batch import split_batch
from lep.config import STRICT, UserError
from lep.log import logger
from lep.models.chat import IGNORED
from lep.pretraining.loss import final_hidden, summed_cross_entropy
from lep.pretraining.packing import Blocks
from lep.pretraining.resumable import ResumableMixin, Schedule, quiet_arguments


@dataclass(frozen=True, config=STRICT)
class Optimisation:
    """Hyper-parameters; the defaults are the paper's."""

    learning_rate: float  # peak, after the warm-up
    batch_size: int = 256  # sequences of a step, over all processes
    head_learning_rate: float | None = None  # None = as the input embeddings
    max_steps: int | None = None  # None, 0 = one epoch of whole steps; beyond an epoch the data repeat in another order
    token_budget: int | None = None  # training tokens at most; None, 0 = no limit
    share: float = 1.0  # of these steps that are trained; 1 = all
    warmup_steps: int = 100  # but at most half of the run; 0 = none
    schedule: str = "cosine"  # of the learning rate, a name of transformers
    weight_decay: float = 0.1  # 0 = off
    betas: tuple[float, float] = (0.9, 0.95)  # of Adam
    epsilon: float = 1e-5  # of Adam
    max_gradient_norm: float = 1.0  # 0 = no clipping
    packing: Literal["paper", "masked"] = "paper"  # masked = attention stays inside a document
    float32_weights: bool = False  # matrices and their optimiser state in float32, whatever the body's number type


@dataclass(frozen=True, config=STRICT)
class Execution:
    """How a step is computed: this changes time and memory, but no number beyond rounding."""

    micro_batch_size: int = 4  # sequences of a forward pass, at most
    attention: Literal["sdpa", "flash_attention_2"] = "sdpa"  # kernel of transformers
    compile: bool = False  # torch.compile of the body
    activation_checkpointing: bool = False  # compute activations again in the backward pass: less memory, more time


class TrainedEmbeddings(torch.nn.Module):
    """A causal language model that trains only its two matrices (one if they are tied).

    The loss is part of `forward`, so that the processes of a distributed training exchange its gradients.
    """

    accepts_loss_kwargs = True  # the Trainer counts a step's targets and passes their number

    def __init__(self, causal: torch.nn.Module, float32_weights: bool = False, padding: int = 0) -> None:
        """`padding`: rows at the end of the matrices that belong to no token and never change."""
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
        """Restore the padding rows after each step; softmax gradients and weight decay change them."""
        for matrix, rows in self._padding:
            matrix[-len(rows) :] = rows

    def forward(
        self,
        input_ids: torch.Tensor,
        labels: torch.Tensor,
        position_ids: torch.Tensor | None = None,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> dict[str, torch.Tensor]:
        """Loss in nats per target, over `num_items_in_batch` targets (None: the targets of this batch).

        `input_ids`, `labels` and `position_ids` are (batch, length).
        """
        hidden = final_hidden(self.causal, input_ids, position_ids)
        head = self.causal.get_output_embeddings().weight.to(hidden.dtype)
        total = summed_cross_entropy(hidden.reshape(-1, hidden.shape[-1]), head, labels.reshape(-1))
        return {"loss": total / (labels.ne(IGNORED).sum() if num_items_in_batch is None else num_items_in_batch)}


def freeze_body(model: torch.nn.Module) -> None:
    """Let only the input embeddings and the LM head train (one matrix if they are tied)."""
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
    """The sequences of a whole run in their order: each epoch is another permutation of the blocks, by seed.

    An index is a position in the run. So a restart needs no replay, and the number of processes does not change the
    sequences of a step.
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
    """Blocks (batch, block_size) as inputs and labels of this shape; a label is the next token, `IGNORED` at the end.

    With `document_start`, the id that begins a document, positions restart at this id, which keeps the attention inside
    a document, and the id is no target, since it follows another document.
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
    """The stock Trainer with light, safe checkpoints, a fixed order of the data, and a learning rate for the head."""

    head_learning_rate: float | None = None

    def create_optimizer(self, model: torch.nn.Module | None = None) -> torch.optim.Optimizer:
        """AdamW over the matrices only, with weight decay on both."""
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
    """The Trainer of a run of `steps`. Only `schedule` logs; nothing is sent to a tracking service.

    Raises `UserError` for a batch that the processes cannot share, and a head rate for a tied model.
    """
    _prepare(model.causal, recipe, execution)
    shared = execution.micro_batch_size, distributed.processes()
    micro, accumulation = split_batch(recipe.batch_size, *shared, "pretraining.batch_size")
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
    if recipe.packing == "masked" and document_start is None:
        raise UserError("packing masked finds documents by their BOS, but this tokenizer has none; use packing paper")
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


def count_steps(blocks: int, block_size: int, recipe: Optimisation) -> int:
    """Optimiser steps of a run over `blocks` sequences; raises `UserError` if there is not one."""
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
