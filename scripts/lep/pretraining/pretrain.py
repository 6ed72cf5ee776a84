"""Continued pre-training of input embeddings and LM head, the body frozen (paper section 2.4.1).

    python -m lep.pretraining.pretrain --config train.json [--minutes 230]
    python -m lep.compute.launch --processes 8 lep.pretraining.pretrain --config train.json

The work folder has everything that is needed to continue after a kill; the artefacts are published at the end. On
SIGTERM, on SIGUSR1 and after `--minutes` the process writes a restart point and exits with `lep.compute.stop.REQUEUE`:
run it again.
"""

import contextlib
import dataclasses
import functools
import json
import math
import shutil
from pathlib import Path

import torch
from pydantic.dataclasses import dataclass
from safetensors.torch import load_file, save_file

from lep.compute import distributed
from lep.compute.batch import split_batch
from lep.compute.determinism import prepare_torch, resolve_device
from lep.config import STRICT, UserError
from lep.files import sha256_file, write_json, write_text, written_by_rename
from lep.log import logger, run_job
from lep.manifest import RUN, publish, read_manifest, run_record, staging
from lep.models.folder import Embeddings, tokenizer_sha256
from lep.models.store import derive_model, load_model
from lep.pretraining.loss import body_dtype
from lep.pretraining.memory import check_memory, load_of
from lep.pretraining.packing import Blocks, load_encoder, open_blocks
from lep.pretraining.resumable import Schedule, hash_frozen, open_work, writing
from lep.pretraining.trainer import (
    Execution,
    Optimisation,
    TrainedEmbeddings,
    count_steps,
    embedding_tensors,
    make_trainer,
)
from lep.pretraining.training_log import check_finite
from lep.pretraining.validation import ScoredText, ValidationRecipe, load_validation, validate

RECIPE_VERSION = 2


@dataclass(frozen=True, config=STRICT)
class PretrainJob:
    """Settings of one training run."""

    model: Path  # initialised model
    data: Path  # folder of packed blocks
    validation: Path  # JSONL file of held-out documents
    work: Path  # folder for restart points and results that are not published yet
    output: Path  # folder to write the facts of the run to
    optimisation: Optimisation
    validation_recipe: ValidationRecipe
    fractions: list[float]  # of the steps, rising to 1: where a checkpoint is scored and published
    seed: int
    threads: int  # CPU threads of torch
    device: str  # auto, cpu or cuda
    dtype: str  # number type of the model, a torch name
    models: Path | None = None  # folder to write the checkpoints to, as cpt-NNN (per cent); None = not published
    execution: Execution = dataclasses.field(default_factory=Execution)
    log_steps: int = 10  # steps in a line of the log
    save_steps: int = 100  # steps between restart points
    recipe_version: int = RECIPE_VERSION


def pretrain(job: PretrainJob) -> None:
    """Train, or continue a training, and publish the checkpoints and the facts of the run.

    A finished run is published again without training. Only the main process publishes. Raises `UserError` for data of
    another tokenizer, a bad batch size or bad fractions, and too little memory or disk.
    """
    prepare_torch(job.threads, job.seed)
    device = resolve_device(job.device)
    distributed.join(device)
    _check_vocabulary(job)
    blocks = open_blocks(job.data)
    steps = count_steps(len(blocks), blocks.block_size, job.optimisation)
    checkpoints = checkpoint_steps(steps, job.fractions)
    resume = open_work(job.work, _identity(job))
    finished = job.work / "finished.json"
    if not distributed.from_main(finished.is_file()):
        result = _train(job, blocks, steps, checkpoints, resume, device)
        if distributed.is_main():
            write_json(finished, result)
    if distributed.is_main():
        _publish(job, checkpoints, json.loads(finished.read_text(encoding="utf-8")))
        for checkpoint in job.work.glob("checkpoint-*"):  # restart points, large and no longer needed
            shutil.rmtree(checkpoint)


def _train(
    job: PretrainJob, blocks: Blocks, steps: int, checkpoints: dict[str, int], resume: str | None, device: str
) -> dict:
    """Train to the end; returns facts, log and speed to publish. The work folder has the checkpoints' matrices."""
    causal = load_model(job.model, job.dtype, device)
    padding = read_manifest(job.model)["facts"]["padded_rows"]
    model = TrainedEmbeddings(causal, job.optimisation.float32_weights, padding)
    _check_memory(job, causal, blocks.block_size)
    body = hash_frozen(causal)
    texts = load_validation(job.validation, job.model, job.validation_recipe)
    packed = read_manifest(job.data)["facts"]
    names = {0: "init"} | {step: name for name, step in checkpoints.items()}
    schedule = Schedule(
        job.work,
        log_steps=job.log_steps,
        save_steps=job.save_steps,
        evaluated_steps=names,
        evaluate=functools.partial(evaluate_checkpoint, job, texts, names),
        tokens_per_step=job.optimisation.batch_size * blocks.block_size,
        bits_per_nat=packed["tokens"] / packed["characters"] / math.log(2),
    )
    trainer = make_trainer(
        model, blocks, steps, schedule, job.optimisation, job.execution,
        work=job.work, seed=job.seed, document_start=load_encoder(job.model)[1].bos,
    )  # fmt: skip
    trainer.train(resume_from_checkpoint=resume)
    if hash_frozen(causal) != body:
        raise RuntimeError("the body changed although it was frozen")
    log = schedule.log_text(trainer.state)
    return {
        "facts": {
            "steps": steps,
            "trained_tokens": steps * schedule.tokens_per_step,
            "trained_parameters": sum(p.numel() for p in causal.parameters() if p.requires_grad),
            "learning_rate": job.optimisation.learning_rate,
            "body_sha256": body,
            "loss_last": json.loads(log.splitlines()[-1])["loss"],
        },
        "log": log,
        "run": schedule.speed(),
    }


def _check_memory(job: PretrainJob, causal: torch.nn.Module, block_size: int) -> None:
    processes = distributed.processes()
    micro, _ = split_batch(
        job.optimisation.batch_size, job.execution.micro_batch_size, processes, "pretraining.batch_size"
    )
    load = load_of(causal, micro * block_size, job.execution.activation_checkpointing, processes)
    check_memory(load, next(causal.parameters()).device)


def evaluate_checkpoint(
    job: PretrainJob, texts: list[ScoredText], names: dict[int, str], model: TrainedEmbeddings, step: int
) -> None:
    """Keep the trained matrices of a checkpoint in the work folder, and score it on the held-out texts.

    `names`: name of the checkpoint at each step; the initial model (step 0) is scored, but not kept.
    """
    name, causal = names[step], model.causal
    check_finite(embedding_tensors(causal, body_dtype(causal)), f"after step {step}")
    if step and job.models:
        path = job.work / f"{name}.safetensors"
        with writing(job.work, f"the matrices of {name}"), written_by_rename(path) as partial:
            save_file(embedding_tensors(causal, body_dtype(causal)), partial)
    # Held-out texts have many lengths, and each would be compiled.
    eager = torch.compiler.set_stance("force_eager") if job.execution.compile else contextlib.nullcontext()
    with eager:
        scores = validate(causal, texts, job.validation_recipe)
    check_finite(scores, f"after step {step}")
    scores = {key: round(value, 6) for key, value in scores.items()}
    write_json(job.work / f"{name}.json", {"name": name, "step": step, **scores})
    logger.info(
        "%s (step %d): %.4f bits per character, loss per token %.4f",
        *(name, step, scores["bits_per_character"], scores["loss_per_token"]),
    )


def checkpoint_steps(steps: int, fractions: list[float]) -> dict[str, int]:
    """Step of each checkpoint by name: fraction 0.25 of 300 steps is `cpt-025` at step 75.

    Raises `UserError` for fractions that do not rise to 1, and for more checkpoints than steps.
    """
    if not fractions or fractions[-1] != 1 or sorted(set(fractions)) != list(fractions) or fractions[0] <= 0:
        raise UserError(f"pretraining.fractions must rise from above 0 to 1, found {fractions}; for example [0.5, 1.0]")
    found = {checkpoint_name(fraction): max(1, math.floor(steps * fraction + 0.5)) for fraction in fractions}
    if len(set(found.values())) < len(fractions):
        raise UserError(f"{len(fractions)} checkpoints do not fit into {steps} steps; give fewer pretraining.fractions")
    return found


def checkpoint_name(fraction: float) -> str:
    """`cpt-NNN` with the per cent of the run."""
    return f"cpt-{round(fraction * 100):03d}"


def _identity(job: PretrainJob) -> dict:
    """What two runs must have in common, so that one can continue from the other's restart point.

    The number of processes and other settings of the execution are not part of it.
    """
    values = dataclasses.asdict(job)
    for name in ("model", "data", "work", "models", "output", "validation", "execution", "save_steps"):
        del values[name]
    return {
        **values,
        "model": sha256_file(job.model / "manifest.json"),
        "data": sha256_file(job.data / "manifest.json"),
        "validation": sha256_file(job.validation),
    }


def _check_vocabulary(job: PretrainJob) -> None:
    if read_manifest(job.data)["facts"]["tokenizer_sha256"] != tokenizer_sha256(job.model):
        raise UserError(
            f"{job.data} was packed with another tokenizer than {job.model} has; "
            "pack the corpus with this model's tokenizer"
        )


def _publish(job: PretrainJob, checkpoints: dict[str, int], result: dict) -> None:
    facts = result["facts"]
    config = {k: v for k, v in _identity(job).items() if k not in ("model", "data", "validation")}
    parents = {"model": job.model, "data": job.data}
    common = {"recipe_version": job.recipe_version, "parents": parents, "seed": job.seed, "config": config}
    scores = [json.loads((job.work / f"{name}.json").read_text(encoding="utf-8")) for name in ("init", *checkpoints)]
    for entry in scores:
        entry["trained_tokens"] = entry["step"] * facts["trained_tokens"] // facts["steps"]
    for name, entry in zip(checkpoints if job.models else (), scores[1:], strict=False):
        tensors = load_file(job.work / f"{name}.safetensors")
        embeddings = Embeddings(tensors["input"], tensors.get("head"))
        derive_model(job.model, embeddings, job.model, job.models / name, facts=entry, **common)
    folder = staging(job.output)
    write_text(folder / "log.jsonl", result["log"])
    write_json(folder / "metrics.json", {**facts, "checkpoints": scores})
    publish(folder, job.output, facts=facts, **common)
    write_json(job.output / RUN, {**run_record(), **result["run"]})


if __name__ == "__main__":
    run_job(pretrain, PretrainJob, __doc__, stops=True)
