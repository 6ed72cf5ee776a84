"""Paired comparison of two models on the same items.

Run: `python -m lep.compare A B [--metric NAME ...]`. A and B are evaluation folders or samples files; where one holds
several models, `:MODEL` behind it names one (`results/mini/evaluation/llama/bpe/propagation:swap`). Both models are
scored on the same resampled items, so what the items share cancels out of the difference.
"""

import argparse
import gzip
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from darumeru import metrics
from darumeru.specs import GROUPS, SPECS

from lep.config import UserError
from lep.log import job

SAMPLES = "samples.jsonl.gz"
TaskValues = Mapping[str, Sequence[Mapping]]  # task -> item values


def read_lines(path: str | Path) -> Iterator[dict]:
    """Lines of a `samples.jsonl.gz`: one answer each. `UserError` where the file is missing or another."""
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for line in map(json.loads, file):
                if not {"model", "task", "item", "value"} <= line.keys():
                    raise ValueError("a line without model, task, item or value")
                yield line
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; evaluate the models first") from None
    except (gzip.BadGzipFile, EOFError, ValueError, AttributeError) as error:
        raise UserError(f"{path} is no {SAMPLES} of an evaluation: {error!r}") from None


def load_samples(path: str | Path) -> dict[str, dict[str, list[dict]]]:
    """Item values by model and task, from one `samples.jsonl.gz`."""
    samples: dict[str, dict[str, list[dict]]] = {}
    for line in read_lines(path):
        values = samples.setdefault(line["model"], {}).setdefault(line["task"], [])
        values.append(line["value"] | {"item": line["item"]})
    return samples


def find_model(where: str) -> tuple[str, dict[str, list[dict]]]:
    """Name and item values of one model, from `FOLDER`, `FILE`, `FOLDER:MODEL` or `FILE:MODEL`.

    The last part of a model's name is enough. Raises `UserError` where it is not clear which model is meant.
    """
    place, wanted = where, ""
    if not Path(where).exists() and ":" in where:
        place, _, wanted = where.rpartition(":")
    path = Path(place) / SAMPLES if Path(place).is_dir() else Path(place)
    samples = load_samples(path)
    if wanted in samples:
        return wanted, samples[wanted]
    found = [name for name in samples if not wanted or name.endswith(f"/{wanted}")]
    if len(found) != 1:
        what = f"no one model {wanted!r}" if wanted else "more than one model"
        raise UserError(f"{path} holds {what}; write {place}:MODEL with one of {', '.join(sorted(samples))}")
    return found[0], samples[found[0]]


def comparable(a: TaskValues, b: TaskValues) -> list[str]:
    """Micro-Avg, groups and tasks whose items both models have answered."""
    names = [metrics.MICRO, *GROUPS, *SPECS]
    return [name for name in names if all(task in a and task in b for task in metrics.tasks_of(name))]


def score(samples: TaskValues, name: str) -> float:
    """The score of a task, a group or `micro_avg`."""
    tasks = metrics.tasks_of(name)
    return sum(metrics.aggregate(task, samples[task])[metrics.SCORE] for task in tasks) / len(tasks)


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
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, usage="%(prog)s A B [options]"
    )
    parser.add_argument("a", metavar="A", help="first model: FOLDER[:MODEL] or FILE[:MODEL]")
    parser.add_argument("b", metavar="B", help="second model")
    parser.add_argument("--metric", nargs="+", default=[], metavar="NAME", help="micro_avg, groups, tasks; else all")
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=42)
    options = parser.parse_args()
    with job():
        (name_a, a), (name_b, b) = find_model(options.a), find_model(options.b)
        lines = [f"A = {name_a}\nB = {name_b}", f"{'':20} {'A':>7} {'B':>7} {'B - A':>8}  95 % interval"]
        for name in options.metric or comparable(a, b):
            difference, low, high = paired_difference(a, b, name, options.draws, options.seed)
            scores = f"{score(a, name):7.4f} {score(b, name):7.4f}"
            lines.append(f"{name:20} {scores} {difference:+8.4f}  [{low:+.4f}, {high:+.4f}]")
        sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
