"""Scores with bootstrap intervals from the answers of an evaluation: when it ends, and again when they are checked."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from darumeru import metrics
from darumeru.specs import GROUPS

from lep.config import UserError
from lep.evaluation.samples import SAMPLES, read_lines
from lep.files import sha256_json
from lep.manifest import MANIFEST, verify

COLUMNS = (
    "model", "step", "shots", "level", "name", "metric", "value", "low", "high", "n", "chance", "task_version",
    "prompt_hash", "engine",
)  # fmt: skip


@dataclass(frozen=True)
class Scoring:
    """What decides the scores, besides the answers."""

    tasks: tuple[str, ...]
    shots: int  # examples in a prompt
    draws: int  # of the bootstrap
    seed: int  # of the bootstrap


def score_rows(scoring: Scoring, result: Mapping) -> Iterator[dict]:
    """Rows of `scores.csv` of one model, but for `model` and `step`: all metrics of each task, then the means.

    - `result`: `samples` (lines of the answers by task), `shots` and `versions` (by task), `engine`
    - means: each complete group, and the Micro-Avg if all 17 tasks are there

    Groups and Micro-Avg are plain means over their tasks, so the groups weigh 3, 8, 2, 2 and 2 of 17 in the Micro-Avg.
    """
    scores: dict[str, float] = {}
    draws: dict = {}
    counts: dict[str, int] = {}
    chances: dict[str, float] = {}
    common = {"engine": result.get("engine", "")}
    # Tasks: one row per metric. Score, draws, items and chance level are kept for the means below.
    for task in scoring.tasks:
        lines = result["samples"][task]
        values = [line["value"] | {"item": line["item"]} for line in lines]
        counts[task], chances[task] = metrics.count(task, values), metrics.chance(task, values)
        resampled = metrics.bootstrap(task, values, scoring.draws, scoring.seed)
        asked = {"shots": result["shots"][task], "task_version": result["versions"][task]}
        # Equal hashes mean equal prompts and targets: scores of different runs may be compared.
        asked["prompt_hash"] = sha256_json([[line["prompt"], line["target"]] for line in lines])[:16]
        found = metrics.aggregate(task, values)
        for metric, value in found.items():
            chance = chances[task] if metric == metrics.SCORE else None  # defined for the headline score alone
            entry = _entry("task", task, metric, value, resampled[metric], counts[task], chance)
            yield common | asked | entry
        scores[task] = found[metrics.SCORE]
        draws[task] = resampled[metrics.SCORE]
    # Groups and Micro-Avg: the mean of the tasks, draw by draw, gives the interval; tasks on the same data share draws.
    for level, name in [*(("group", group) for group in GROUPS), ("micro", metrics.MICRO)]:
        tasks = metrics.tasks_of(name)
        if all(task in scores for task in tasks):
            value, chance = (sum(x[task] for task in tasks) / len(tasks) for x in (scores, chances))
            mean = sum(draws[task] for task in tasks) / len(tasks)
            entry = _entry(level, name, metrics.SCORE, value, mean, sum(counts[task] for task in tasks), chance)
            yield common | {"shots": scoring.shots} | entry


def scores_again(folder: Path) -> list[dict[str, str]]:
    """The rows that the answers of a published evaluation give, as text, without `step`.

    Raises `UserError` if a file of the folder has another hash than its manifest says, or answers are missing.
    """
    manifest = verify(folder)
    found: dict[str, dict[str, list[dict]]] = {}
    for line in read_lines(folder / SAMPLES):
        found.setdefault(line["model"], {}).setdefault(line["task"], []).append(line)
    try:
        config, facts = manifest["config"], manifest["facts"]
        scoring = Scoring(tuple(config["tasks"]), config["shots"], config["bootstrap_draws"], manifest["seed"])
        rows = []
        for model, shots in facts["shots"].items():
            engine = facts.get("engine", {}).get(model)  # evaluations of earlier versions recorded none
            result = {"samples": found[model], "shots": shots, "versions": facts["versions"][model], "engine": engine}
            rows += [{"model": model} | row for row in score_rows(scoring, result)]
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        raise UserError(
            f"{folder / SAMPLES} and {folder / MANIFEST} give no scores ({error!r}); evaluate the models again"
        ) from None
    return [{key: "" if row.get(key) is None else str(row[key]) for key in COLUMNS if key != "step"} for row in rows]


def _entry(level: str, name: str, metric: str, value: float, draws, n: int, chance: float | None) -> dict:
    """The columns of a row that belong to the metric; numbers with six decimal places, "" for None."""
    low, high = metrics.interval(draws)
    numbers = {"value": value, "low": low, "high": high, "chance": chance}
    written = {key: "" if number is None else f"{number:.6f}" for key, number in numbers.items()}
    return {"level": level, "name": name, "metric": metric, "n": n, **written}
