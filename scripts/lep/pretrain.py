"""Continued pre-training of input embeddings and LM head, the body frozen (paper section 2.4.1).

    python -m lep.pretrain --config train.json

The work folder keeps everything needed to go on after a kill; the artefacts are published at the end.
"""

import argparse
import dataclasses
import json
import math
import os
import shutil
from pathlib import Path

import numpy
import torch
from pydantic.dataclasses import dataclass
from safetensors.torch import load_file, save_file
from transformers import PrinterCallback, Trainer, TrainingArguments

import lep.log
from lep.compute import prepare_torch, resolve_device
from lep.config import STRICT, UserError, load_job
from lep.log import logger
from lep.loss import chunked_cross_entropy
from lep.manifest import RUN, publish, read_manifest, run_record, sha256_file, staging, write_json, write_text
from lep.model_store import Embeddings, derive_model, load_model, tokenizer_sha256
from lep.packing import open_blocks
from lep.trainer import ResumableMixin, Schedule, hash_frozen, log_lines, open_work, quiet_arguments
from lep.validation import ScoredText, ValidationRecipe, load_validation, validate

RECIPE_VERSION = 1


@dataclass(frozen=True, config=STRICT)
class Optimisation:
    """Hyper-parameters; the defaults are the paper's.

    A step takes `batch_size` x `accumulation` x processes sequences. `max_steps` null: one epoch (the
    last incomplete step is left out); more steps than an epoch: the data again, in another order.
    """

    learning_rate: float
    batch_size: int
    accumulation: int = 1
    max_steps: int | None = None
    warmup_steps: int = 100
    schedule: str = "cosine"
    weight_decay: float = 0.1
    betas: tuple[float, float] = (0.9, 0.95)
    epsilon: float = 1e-5
    max_gradient_norm: float = 1.0


@dataclass(frozen=True, config=STRICT)
class PretrainJob:
    """One training run.

    `model` is the initialised model, `data` a folder of packed blocks, `validation` a JSONL file of
    documents. A checkpoint at each of `fractions` of the run becomes `models`/cpt-NNN (per cent); the
    run's facts go to `output`.
    """

    model: Path
    data: Path
    validation: Path
    work: Path
    models: Path
    output: Path
    optimisation: Optimisation
    validation_recipe: ValidationRecipe
    fractions: list[float]
    seed: int
    threads: int
    device: str
    dtype: str
    log_steps: int = 10
    save_steps: int = 100
    recipe_version: int = RECIPE_VERSION


def pretrain(job: PretrainJob) -> None:
    """Train, or go on training, and publish the checkpoints and the run's facts.

    A run that has finished is published again without training.
    """
    prepare_torch(job.threads, job.seed)
    _check_vocabulary(job)
    blocks = open_blocks(job.data)
    steps = count_steps(len(blocks), job.optimisation)
    visits = checkpoint_steps(steps, job.fractions)
    resume = open_work(job.work, _identity(job))
    finished = job.work / "finished.json"
    if not finished.is_file():
        write_json(finished, _train(job, blocks, steps, visits, resume))
    _publish(job, visits, json.loads(finished.read_text(encoding="utf-8")))
    for checkpoint in job.work.glob("checkpoint-*"):
        shutil.rmtree(checkpoint)


def _train(job: PretrainJob, blocks: numpy.ndarray, steps: int, visits: dict[str, int], resume: str | None) -> dict:
    """Train to the end; returns what there is to publish beside the light checkpoints in the work folder."""
    device = resolve_device(job.device)
    model = load_model(job.model, job.dtype, device)
    freeze_body(model)
    body = hash_frozen(model)
    texts = load_validation(job.validation, job.model, job.validation_recipe)
    schedule = Schedule(
        job.work,
        log_steps=job.log_steps,
        save_steps=job.save_steps,
        visit_steps={0, *visits.values()},
        visit=Visitor(job, texts, {step: name for name, step in visits.items()}),
        tokens_per_step=_global_batch(job.optimisation) * blocks.shape[1],
    )
    trainer = make_trainer(job, model, blocks, steps, schedule, device)
    trainer.train(resume_from_checkpoint=resume)
    if hash_frozen(model) != body:
        raise RuntimeError("the body changed although it was frozen")
    history = trainer.state.log_history
    return {
        "facts": {
            "steps": steps,
            "tokens": steps * schedule.tokens_per_step,
            "trained_parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
            "body_sha256": body,
            "loss_last": round(next(entry["loss"] for entry in reversed(history) if "loss" in entry), 6),
        },
        "log": log_lines(history),
        "run": schedule.speed(),
    }


class Visitor:
    """At a checkpoint: keep the trained matrices in the work folder, measure the validation loss."""

    def __init__(self, job: PretrainJob, texts: list[ScoredText], names: dict[int, str]) -> None:
        self.job, self.texts, self.names = job, texts, {0: "init", **names}

    def __call__(self, model: torch.nn.Module, step: int) -> None:
        name = self.names[step]
        if step:
            partial = self.job.work / f".{name}.partial"
            save_file(embedding_tensors(model), partial)
            os.replace(partial, self.job.work / f"{name}.safetensors")
        scores = validate(model, self.texts, self.job.validation_recipe)
        scores = {key: round(value, 6) for key, value in scores.items()}
        write_json(self.job.work / f"{name}.json", {"name": name, "step": step, **scores})
        logger.info(
            "%s (step %d): %.4f bits per character, loss per token %.4f",
            *(name, step, scores["bits_per_character"], scores["loss_per_token"]),
        )


class BlockDataset(torch.utils.data.Dataset):
    """The sequences of a whole run in their order: each epoch a new permutation of the blocks, by seed.

    An index is a position in the run, so that going on needs no replay and the number of processes
    does not change which sequences a step takes.
    """

    def __init__(self, blocks: numpy.ndarray, length: int, seed: int) -> None:
        self.blocks, self.length, self.seed = blocks, length, seed
        self._epoch, self._order = -1, numpy.empty(0, numpy.int64)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> numpy.ndarray:
        return self.blocks[self._block(index)]

    def __getitems__(self, indices: list[int]) -> numpy.ndarray:
        return self.blocks[[self._block(index) for index in indices]]

    def _block(self, index: int) -> int:
        epoch, position = divmod(index, len(self.blocks))
        if epoch != self._epoch:
            self._epoch, self._order = epoch, numpy.random.default_rng([self.seed, epoch]).permutation(len(self.blocks))
        return int(self._order[position])


def collate(blocks: numpy.ndarray) -> dict[str, torch.Tensor]:
    """Blocks of shape (batch, block_size) as inputs and labels (equal: the model shifts them)."""
    ids = torch.from_numpy(numpy.asarray(blocks).astype(numpy.int64))
    return {"input_ids": ids, "labels": ids}


class EmbeddingTrainer(ResumableMixin, Trainer):
    """The stock Trainer with light, safe checkpoints, fixed order of data, and a loss without all logits."""

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        """Mean loss over the step's targets: a micro-batch gives its share of the accumulated batch."""
        inner = self.accelerator.unwrap_model(model)
        hidden = inner.base_model(input_ids=inputs["input_ids"], use_cache=False).last_hidden_state
        targets = inputs["labels"][:, 1:].reshape(-1)
        hidden = hidden[:, :-1].reshape(len(targets), -1)
        total = chunked_cross_entropy(hidden, inner.get_output_embeddings().weight, targets)
        return total / (len(targets) if num_items_in_batch is None else num_items_in_batch)


def make_trainer(
    job: PretrainJob, model: torch.nn.Module, blocks: numpy.ndarray, steps: int, schedule: Schedule, device: str
) -> EmbeddingTrainer:
    """The Trainer of a job. Only the given schedule reports; nothing leaves the machine."""
    recipe = job.optimisation
    arguments = TrainingArguments(
        output_dir=str(job.work),
        max_steps=steps,
        per_device_train_batch_size=recipe.batch_size,
        gradient_accumulation_steps=recipe.accumulation,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type=recipe.schedule,
        warmup_steps=min(recipe.warmup_steps, steps // 2),
        weight_decay=recipe.weight_decay,
        adam_beta1=recipe.betas[0],
        adam_beta2=recipe.betas[1],
        adam_epsilon=recipe.epsilon,
        max_grad_norm=recipe.max_gradient_norm,
        seed=job.seed,
        use_cpu=device == "cpu",
        **quiet_arguments(),
    )
    dataset = BlockDataset(blocks, steps * _global_batch(recipe), job.seed)
    trainer = EmbeddingTrainer(model, arguments, collate, dataset, callbacks=[schedule])
    trainer.remove_callback(PrinterCallback)
    return trainer


def freeze_body(model: torch.nn.Module) -> None:
    """Let nothing train but the input embeddings and the LM head (one matrix where they are tied)."""
    model.requires_grad_(False)
    model.get_input_embeddings().weight.requires_grad_(True)
    model.get_output_embeddings().weight.requires_grad_(True)


def embedding_tensors(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Copies of the two matrices on the CPU: `input` (V, d) and, untied, `head` (V, d)."""
    matrices = {"input": model.get_input_embeddings().weight}
    if not model.config.tie_word_embeddings:
        matrices["head"] = model.get_output_embeddings().weight
    return {name: matrix.detach().cpu().contiguous() for name, matrix in matrices.items()}


def count_steps(blocks: int, recipe: Optimisation) -> int:
    """Optimiser steps of a run over `blocks` sequences."""
    steps = recipe.max_steps or blocks // _global_batch(recipe)
    if steps < 1:
        raise UserError(
            f"{blocks} blocks do not fill one step of {_global_batch(recipe)} sequences; "
            "lower pretraining.batch_size or pretraining.accumulation, or set pretraining.max_steps"
        )
    return steps


def checkpoint_steps(steps: int, fractions: list[float]) -> dict[str, int]:
    """Step of each checkpoint by name: fraction 0.25 of 300 steps is `cpt-025` at step 75."""
    if not fractions or fractions[-1] != 1 or sorted(set(fractions)) != list(fractions) or fractions[0] <= 0:
        raise UserError(f"pretraining.fractions must rise from above 0 to 1, found {fractions}; for example [0.5, 1.0]")
    found = {checkpoint_name(fraction): max(1, math.floor(steps * fraction + 0.5)) for fraction in fractions}
    if len(set(found.values())) < len(fractions):
        raise UserError(f"{len(fractions)} checkpoints do not fit into {steps} steps; give fewer pretraining.fractions")
    return found


def checkpoint_name(fraction: float) -> str:
    """`cpt-NNN` with the per cent of the run."""
    return f"cpt-{round(fraction * 100):03d}"


def _global_batch(recipe: Optimisation) -> int:
    return recipe.batch_size * recipe.accumulation * int(os.environ.get("WORLD_SIZE", "1"))


def _identity(job: PretrainJob) -> dict:
    """What two runs must share for one to go on from the other's checkpoint."""
    values = dataclasses.asdict(job)
    for path in ("model", "data", "work", "models", "output", "validation"):
        del values[path]
    return {
        **values,
        "model": sha256_file(job.model / "manifest.json"),
        "data": sha256_file(job.data / "manifest.json"),
        "validation": sha256_file(job.validation),
        "processes": int(os.environ.get("WORLD_SIZE", "1")),
    }


def _check_vocabulary(job: PretrainJob) -> None:
    if read_manifest(job.data)["facts"]["tokenizer_sha256"] != tokenizer_sha256(job.model):
        raise UserError(
            f"{job.data} was packed with another tokenizer than that of {job.model}; "
            "pack the corpus with this model's tokenizer"
        )


def _publish(job: PretrainJob, visits: dict[str, int], result: dict) -> None:
    facts = result["facts"]
    config = {k: v for k, v in _identity(job).items() if k not in ("model", "data", "validation")}
    parents = {"model": job.model, "data": job.data}
    common = {"recipe_version": job.recipe_version, "parents": parents, "seed": job.seed, "config": config}
    scores = [json.loads((job.work / f"{name}.json").read_text(encoding="utf-8")) for name in ("init", *visits)]
    for entry in scores:
        entry["tokens"] = entry["step"] * facts["tokens"] // facts["steps"]
    for name, entry in zip(visits, scores[1:], strict=True):
        tensors = load_file(job.work / f"{name}.safetensors")
        embeddings = Embeddings(tensors["input"], tensors.get("head"))
        derive_model(job.model, embeddings, job.model, job.models / name, facts=entry, **common)
    folder = staging(job.output)
    write_text(folder / "log.jsonl", result["log"])
    write_json(folder / "metrics.json", {**facts, "checkpoints": scores})
    publish(folder, job.output, facts=facts, **common)
    write_json(job.output / RUN, {**run_record(), **result["run"]})


def main() -> None:
    """Command line of the module."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--config", type=Path, required=True, help="a PretrainJob as JSON")
    arguments = parser.parse_args()
    with lep.log.job():
        pretrain(load_job(PretrainJob, arguments.config))


if __name__ == "__main__":
    main()
