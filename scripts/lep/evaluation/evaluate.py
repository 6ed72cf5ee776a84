"""Score models on Darumeru, with bootstrap intervals: `scores.csv` and `samples.jsonl.gz` (paper section 2.3).

    python -m lep.evaluation.evaluate --config job.json [--parts FOLDER ...]

- The answers of each model are saved in the work folder when complete: a killed job continues with the next model.
- With `--parts` no model runs. The answers come from the folders of other jobs, each with one model and one group of
  tasks.
"""

import argparse
import gzip
import json
from collections.abc import Sequence
from pathlib import Path

from darumeru import metrics
from darumeru.specs import PREFIX, SPECS

from lep.config import UserError, load_job
from lep.evaluation.harness import EvaluateJob, Model, engine, load_lm, load_tasks, ordinary_folder
from lep.evaluation.samples import SAMPLES, read_lines
from lep.evaluation.scores import COLUMNS, Scoring, score_rows
from lep.files import sha256_file, sha256_json, write_csv, written_by_rename
from lep.log import logged, logger
from lep.manifest import MANIFEST, publish, read_manifest, staging, verify, with_manifest

RECIPE_VERSION = 2
# Facts of a model by task: shots per prompt, task version, number of shots left out and of prompts cut to fit.
BY_TASK = ("shots", "versions", "dropped_shots", "cut_prompts")
# All facts of a model; the chat template has one hash for all tasks, the engine is the backend with its versions.
FACTS = (*BY_TASK, "template_hash", "engine")


def evaluate(job: EvaluateJob, parts: Sequence[Path] = ()) -> None:
    """Score all models of a job and publish `scores.csv` and `samples.jsonl.gz`.

    `parts` are published folders of other jobs. Together they must have the answers of all models to all tasks.
    """
    _check(job)
    # Answers: read from parts, or generated.
    results = _join(job, parts) if parts else [_answers(job, model) for model in job.models]
    folder = staging(job.output)
    scoring = Scoring(tuple(job.tasks), job.shots, job.bootstrap_draws, job.seed)
    rows = [
        {"model": model.name, "step": _step(model)} | row
        for model, result in zip(job.models, results, strict=True)
        for row in score_rows(scoring, result)
    ]
    write_csv(folder / "scores.csv", COLUMNS, ([row.get(column) for column in COLUMNS] for row in rows))
    lines = (
        json.dumps({"model": model.name, **line}, ensure_ascii=False, sort_keys=True)
        for model, result in zip(job.models, results, strict=True)
        for task in job.tasks
        for line in result["samples"][task]
    )
    _write_gzip(folder / SAMPLES, "".join(f"{line}\n" for line in lines))
    places = {model.name: model.path for model in job.models} | ({"benchmark": job.data} if job.data else {})
    publish(
        folder,
        job.output,
        recipe_version=job.recipe_version,
        parents=with_manifest(places),
        seed=job.seed,
        config={**_slice(job), "bootstrap_draws": job.bootstrap_draws},
        facts={
            what: {model.name: result.get(what) for model, result in zip(job.models, results, strict=True)}
            for what in FACTS
        },
    )


def _answers(job: EvaluateJob, model: Model) -> dict:
    """All answers of one model: those saved by an interrupted job, if its settings were the same, else new ones."""
    kept = Path(job.work) / f"{model.name.replace('/', '__')}.json.gz"
    identity = _identity(job, model)
    result = _read_kept(kept, identity)
    if result is None:
        logger.info("evaluating %s", model.name)
        result = {"identity": identity, **_run(job, model)}
        _write_gzip(kept, json.dumps(result, ensure_ascii=False, sort_keys=True))
    return result


def _join(job: EvaluateJob, parts: Sequence[Path]) -> list[dict]:
    """The answers of each model, from the parts; `UserError` if settings differ or answers are missing."""
    wanted = {key: value for key, value in _slice(job).items() if key != "tasks"}
    joined: dict[str, dict] = {model.name: {"samples": {}, **{what: {} for what in BY_TASK}} for model in job.models}
    engines: dict[str, set[str]] = {model.name: set() for model in job.models}
    for part in parts:
        manifest = verify(part)
        if {key: manifest["config"].get(key) for key in wanted} != wanted or manifest["seed"] != job.seed:
            raise UserError(f"{part} was evaluated with other settings than this job; evaluate it again")
        for line in read_lines(part / SAMPLES):
            joined[line.pop("model")]["samples"].setdefault(line["task"], []).append(line)
        for name, result in joined.items():
            if name in manifest["facts"]["template_hash"]:
                result["template_hash"] = manifest["facts"]["template_hash"][name]
                engines[name].add(manifest["facts"].get("engine", {}).get(name, ""))
                for what in BY_TASK:
                    result[what] |= manifest["facts"][what][name]
    for name, result in joined.items():
        result["engine"] = " and ".join(sorted(filter(None, engines[name])))
        if missing := [task for task in job.tasks if task not in result["samples"]]:
            raise UserError(f"no part has the answers of {name} to {', '.join(missing)}; evaluate them")
    return list(joined.values())


def _step(model: Model) -> int | str:
    """Training step of a checkpoint, from the job or the model's manifest; "" for other models."""
    if model.step is None and (Path(model.path) / MANIFEST).is_file():
        return read_manifest(model.path)["facts"].get("step", "")
    return "" if model.step is None else model.step


def _check(job: EvaluateJob) -> None:
    """Raise `UserError` for errors that the types of the job do not catch."""
    known = f"use {', '.join(SPECS)}"
    if unknown := [task for task in job.tasks if task not in SPECS]:
        raise UserError(f"unknown tasks {', '.join(unknown)}; {known}")
    lengths = job.generation.max_new_tokens or {}
    if unknown := [task for task in lengths if task not in SPECS and task != "default"]:
        raise UserError(f"generation.max_new_tokens: unknown tasks {', '.join(unknown)}; {known} or default")
    for what, names in (("task", job.tasks), ("model", [model.name for model in job.models])):
        if not names:
            raise UserError(f"the job has no {what}; name at least one")
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise UserError(f"the job names {what} {', '.join(repeated)} twice; name each once")
    if min(job.bootstrap_draws, job.batch_size, job.max_prompt_tokens) < 1 or min(job.shots, job.max_model_tokens) < 0:
        raise UserError(
            "bootstrap_draws, batch_size and max_prompt_tokens must be 1 or more, shots and max_model_tokens 0 or more"
        )
    for model in job.models:
        folder = Path(model.path)
        if not (folder / "config.json").is_file() and not _is_calibrated(folder):
            raise UserError(f"{folder} has no config.json; the path of {model.name} must be a model folder")


def _is_calibrated(folder: Path) -> bool:
    from lep.models.adapter import is_calibrated  # imports torch, which joining parts does not need

    return is_calibrated(folder)


def _slice(job: EvaluateJob) -> dict:
    """The settings that decide the answers, without paths."""
    keys = (
        "tasks", "shots", "chat", "limit", "backend", "batch_size", "max_prompt_tokens", "max_model_tokens", "dtype",
    )  # fmt: skip
    lengths = dict(sorted((job.generation.max_new_tokens or {}).items()))
    generation = {**job.generation.settings(), "max_new_tokens": lengths}
    return {key: getattr(job, key) for key in keys} | {"generation": generation, "hub": job.data is None}


def _identity(job: EvaluateJob, model: Model) -> str:
    """Hash of everything that decides the answers of a model; a saved result with another hash is not reused."""
    states = [_state(Path(place)) for place in (model.path, job.data) if place]
    return sha256_json([RECIPE_VERSION, _slice(job), job.seed, job.device, states])


def _state(folder: Path) -> object:
    """What identifies the content of a folder: the hash of its manifest, else names, sizes and times of its files."""
    if (folder / MANIFEST).is_file():
        return sha256_file(folder / MANIFEST)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return [[path.relative_to(folder).as_posix(), path.stat().st_size, path.stat().st_mtime_ns] for path in files]


def _run(job: EvaluateJob, model: Model) -> dict:
    """Run one model on all tasks: its `samples` by task, and its `FACTS` (`template_hash` is None without template)."""
    from lm_eval.evaluator import evaluate as run_harness

    from lep.compute.determinism import prepare_torch

    with ordinary_folder(Path(model.path), Path(job.work)) as folder:
        lm = load_lm(folder, job)
        tasks = load_tasks(folder, job)
        prepare_torch(job.threads, job.seed)  # again for each model: sampling does not depend on the models before
        found = run_harness(
            lm,
            tasks,
            bootstrap_iters=0,
            apply_chat_template=job.chat,
            fewshot_as_multiturn=True,
        )
        template = lm.tokenizer.chat_template if job.chat else None
    by_name = {name.removeprefix(PREFIX): task for name, task in tasks["tasks"].items()}
    return {
        "samples": {name: [_line(name, line) for line in found["samples"][PREFIX + name]] for name in job.tasks},
        "shots": {name: task.get_config("num_fewshot") for name, task in by_name.items()},
        "versions": {name: task.VERSION for name, task in by_name.items()},
        "dropped_shots": {name: task.dropped_shots for name, task in by_name.items() if task.dropped_shots},
        "cut_prompts": {name: task.cut_prompts for name, task in by_name.items() if task.cut_prompts},
        "template_hash": sha256_json(template)[:16] if template else None,
        "engine": engine(job.backend),
    }


def _line(task: str, sample: dict) -> dict:
    """One line of `samples.jsonl`, without the model's name."""
    value = dict(sample[metrics.SCORE])
    item = value.pop("item")
    kind, doc = SPECS[task].kind, sample["doc"]
    if kind == "generate":
        output = sample["resps"][0][0]
    else:
        picked = [value["pred"]] if kind == "choice" else value["picked"]
        output = " ".join(doc["options"][index] for index in picked)
    return {
        "task": task,
        "item": item,
        "value": value,
        "question": doc["user"],
        "prompt": sample["arguments"][0][0],
        "target": doc["target"],
        "output": output,
    }


def _read_kept(path: Path, identity: str) -> dict | None:
    """The saved result of a model; None if there is none or it has another identity."""
    if not path.is_file():
        return None
    with gzip.open(path, "rt", encoding="utf-8") as file:
        result = json.load(file)
    return result if result["identity"] == identity else None


def _write_gzip(path: Path, text: str) -> None:
    """Write a gzip file by rename; equal text gives equal bytes."""
    with (
        written_by_rename(path) as partial,
        open(partial, "wb") as raw,
        gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as file,
    ):
        file.write(text.encode())


def main() -> None:
    parser = argparse.ArgumentParser(description="Score models on Darumeru.")
    parser.add_argument("--config", required=True, help="JSON file with an EvaluateJob")
    parser.add_argument(
        "--parts", nargs="+", type=Path, default=[], help="published folders to join instead of running"
    )
    options = parser.parse_args()
    with logged():
        evaluate(load_job(EvaluateJob, options.config), options.parts)


if __name__ == "__main__":
    main()
