"""Calibration of a propagated model on conversations: LoRA and some matrices in full (paper sections 2.4.2, 2.4.3).

    python -m lep.calibrate --config job.json [--minutes 230]
    python -m lep.launch --processes 8 lep.calibrate --config job.json

A signal or the end of `--minutes` ends it with a checkpoint, as in `lep.pretrain`: run it again.
The result is stored as what it adds to its parent: `adapter/`, a PEFT adapter that also holds the
matrices trained in full (`lep.adapter`).
"""

import dataclasses
import itertools
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy
import torch
from pydantic.dataclasses import dataclass

from lep import distributed
from lep.adapter import ADAPTER, Lora, lora_config, save_adapter
from lep.chat import IGNORED, encode_conversation
from lep.compute import prepare_torch, resolve_device
from lep.config import STRICT, UserError
from lep.corpus import read_jsonl
from lep.log import logger, run_job
from lep.manifest import RUN, publish, run_record, sha256_file, staging, write_json, write_text
from lep.model_store import load_model, load_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast
    from trl import SFTTrainer

    from lep.trainer import Schedule

RECIPE_VERSION = 2


@dataclass(frozen=True, config=STRICT)
class Tuning:
    """Hyper-parameters. A step takes `batch_size` x `accumulation` x processes conversations.

    A step is sorted by length before it is cut into micro-batches of `batch_size`, so that small ones pad little.
    """

    learning_rate: float
    weight_decay: float
    batch_size: int
    accumulation: int = 1
    epochs: int = 1
    warmup_steps: int = 0
    schedule: str = "cosine"
    max_gradient_norm: float = 1.0
    max_length: int = 4096  # tokens; longer conversations are left out
    activation_checkpointing: bool = False


@dataclass(frozen=True, config=STRICT)
class CalibrateJob:
    """One calibration of the model folder `parent` on the JSONL file `data` of `{"messages": [...], "source"}`.

    The loss on the held-out conversations `validation` is measured before and after. Weights are of type `dtype`;
    what trains is kept in float32, because steps of a small learning rate vanish in bfloat16.
    """

    parent: Path
    data: Path
    validation: Path
    work: Path
    output: Path
    lora: Lora
    tuning: Tuning
    seed: int
    threads: int
    device: str
    dtype: str
    log_steps: int = 1
    save_steps: int = 50
    recipe_version: int = RECIPE_VERSION


def calibrate(job: CalibrateJob) -> None:
    """Train, or go on training, and publish adapter, log and metrics.

    A run that has finished is published again without training. Of several processes the main one publishes.
    """
    from lep.trainer import open_work

    prepare_torch(job.threads, job.seed)
    distributed.join(resolve_device(job.device))
    resume = open_work(job.work, _identity(job))
    finished = job.work / "finished.json"
    if not distributed.from_main(finished.is_file()):
        result = _train(job, resume)
        if distributed.is_main():
            write_json(finished, result)
    if distributed.is_main():
        _publish(job, json.loads(finished.read_text(encoding="utf-8")))


def _publish(job: CalibrateJob, result: dict) -> None:
    folder = staging(job.output)
    shutil.copytree(job.work / ADAPTER, folder / ADAPTER, copy_function=_link_or_copy)
    write_text(folder / "log.jsonl", result["log"])
    write_json(folder / "metrics.json", result["facts"])
    config = {k: v for k, v in _identity(job).items() if k not in ("parent", "data", "validation")}
    publish(
        folder,
        job.output,
        recipe_version=job.recipe_version,
        parents={"parent": job.parent},
        seed=job.seed,
        config={**config, "parent": os.path.relpath(job.parent, job.output), "data_sha256": sha256_file(job.data)},
        facts=result["facts"],
    )
    write_json(job.output / RUN, {**run_record(), **result["run"]})
    for checkpoint in job.work.glob("checkpoint-*"):
        shutil.rmtree(checkpoint)


def _link_or_copy(source: str, target: str) -> None:
    """The matrices trained in full are large: one copy serves work folder and result where the file system can."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def encode_examples(
    path: Path, tokenizer: "PreTrainedTokenizerFast", max_length: int
) -> tuple[list[dict[str, list[int]]], int]:
    """Conversations of a JSONL file as `{"input_ids", "labels"}`, and how many were too long.

    Raises `UserError` for a conversation that the assistant has no part in.
    """
    examples, too_long = [], 0
    for number, record in enumerate(read_jsonl(path), start=1):
        messages = record.get("messages")
        if not messages or not any(message["role"] == "assistant" for message in messages):
            raise UserError(f"{path}, line {number}: no assistant message in `messages`; each example needs an answer")
        ids, labels = encode_conversation(tokenizer, messages)
        if len(ids) > max_length:
            too_long += 1
        else:
            examples.append({"input_ids": ids, "labels": labels})
    return examples, too_long


def order_examples(lengths: list[int], tuning: Tuning, seed: int, processes: int = 1) -> list[int]:
    """The examples of all epochs in the order of the run.

    Each epoch is shuffled and cut into steps; within a step (whose gradient does not depend on it) the
    examples are sorted by length, so that a micro-batch pads little.
    """
    step = tuning.batch_size * tuning.accumulation * processes
    order: list[int] = []
    for epoch in range(tuning.epochs):
        order += numpy.random.default_rng([seed, epoch]).permutation(len(lengths)).tolist()
    steps = (order[start : start + step] for start in range(0, len(order), step))
    return [index for chunk in steps for index in sorted(chunk, key=lambda i: (-lengths[i], i))]


def padding_share(lengths: list[int], batch_size: int) -> float:
    """Share of padding among the tokens computed, for lengths in the order of the run."""
    batches = [lengths[start : start + batch_size] for start in range(0, len(lengths), batch_size)]
    return 1 - sum(lengths) / sum(max(batch) * len(batch) for batch in batches)


def answer_loss(model: torch.nn.Module, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Summed cross-entropy in nats over the labelled tokens of a padded batch, and their number.

    Logits are made only at positions that some row has a label for: answers are a small part of the text.
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
    """Mean cross-entropy in nats of the answers' tokens, for padded batches."""
    model.eval()
    parts = [answer_loss(model, batch) for batch in batches]
    return (sum(loss for loss, _ in parts) / sum(count for _, count in parts)).item()


def _train(job: CalibrateJob, resume: str | None) -> dict:
    from lep.trainer import Schedule, writing

    tokenizer = load_tokenizer(job.parent)
    limit = job.tuning.max_length
    examples, too_long = encode_examples(job.data, tokenizer, limit)
    if not examples:
        raise UserError(f"{job.data} has no conversation of at most {limit} tokens; add some or raise max_length")
    held_out, _ = encode_examples(job.validation, tokenizer, limit)
    order = order_examples([len(e["input_ids"]) for e in examples], job.tuning, job.seed, distributed.processes())
    ordered = [examples[index] for index in order]
    logger.info("%d conversations (%d too long)", len(examples), too_long)
    schedule = Schedule(
        job.work, log_steps=job.log_steps, save_steps=job.save_steps, visit_steps=set(), visit=lambda model, step: None
    )
    trainer = make_trainer(job, tokenizer, ordered, schedule)
    trainer.train(resume_from_checkpoint=resume)
    model = trainer.accelerator.unwrap_model(trainer.model)
    losses = _held_out_losses(trainer, model, held_out, job.tuning.batch_size)
    if distributed.is_main():
        with writing(job.work, "the adapter"):
            save_adapter(model, job.work / ADAPTER, job.dtype, os.path.relpath(job.parent, job.output))
    lengths = [len(example["input_ids"]) for example in ordered]
    seconds = max(schedule.training_seconds, 1e-9)
    return {
        "facts": {
            "examples": len(examples),
            "too_long": too_long,
            "steps": trainer.state.global_step,
            "tokens": sum(lengths),
            "answer_tokens": sum(label != IGNORED for example in ordered for label in example["labels"]),
            "padding_share": round(padding_share(lengths, job.tuning.batch_size), 6),
            "trained_parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
            **losses,
        },
        "log": schedule.log_text(trainer.state),
        "run": {**schedule.speed(), "tokens_per_second": round(_tokens_of(schedule, lengths, job) / seconds)},
    }


def _held_out_losses(trainer: "SFTTrainer", model, examples: list[dict], batch_size: int) -> dict[str, float]:
    """Held-out loss before (the adapter switched off) and after the training; nothing where nothing is held out."""
    examples = sorted(examples, key=lambda example: len(example["input_ids"]))
    starts = range(0, len(examples), batch_size)

    def batches() -> Iterator[dict[str, torch.Tensor]]:
        for start in starts:
            batch = trainer.data_collator(examples[start : start + batch_size])
            yield {name: tensor.to(trainer.args.device) for name, tensor in batch.items()}

    if not examples:
        return {}
    with trainer.compute_loss_context_manager():
        with model.disable_adapter():
            before = mean_loss(model, batches())
        after = mean_loss(model, batches())
    return {"held_out": len(examples), "held_out_loss_before": round(before, 6), "held_out_loss": round(after, 6)}


def _tokens_of(schedule: "Schedule", lengths: list[int], job: CalibrateJob) -> int:
    step = job.tuning.batch_size * job.tuning.accumulation * distributed.processes()
    return sum(itertools.islice(reversed(lengths), schedule.steps_done * step))


def make_trainer(
    job: CalibrateJob, tokenizer: "PreTrainedTokenizerFast", examples: Sequence[dict], schedule: "Schedule"
) -> "SFTTrainer":
    """TRL's SFT trainer on encoded examples in the order of the run; loss on their labels, nothing prepared again."""
    from datasets import Dataset, disable_progress_bars
    from transformers import PrinterCallback
    from trl import SFTConfig, SFTTrainer

    from lep.trainer import ResumableMixin, quiet_arguments

    class CalibrationTrainer(ResumableMixin, SFTTrainer):
        def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
            """TRL's own loss skips the unlabelled positions on GPUs only."""
            if self.args.device.type != "cpu":
                return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
            loss, count = answer_loss(model, inputs)
            # the count is that of all processes, and gradients are averaged over them
            return loss / (count if num_items_in_batch is None else num_items_in_batch / self.args.world_size)

    disable_progress_bars()
    device = resolve_device(job.device)
    tuning = job.tuning
    model = load_model(job.parent, job.dtype, device)
    arguments = SFTConfig(
        output_dir=str(job.work),
        num_train_epochs=1,  # the order of all epochs is in the data
        per_device_train_batch_size=tuning.batch_size,
        gradient_accumulation_steps=tuning.accumulation,
        learning_rate=tuning.learning_rate,
        lr_scheduler_type=tuning.schedule,
        warmup_steps=tuning.warmup_steps,
        weight_decay=tuning.weight_decay,
        max_grad_norm=tuning.max_gradient_norm,
        seed=job.seed,
        use_cpu=device == "cpu",
        bf16=job.dtype == "bfloat16",  # autocast: what trains is float32
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
        if parameter.requires_grad:  # PEFT does this for its adapters, not for the matrices beside them
            parameter.data = parameter.data.float()
    return trainer


def _identity(job: CalibrateJob) -> dict:
    values = dataclasses.asdict(job)
    for path in ("parent", "data", "validation", "work", "output"):
        del values[path]
    return {
        **values,
        "parent": sha256_file(job.parent / "manifest.json"),
        "data": sha256_file(job.data),
        "validation": sha256_file(job.validation),
        "processes": distributed.processes(),
    }


if __name__ == "__main__":
    run_job(calibrate, CalibrateJob, __doc__, stops=True)
