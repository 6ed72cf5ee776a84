"""Scores of models on Darumeru with bootstrap intervals: `scores.csv` and `samples.jsonl.gz` (paper section 2.3).

Run: `python -m lep.evaluate --config job.json`. Each model's answers are kept in the work folder as soon as they are
complete, so a killed job goes on with the next model.
"""

import argparse
import csv
import gzip
import io
import json
import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from darumeru import metrics
from darumeru.specs import GROUPS, PREFIX, SPECS
from pydantic.dataclasses import dataclass

from lep.config import STRICT, UserError, load_job
from lep.log import job as log_job
from lep.log import logger
from lep.manifest import MANIFEST, publish, read_manifest, sha256_file, sha256_json, staging

if TYPE_CHECKING:
    from darumeru.fast import PrefixLM

RECIPE_VERSION = 1
COLUMNS = (
    "model", "step", "shots", "level", "name", "metric", "value", "low", "high", "n", "chance", "task_version",
    "prompt_hash",
)  # fmt: skip
ADAPTER = Path("adapter") / "adapter_config.json"  # marks the folder of a calibrated model
Samples = dict[str, list[dict]]  # task -> lines of samples.jsonl


@dataclass(frozen=True, config=STRICT)
class Model:
    """A model to score: its name and its folder. `step` of a checkpoint: else what its manifest says, if anything."""

    name: str
    path: str
    step: int | None = None


@dataclass(frozen=True, config=STRICT)
class Generation:
    """How answers are generated. The paper sampled (temperature 0.1, top-k 40, top-p 0.9); greedy has no noise.

    `max_new_tokens` gives lengths by task (without prefix) or `default`; other tasks keep the paper's.
    """

    do_sample: bool = False
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    max_new_tokens: dict[str, int] | None = None

    def settings(self) -> dict:
        """Keyword arguments of `generate`, those that are given."""
        given = {"temperature": self.temperature, "top_k": self.top_k, "top_p": self.top_p}
        return {"do_sample": self.do_sample, **{key: value for key, value in given.items() if value is not None}}


@dataclass(frozen=True, config=STRICT)
class EvaluateJob:
    """One evaluation: `models` on `tasks` with `shots` examples, under the chat template if `chat`.

    `data` is a folder `{subset}/{split}.jsonl`, None reads the hub. `limit` keeps the first records of each task
    (0 or None: all). `max_length` is the context in tokens; `batch_size` decides the rounding, so compare scores
    only at equal ones. `work` survives kills, `output` is published.
    """

    models: list[Model]
    work: str
    output: str
    tasks: list[str]
    shots: int = 0
    chat: bool = False
    data: str | None = None
    limit: int | None = None
    batch_size: int = 16
    max_length: int = 4096
    dtype: str = "bfloat16"
    device: str = "auto"
    threads: int = 1
    seed: int = 42
    generation: Generation = Generation()
    bootstrap_draws: int = 1000
    recipe_version: int = RECIPE_VERSION


def evaluate(job: EvaluateJob) -> None:
    """Score all models of a job and publish `scores.csv` and `samples.jsonl.gz`."""
    _check(job)
    results = []
    for number, model in enumerate(job.models, 1):
        kept = Path(job.work) / f"{model.name.replace('/', '__')}.json.gz"
        identity = _identity(job, model)
        result = _read_kept(kept, identity)
        if result is None:
            logger.info("model %d of %d: %s", number, len(job.models), model.name)
            result = {"identity": identity, **_run(job, model)}
            _write_gzip(kept, json.dumps(result, ensure_ascii=False, sort_keys=True))
        results.append(result)
    folder = staging(job.output)
    rows = [row for model, r in zip(job.models, results, strict=True) for row in score_rows(job, model, r)]
    _write_csv(folder / "scores.csv", rows)
    lines = (
        json.dumps({"model": model.name, **line}, ensure_ascii=False, sort_keys=True)
        for model, result in zip(job.models, results, strict=True)
        for task in job.tasks
        for line in result["samples"][task]
    )
    _write_gzip(folder / "samples.jsonl.gz", "".join(f"{line}\n" for line in lines))
    places = {model.name: model.path for model in job.models} | ({"benchmark": job.data} if job.data else {})
    publish(
        folder,
        job.output,
        recipe_version=job.recipe_version,
        parents={role: place for role, place in places.items() if (Path(place) / MANIFEST).is_file()},
        seed=job.seed,
        config={**_slice(job), "bootstrap_draws": job.bootstrap_draws},
        facts={
            what: {model.name: result[what] for model, result in zip(job.models, results, strict=True)}
            for what in ("dropped_shots", "cut_prompts")
        },
    )


def score_rows(job: EvaluateJob, model: Model, result: dict) -> Iterator[dict]:
    """Rows of `scores.csv`: each metric of each task, the groups that are complete, and the Micro-Avg of all 17.

    Groups and Micro-Avg are plain means of their tasks' scores; so the weights of the groups in the Micro-Avg are
    3, 8, 2, 2 and 2 of 17. Their intervals come from the same draws.
    """
    scores: dict[str, float] = {}
    draws: dict = {}
    counts: dict[str, int] = {}
    chances: dict[str, float] = {}
    common = {"model": model.name, "step": _step(model)}
    for task in job.tasks:
        lines = result["samples"][task]
        values = [line["value"] | {"item": line["item"]} for line in lines]
        counts[task], chances[task] = metrics.count(task, values), metrics.chance(task, values)
        resampled = metrics.bootstrap(task, values, job.bootstrap_draws, job.seed)
        asked = {"shots": result["shots"][task], "task_version": result["versions"][task]}
        asked["prompt_hash"] = sha256_json([[line["prompt"], line["target"]] for line in lines])[:16]
        for metric, value in metrics.aggregate(task, values).items():
            chance = chances[task] if metric == metrics.SCORE else None
            entry = _entry("task", task, metric, value, resampled[metric], counts[task], chance)
            yield common | asked | entry
        scores[task] = metrics.aggregate(task, values)[metrics.SCORE]
        draws[task] = resampled[metrics.SCORE]
    for level, name in [*(("group", group) for group in GROUPS), ("micro", metrics.MICRO)]:
        tasks = metrics.tasks_of(name)
        if all(task in scores for task in tasks):
            value, chance = (sum(x[task] for task in tasks) / len(tasks) for x in (scores, chances))
            mean = sum(draws[task] for task in tasks) / len(tasks)
            entry = _entry(level, name, metrics.SCORE, value, mean, sum(counts[task] for task in tasks), chance)
            yield common | {"shots": job.shots} | entry


def _step(model: Model) -> int | str:
    if model.step is None and (Path(model.path) / MANIFEST).is_file():
        return read_manifest(model.path)["facts"].get("step", "")
    return "" if model.step is None else model.step


def _entry(level: str, name: str, metric: str, value: float, draws, n: int, chance: float | None) -> dict:
    low, high = metrics.interval(draws)
    numbers = {"value": value, "low": low, "high": high, "chance": chance}
    written = {key: "" if number is None else f"{number:.6f}" for key, number in numbers.items()}
    return {"level": level, "name": name, "metric": metric, "n": n, **written}


def _check(job: EvaluateJob) -> None:
    """Raise `UserError` for what a typed job can still get wrong."""
    known = f"use {', '.join(SPECS)}"
    if unknown := [task for task in job.tasks if task not in SPECS]:
        raise UserError(f"unknown tasks {', '.join(unknown)}; {known}")
    lengths = job.generation.max_new_tokens or {}
    if unknown := [task for task in lengths if task not in SPECS and task != "default"]:
        raise UserError(f"generation.max_new_tokens names {', '.join(unknown)}; {known} or default")
    for what, names in (("task", job.tasks), ("model", [model.name for model in job.models])):
        if not names:
            raise UserError(f"the job has no {what}; name at least one")
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise UserError(f"{what} {', '.join(repeated)} is named twice")
    if job.bootstrap_draws < 1 or job.batch_size < 1 or job.shots < 0:
        raise UserError("bootstrap_draws and batch_size must be 1 or more, shots 0 or more")
    for model in job.models:
        folder = Path(model.path)
        if not (folder / "config.json").is_file() and not (folder / ADAPTER).is_file():
            raise UserError(
                f"{folder} holds no model (no config.json); the path of {model.name} must be a model folder"
            )


def _slice(job: EvaluateJob) -> dict:
    """What decides the answers of the models, without places."""
    keys = ("tasks", "shots", "chat", "limit", "batch_size", "max_length", "dtype")
    lengths = dict(sorted((job.generation.max_new_tokens or {}).items()))
    generation = {**job.generation.settings(), "max_new_tokens": lengths}
    return {key: getattr(job, key) for key in keys} | {"generation": generation, "hub": job.data is None}


def _identity(job: EvaluateJob, model: Model) -> str:
    """Hash that a kept result must have to be used again."""
    states = [_state(Path(place)) for place in (model.path, job.data) if place]
    return sha256_json([RECIPE_VERSION, _slice(job), job.seed, job.device, states])


def _state(folder: Path) -> object:
    if (folder / MANIFEST).is_file():
        return sha256_file(folder / MANIFEST)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return [[path.relative_to(folder).as_posix(), path.stat().st_size, path.stat().st_mtime_ns] for path in files]


def _run(job: EvaluateJob, model: Model) -> dict:
    """All answers of one model: samples, shots and version by task, and what did not fit into the context."""
    from lm_eval.evaluator import evaluate as run_harness

    from lep.compute import prepare_torch

    with _ordinary_folder(Path(model.path), Path(job.work)) as folder:
        lm = load_lm(folder, job)
        tasks = load_tasks(folder, job)
        prepare_torch(job.threads, job.seed)  # sampling starts anew with each model
        found = run_harness(
            lm,
            tasks,
            bootstrap_iters=0,
            apply_chat_template=job.chat,
            fewshot_as_multiturn=True,
        )
    by_name = {name.removeprefix(PREFIX): task for name, task in tasks["tasks"].items()}
    return {
        "samples": {name: [_line(name, line) for line in found["samples"][PREFIX + name]] for name in job.tasks},
        "shots": {name: task.get_config("num_fewshot") for name, task in by_name.items()},
        "versions": {name: task.VERSION for name, task in by_name.items()},
        "dropped_shots": {name: task.dropped_shots for name, task in by_name.items() if task.dropped_shots},
        "cut_prompts": {name: task.cut_prompts for name, task in by_name.items() if task.cut_prompts},
    }


def load_lm(folder: Path, job: EvaluateJob) -> "PrefixLM":
    """The model of a folder as the harness's model class, with nothing left of its own generation settings."""
    from darumeru.fast import PrefixLM
    from darumeru.task import load_tokenizer
    from transformers import GenerationConfig

    from lep.chat import end_of_turn_ids
    from lep.compute import resolve_device
    from lep.model_store import load_model

    tokenizer = load_tokenizer(str(folder))
    if job.chat and not tokenizer.chat_template:
        raise UserError(f"{folder} has no chat template; add chat_template.jinja or evaluate with chat: false")
    model = load_model(folder, job.dtype, resolve_device(job.device)).eval()
    ends = end_of_turn_ids(tokenizer) if job.chat else [tokenizer.eos_token_id]
    pad = tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id
    model.generation_config = GenerationConfig(eos_token_id=ends, pad_token_id=pad, bos_token_id=tokenizer.bos_token_id)
    return PrefixLM(pretrained=model, tokenizer=tokenizer, batch_size=job.batch_size, max_length=job.max_length)


def load_tasks(folder: Path, job: EvaluateJob) -> dict:
    """The tasks of a job as the harness loads them, set to its shots and lengths."""
    from darumeru.data import DataError
    from darumeru.task import FOLDER
    from lm_eval.tasks import TaskManager

    for name in ("lm_eval", "pymorphy3"):
        logging.getLogger(name).setLevel(logging.ERROR)
    metadata = {
        "tokenizer": str(folder),
        "max_length": job.max_length,
        "darumeru_data": job.data,
        "darumeru_limit": job.limit or None,
        "darumeru_max_new_tokens": job.generation.max_new_tokens or {},
        "darumeru_draws": 0,  # intervals are ours, from the samples
    }
    manager = TaskManager(include_path=str(FOLDER), include_defaults=False, metadata=metadata)
    try:
        loaded = manager.load([PREFIX + task for task in job.tasks])
    except DataError as error:
        raise UserError(str(error)) from None
    for task in loaded["tasks"].values():
        if task.get_config("num_fewshot") != 0:
            task.set_config("num_fewshot", job.shots)
        if task.get_config("output_type") == "generate_until":
            task.set_config("generation_kwargs", job.generation.settings())
    return loaded


@contextmanager
def _ordinary_folder(folder: Path, work: Path) -> Iterator[Path]:
    """The folder itself or, of a calibrated model, a merged one that is gone afterwards."""
    if not (folder / ADAPTER).is_file():
        yield folder
        return
    from lep.calibrate import merge

    work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=work, prefix="merged-") as place:
        merge(folder, Path(place))
        yield Path(place)


def _line(task: str, sample: dict) -> dict:
    """One line of samples.jsonl, without the model."""
    value = dict(sample[metrics.SCORE])
    item = value.pop("item")
    kind, doc = SPECS[task].kind, sample["doc"]
    if kind == "generate":
        output = sample["resps"][0][0]
    else:
        output = doc["options"][value["pred"]] if kind == "choice" else value["picked"]
    prompt = sample["arguments"][0][0]
    return {"task": task, "item": item, "value": value, "prompt": prompt, "target": doc["target"], "output": output}


def _read_kept(path: Path, identity: str) -> dict | None:
    if not path.is_file():
        return None
    with gzip.open(path, "rt", encoding="utf-8") as file:
        result = json.load(file)
    return result if result["identity"] == identity else None


def _write_gzip(path: Path, text: str) -> None:
    """Write by rename; the same text gives the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    with open(partial, "wb") as raw, gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as file:
        file.write(text.encode())
    os.replace(partial, path)


def _write_csv(path: Path, rows: list[dict]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    path.write_text(text.getvalue(), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description="Score models on Darumeru.")
    parser.add_argument("--config", required=True, help="JSON file with an EvaluateJob")
    with log_job():
        evaluate(load_job(EvaluateJob, parser.parse_args().config))


if __name__ == "__main__":
    main()
