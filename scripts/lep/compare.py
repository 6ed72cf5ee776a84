"""Paired comparison of two models on the same items.

Run: `python -m lep.compare --samples FILE --a MODEL --b MODEL [--metric NAME]`. Both models are scored on the same
resampled items, so what the items share cancels out of the difference.
"""

import argparse
import gzip
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from darumeru import metrics
from darumeru.specs import GROUPS, SPECS

from lep.config import UserError
from lep.log import job

TaskValues = Mapping[str, Sequence[Mapping]]  # task -> item values


def load_samples(path: str | Path) -> dict[str, dict[str, list[dict]]]:
    """Item values by model and task, from one `samples.jsonl.gz`."""
    samples: dict[str, dict[str, list[dict]]] = {}
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for line in file:
                record = json.loads(line)
                values = samples.setdefault(record["model"], {}).setdefault(record["task"], [])
                values.append(record["value"] | {"item": record["item"]})
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; evaluate the models first") from None
    except (gzip.BadGzipFile, json.JSONDecodeError, KeyError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is no samples.jsonl.gz of an evaluation: {error!r}") from None
    return samples


def paired_difference(
    samples_a: TaskValues, samples_b: TaskValues, name: str, draws: int = 1000, seed: int = 42
) -> tuple[float, float, float]:
    """Score of B less that of A with its 95 % interval: (difference, low, high).

    `name` is a task (without prefix), a group or `micro_avg`. Raises `UserError` where a task is missing or the two
    models were not scored on the same items.
    """
    try:
        tasks = metrics.tasks_of(name)
    except KeyError:
        known = ", ".join([metrics.MICRO, *GROUPS, *SPECS])
        raise UserError(f"unknown metric {name!r}; use one of {known}") from None
    difference, resampled = 0.0, 0.0
    for task in tasks:
        a, b = _same_items(task, samples_a, samples_b)
        difference += metrics.aggregate(task, b)[metrics.SCORE] - metrics.aggregate(task, a)[metrics.SCORE]
        scores = [metrics.bootstrap(task, values, draws, seed)[metrics.SCORE] for values in (a, b)]
        resampled = resampled + scores[1] - scores[0]
    low, high = metrics.interval(resampled / len(tasks))
    return difference / len(tasks), low, high


def _same_items(task: str, samples_a: TaskValues, samples_b: TaskValues) -> tuple[Sequence[Mapping], Sequence[Mapping]]:
    if task not in samples_a or task not in samples_b:
        raise UserError(f"task {task} was not evaluated for both models; evaluate it or compare another metric")
    a, b = samples_a[task], samples_b[task]
    if [value["item"] for value in a] != [value["item"] for value in b]:
        raise UserError(f"task {task}: the two models were scored on different items; evaluate both on the same data")
    return a, b


def main() -> None:
    parser = argparse.ArgumentParser(description="Paired bootstrap of the difference between two models.")
    parser.add_argument("--samples", required=True, nargs="+", help="samples.jsonl.gz, one or more")
    parser.add_argument("--a", required=True, help="name of the first model")
    parser.add_argument("--b", required=True, help="name of the second model")
    parser.add_argument("--metric", default=metrics.MICRO, help="micro_avg, a group or a task")
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=42)
    options = parser.parse_args()
    with job():
        samples = {name: tasks for path in options.samples for name, tasks in load_samples(path).items()}
        for name in (options.a, options.b):
            if name not in samples:
                raise UserError(f"no samples of model {name!r}; the files hold {', '.join(sorted(samples))}")
        pair = samples[options.a], samples[options.b]
        difference, low, high = paired_difference(*pair, options.metric, options.draws, options.seed)
        sys.stdout.write(f"{options.metric}: {options.b} - {options.a} = {difference:+.4f} [{low:+.4f}, {high:+.4f}]\n")


if __name__ == "__main__":
    main()
