"""Calibration of a propagated model on conversations: LoRA and some matrices in full (paper sections 2.4.2, 2.4.3).

    python -m lep.calibrate --config job.json

The result is stored as what it adds to its parent: `adapter/`, a PEFT adapter that also holds the
matrices trained in full. `merge` makes an ordinary model folder of parent and adapter.
"""

import argparse
import dataclasses
import itertools
import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy
import torch
from pydantic.dataclasses import dataclass

import lep.log
from lep.chat import IGNORED, encode_conversation
from lep.compute import prepare_torch, resolve_device
from lep.config import STRICT, UserError, load_job
from lep.corpus import read_jsonl
from lep.log import logger
from lep.manifest import RUN, publish, read_manifest, run_record, sha256_file, staging, write_json, write_text
from lep.model_store import load_model, load_tokenizer

if TYPE_CHECKING:
    from peft import LoraConfig
    from transformers import PretrainedConfig, PreTrainedTokenizerFast

RECIPE_VERSION = 1
ADAPTER = "adapter"


@dataclass(frozen=True, config=STRICT)
class Lora:
    """The adapter: which projections of which layers, and the matrices trained in full beside it."""

    rank: int
    alpha: float
    full: list[Literal["embed_tokens", "lm_head"]]
    layers: Literal["all", "first_last"] = "all"
    targets: list[str] = dataclasses.field(
        default_factory=lambda: ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    )
    dropout: float = 0.0


@dataclass(frozen=True, config=STRICT)
class Tuning:
    """Hyper-parameters. A step takes `batch_size` x `accumulation` x processes conversations."""

    learning_rate: float
    weight_decay: float
    batch_size: int
    accumulation: int = 1
    epochs: int = 1
    warmup_steps: int = 0
    schedule: str = "cosine"
    max_gradient_norm: float = 1.0
    max_length: int = 4096  # tokens; longer conversations are left out


@dataclass(frozen=True, config=STRICT)
class CalibrateJob:
    """One calibration of the model folder `parent` on the JSONL file `data` of `{"messages": [...]}`."""

    parent: Path
    data: Path
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
    activation_checkpointing: bool = False
    recipe_version: int = RECIPE_VERSION


def calibrate(job: CalibrateJob) -> None:
    """Train, or go on training, and publish adapter, log and metrics."""
    from lep.trainer import open_work

    prepare_torch(job.threads, job.seed)
    resume = open_work(job.work, _identity(job))
    finished = job.work / "finished.json"
    if not finished.is_file():
        write_json(finished, _train(job, resume))
    result = json.loads(finished.read_text(encoding="utf-8"))
    folder = staging(job.output)
    shutil.copytree(job.work / ADAPTER, folder / ADAPTER)
    write_text(folder / "log.jsonl", result["log"])
    write_json(folder / "metrics.json", result["facts"])
    config = {k: v for k, v in _identity(job).items() if k not in ("parent", "data")}
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


def merge(folder: Path, target: Path) -> None:
    """Write the ordinary model folder of a calibrated model: parent + adapter, in the dtype of the training."""
    model, tokenizer = load_calibrated(folder)
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)


def is_calibrated(folder: Path) -> bool:
    """True for a calibrated model, stored as what it adds to its parent."""
    return (Path(folder) / ADAPTER / "adapter_config.json").is_file()


def load_calibrated(folder: Path, device: str = "cpu") -> "tuple[torch.nn.Module, PreTrainedTokenizerFast]":
    """Model and tokenizer of a calibrated model, the adapter merged in the dtype of the training."""
    from peft import PeftModel

    folder = Path(folder)
    config = read_manifest(folder)["config"]
    parent = folder / config["parent"]
    if not (parent / "config.json").is_file():
        raise UserError(f"{folder} was made from {parent}, which does not exist; make that model first")
    model = PeftModel.from_pretrained(load_model(parent, config["dtype"], device), str(folder / ADAPTER))
    return model.merge_and_unload(), load_tokenizer(parent)


def encode_examples(
    path: Path, tokenizer: "PreTrainedTokenizerFast", max_length: int
) -> tuple[list[dict[str, list[int]]], int]:
    """Conversations of a JSONL file as `{"input_ids", "labels"}`, and how many were too long."""
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
    if not examples:
        raise UserError(f"{path} has no conversation of at most {max_length} tokens; add some or raise max_length")
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


def _train(job: CalibrateJob, resume: str | None) -> dict:
    from lep.trainer import Schedule, log_lines

    tokenizer = load_tokenizer(job.parent)
    examples, too_long = encode_examples(job.data, tokenizer, job.tuning.max_length)
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    order = order_examples([len(e["input_ids"]) for e in examples], job.tuning, job.seed, processes)
    ordered = [examples[index] for index in order]
    logger.info("%d conversations (%d too long)", len(examples), too_long)
    schedule = Schedule(
        job.work, log_steps=job.log_steps, save_steps=job.save_steps, visit_steps=set(), visit=lambda model, step: None
    )
    trainer = _make_trainer(job, tokenizer, ordered, schedule)
    trainer.train(resume_from_checkpoint=resume)
    _save_adapter(trainer.model, job)
    lengths = [len(example["input_ids"]) for example in ordered]
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    part = max(1, len(losses) // 10)
    seconds = max(schedule.training_seconds, 1e-9)
    return {
        "facts": {
            "examples": len(examples),
            "too_long": too_long,
            "steps": trainer.state.global_step,
            "tokens": sum(lengths),
            "answer_tokens": sum(label != IGNORED for example in ordered for label in example["labels"]),
            "padding_share": round(padding_share(lengths, job.tuning.batch_size), 6),
            "trained_parameters": sum(p.numel() for p in trainer.model.parameters() if p.requires_grad),
            "loss_first": round(sum(losses[:part]) / part, 6),
            "loss_last": round(sum(losses[-part:]) / part, 6),
        },
        "log": log_lines(trainer.state.log_history),
        "run": {**schedule.speed(), "tokens_per_second": round(_tokens_of(schedule, lengths, job) / seconds)},
    }


def _tokens_of(schedule, lengths: list[int], job: CalibrateJob) -> int:
    step = job.tuning.batch_size * job.tuning.accumulation
    return sum(itertools.islice(reversed(lengths), schedule.steps_done * step))


def _make_trainer(job: CalibrateJob, tokenizer, examples: list[dict], schedule):
    """TRL's SFT trainer on encoded examples; loss on the labels given, nothing prepared again."""
    from datasets import Dataset, disable_progress_bars
    from transformers import PrinterCallback
    from trl import SFTConfig, SFTTrainer

    from lep.trainer import ResumableMixin, quiet_arguments

    class CalibrationTrainer(ResumableMixin, SFTTrainer):
        pass

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
        bf16=False,  # the dtype is the model's
        activation_checkpointing=job.activation_checkpointing,
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
    return trainer


def lora_config(lora: Lora, config: "PretrainedConfig") -> "LoraConfig":
    """The PEFT configuration. A tied model has one matrix for both ends, trained in full and kept tied."""
    from peft import LoraConfig

    full = list(lora.full)
    tied = bool(full) and config.tie_word_embeddings
    last = config.num_hidden_layers - 1
    return LoraConfig(
        task_type="CAUSAL_LM",
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=list(lora.targets),
        layers_to_transform=sorted({0, last}) if lora.layers == "first_last" else None,
        modules_to_save=["embed_tokens"] if tied else full or None,
        ensure_weight_tying=tied,
    )


def _save_adapter(model: torch.nn.Module, job: CalibrateJob) -> None:
    """Write the adapter into the work folder, the same bytes each time and without paths of this machine."""
    folder = job.work / ADAPTER
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config = {k: sorted(v) if isinstance(v, list) else v for k, v in config.items()}
    config["base_model_name_or_path"] = os.path.relpath(job.parent, job.output)
    write_json(path, config)


def _identity(job: CalibrateJob) -> dict:
    values = dataclasses.asdict(job)
    for path in ("parent", "data", "work", "output"):
        del values[path]
    return {
        **values,
        "parent": sha256_file(job.parent / "manifest.json"),
        "data": sha256_file(job.data),
        "processes": int(os.environ.get("WORLD_SIZE", "1")),
    }


def main() -> None:
    """Command line of the module."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--config", type=Path, required=True, help="a CalibrateJob as JSON")
    arguments = parser.parse_args()
    with lep.log.job():
        calibrate(load_job(CalibrateJob, arguments.config))


if __name__ == "__main__":
    main()
