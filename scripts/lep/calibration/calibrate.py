"""Calibration: fine-tune a model on conversations, LoRA plus some matrices in full (paper sections 2.4.2, 2.4.3).

    python -m lep.calibration.calibrate --config job.json [--minutes 230]
    python -m lep.compute.launch --processes 8 lep.calibration.calibrate --config job.json

On a stop signal or after `--minutes`, the job saves a checkpoint and exits; run it again to continue (as in
`lep.pretraining.pretrain`). The result is `adapter/`, a PEFT adapter that also holds the matrices trained in full
(`lep.models.adapter`); the weights of the parent are not copied.
"""

import dataclasses
import itertools
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from pydantic.dataclasses import dataclass

from lep.calibration.trainer import (
    Tuning,
    encode_examples,
    make_trainer,
    mean_loss,
    order_examples,
    padding_share,
)
from lep.compute import distributed
from lep.compute.determinism import prepare_torch, resolve_device
from lep.config import STRICT, UserError
from lep.files import link_or_copy, sha256_file, write_json, write_text
from lep.log import logger, run_job
from lep.manifest import RUN, publish, run_record, staging
from lep.models.adapter import ADAPTER, Lora, save_adapter
from lep.models.chat import IGNORED
from lep.models.folder import load_tokenizer

if TYPE_CHECKING:
    from trl import SFTTrainer

    from lep.pretraining.resumable import Schedule

RECIPE_VERSION = 2


@dataclass(frozen=True, config=STRICT)
class CalibrateJob:
    """Settings of one calibration."""

    parent: Path  # folder of the model to fine-tune
    data: Path  # JSONL of training conversations, `{"messages": [...], "source"}`
    validation: Path  # held-out conversations of the same form; their loss is measured before and after
    work: Path  # folder of checkpoints
    output: Path  # folder to publish
    lora: Lora
    tuning: Tuning
    seed: int
    threads: int  # CPU threads of torch
    device: str  # cpu, cuda or auto
    # Number type of the frozen weights. Trained ones are float32, as small steps would round to nothing in bfloat16.
    dtype: str
    log_steps: int = 1  # steps averaged in one line of the log
    save_steps: int = 50  # steps between two checkpoints
    recipe_version: int = RECIPE_VERSION


def calibrate(job: CalibrateJob) -> None:
    """Train from the start or from the newest checkpoint, then publish adapter, log and metrics.

    A finished training is published again without training. Only the main process publishes.
    """
    from lep.pretraining.resumable import open_work

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
    # The matrices trained in full are large: hard-link them where the file system allows it.
    shutil.copytree(job.work / ADAPTER, folder / ADAPTER, copy_function=link_or_copy)
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


def _train(job: CalibrateJob, resume: str | None) -> dict:
    """Train, save the adapter to the work folder and return `{"facts", "log", "run"}`."""
    from lep.pretraining.resumable import Schedule, trained_tensors, writing
    from lep.pretraining.training_log import check_finite

    # Encode the conversations; those over the length limit are counted and dropped.
    tokenizer = load_tokenizer(job.parent)
    limit = job.tuning.max_length
    examples, too_long = encode_examples(job.data, tokenizer, limit)
    if not examples:
        raise UserError(f"{job.data} has no conversation of at most {limit} tokens; add some or raise max_length")
    held_out, _ = encode_examples(job.validation, tokenizer, limit)
    # Fix the order of all epochs here: the Trainer reads the data in sequence, so a resumed run sees the same steps.
    order = order_examples([len(e["input_ids"]) for e in examples], job.tuning, job.seed)
    ordered = [examples[index] for index in order]
    logger.info("%d conversations (%d too long)", len(examples), too_long)
    schedule = Schedule(job.work, log_steps=job.log_steps, save_steps=job.save_steps)
    trainer = make_trainer(job, tokenizer, ordered, schedule)
    trainer.train(resume_from_checkpoint=resume)
    model = trainer.accelerator.unwrap_model(trainer.model)
    # With the adapter off the model is the untrained parent, so both losses are measured here, once for all resumes.
    micro, _ = job.tuning.split()
    losses = _held_out_losses(trainer, model, held_out, micro)
    check_finite(trained_tensors(model) | losses, f"after step {trainer.state.global_step}")
    if distributed.is_main():
        with writing(job.work, "the adapter"):
            save_adapter(model, job.work / ADAPTER, job.dtype, os.path.relpath(job.parent, job.output))
    # `facts` do not depend on interruptions. The speed covers the steps since the last resume, so it belongs to `run`.
    lengths = [len(example["input_ids"]) for example in ordered]
    seconds = max(schedule.training_seconds, 1e-9)
    return {
        "facts": {
            "examples": len(examples),
            "too_long": too_long,
            "steps": trainer.state.global_step,
            "tokens": sum(lengths),
            "answer_tokens": sum(label != IGNORED for example in ordered for label in example["labels"]),
            "padding_share": round(padding_share(lengths, micro), 6),
            "trained_parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
            **losses,
        },
        "log": schedule.log_text(trainer.state),
        "run": {**schedule.speed(), "tokens_per_second": round(_tokens_of(schedule, lengths, job) / seconds)},
    }


def _held_out_losses(trainer: "SFTTrainer", model, examples: list[dict], batch_size: int) -> dict[str, float]:
    """Mean loss in nats per answer token before training (adapter off) and after; {} without held-out examples."""
    examples = sorted(examples, key=lambda example: len(example["input_ids"]))  # little padding in a batch
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
    """Tokens of the steps since the last resume, which are the last steps of the run."""
    return sum(itertools.islice(reversed(lengths), schedule.steps_done * job.tuning.batch_size))


def _identity(job: CalibrateJob) -> dict:
    """Everything that decides the result, inputs by hash; `open_work` empties a work folder with another identity.

    The number of processes is not part of it: they share the same steps.
    """
    values = dataclasses.asdict(job)
    for path in ("parent", "data", "validation", "work", "output"):
        del values[path]
    return {
        **values,
        "parent": sha256_file(job.parent / "manifest.json"),
        "data": sha256_file(job.data),
        "validation": sha256_file(job.validation),
    }


if __name__ == "__main__":
    run_job(calibrate, CalibrateJob, __doc__, stops=True)
