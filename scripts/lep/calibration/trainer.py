"""Calibration: hyper-parameters, encoded examples, loss and trainer."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy
import torch
from pydantic.dataclasses import dataclass

from lep.compute import distributed
from lep.compute.batch import split_batch
from lep.compute.determinism import resolve_device
from lep.config import STRICT, UserError
from lep.files import read_jsonl
from lep.models.adapter import lora_config
from lep.models.chat import IGNORED, encode_conversation
from lep.models.store import load_model

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast
    from trl import SFTTrainer

    from lep.calibration.calibrate import CalibrateJob
    from lep.pretraining.resumable import Schedule


@dataclass(frozen=True, config=STRICT)
class Tuning:
    """Hyper-parameters. They do not depend on the number of processes, which share a step."""

    learning_rate: float  # highest learning rate
    weight_decay: float  # of AdamW
    batch_size: int  # conversations of a step, over all processes
    micro_batch_size: int = 1  # conversations of a forward pass, at most; a step is sorted by length, to pad little
    epochs: int = 1  # passes over the data
    warmup_steps: int = 0  # steps of linear warm-up; 0 = none
    schedule: str = "cosine"  # `lr_scheduler_type` of transformers
    max_gradient_norm: float = 1.0  # gradients are clipped to this norm
    max_length: int = 4096  # tokens; longer conversations are dropped
    activation_checkpointing: bool = False  # recompute activations: less memory, more time

    def split(self) -> tuple[int, int]:
        """(conversations of a micro-batch, micro-batches) of this process in a step."""
        shared = self.micro_batch_size, distributed.processes()
        return split_batch(self.batch_size, *shared, "calibration.recipes: batch_size")


def encode_examples(
    path: Path, tokenizer: "PreTrainedTokenizerFast", max_length: int
) -> tuple[list[dict[str, list[int]]], int]:
    """Conversations of a JSONL file as `{"input_ids", "labels"}`, and the number of those that are too long.

    Raises `UserError` for a conversation without an assistant message.
    """
    examples, too_long = [], 0
    for number, record in enumerate(read_jsonl(path), start=1):
        messages = record.get("messages")
        if not messages or not any(message["role"] == "assistant" for message in messages):
            raise UserError(f"{path}, line {number}: `messages` has no assistant message; each example needs an answer")
        try:
            ids, labels = encode_conversation(tokenizer, messages)
        except UserError as error:
            raise UserError(f"{path}, line {number}: {error}") from None
        if len(ids) > max_length:
            too_long += 1
        else:
            examples.append({"input_ids": ids, "labels": labels})
    return examples, too_long


def order_examples(lengths: list[int], tuning: Tuning, seed: int) -> list[int]:
    """Indices of the examples of all epochs, in training order.

    Each epoch is shuffled and all are cut into steps. Within a step the examples are sorted by length, so that a
    micro-batch pads little; the gradient of a step does not depend on their order.
    """
    step = tuning.batch_size
    order: list[int] = []
    for epoch in range(tuning.epochs):
        order += numpy.random.default_rng([seed, epoch]).permutation(len(lengths)).tolist()
    steps = (order[start : start + step] for start in range(0, len(order), step))
    return [index for chunk in steps for index in sorted(chunk, key=lambda i: (-lengths[i], i))]


def padding_share(lengths: list[int], batch_size: int) -> float:
    """Share of padding among the computed tokens, for `lengths` in training order."""
    batches = [lengths[start : start + batch_size] for start in range(0, len(lengths), batch_size)]
    return 1 - sum(lengths) / sum(max(batch) * len(batch) for batch in batches)


def answer_loss(model: torch.nn.Module, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Summed cross-entropy in nats over the labelled tokens of a padded batch, and their number.

    Logits are computed only at positions where a row has a label: answers are a small part of the text.
    """
    targets = inputs["labels"][:, 1:]
    places = (targets != IGNORED).any(0).nonzero()[:, 0]
    logits = model(
        input_ids=inputs["input_ids"],
        attention_mask=inputs["attention_mask"],
        use_cache=False,
        logits_to_keep=places,
    ).logits
    targets = targets[:, places]
    loss = torch.nn.functional.cross_entropy(
        logits.float().flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="sum"
    )
    return loss, (targets != IGNORED).sum()


@torch.no_grad()
def mean_loss(model: torch.nn.Module, batches: Iterator[dict[str, torch.Tensor]]) -> float:
    """Mean cross-entropy in nats per answer token over padded batches."""
    model.eval()
    parts = [answer_loss(model, batch) for batch in batches]
    return (sum(loss for loss, _ in parts) / sum(count for _, count in parts)).item()


def make_trainer(
    job: "CalibrateJob", tokenizer: "PreTrainedTokenizerFast", examples: Sequence[dict], schedule: "Schedule"
) -> "SFTTrainer":
    """TRL's SFT trainer on `examples`, which are encoded and in training order; it trains on their labels as given."""
    from datasets import Dataset, disable_progress_bars
    from transformers import PrinterCallback
    from trl import SFTConfig, SFTTrainer

    from lep.pretraining.resumable import ResumableMixin, quiet_arguments

    class CalibrationTrainer(ResumableMixin, SFTTrainer):
        def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
            """Use `answer_loss` on the CPU, where TRL's loss would compute the logits of unlabelled positions too."""
            if self.args.device.type != "cpu":
                return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
            loss, count = answer_loss(model, inputs)
            # num_items_in_batch counts the labels of all processes, whose gradients are averaged.
            return loss / (count if num_items_in_batch is None else num_items_in_batch / self.args.world_size)

    disable_progress_bars()
    device = resolve_device(job.device)
    tuning = job.tuning
    micro, accumulation = tuning.split()
    model = load_model(job.parent, job.dtype, device)
    arguments = SFTConfig(
        output_dir=str(job.work),
        num_train_epochs=1,  # `examples` holds all epochs
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=accumulation,
        learning_rate=tuning.learning_rate,
        lr_scheduler_type=tuning.schedule,
        warmup_steps=tuning.warmup_steps,
        weight_decay=tuning.weight_decay,
        max_grad_norm=tuning.max_gradient_norm,
        seed=job.seed,
        use_cpu=device == "cpu",
        ddp_find_unused_parameters=False,
        bf16=job.dtype == "bfloat16",  # autocast, as the trained parameters are float32
        fp16=job.dtype == "float16",
        activation_checkpointing=tuning.activation_checkpointing,
        max_length=None,
        dataset_kwargs={"skip_prepare_dataset": True},
        **quiet_arguments(),
    )
    trainer = CalibrationTrainer(
        model=model,
        args=arguments,
        train_dataset=Dataset.from_list(examples),
        processing_class=tokenizer,
        callbacks=[schedule],
        peft_config=lora_config(job.lora, model.config),
    )
    trainer.remove_callback(PrinterCallback)
    for parameter in trainer.model.parameters():
        if parameter.requires_grad:  # PEFT casts its adapters to float32, but not the matrices trained in full
            parameter.data = parameter.data.float()
    return trainer
