"""Scores and paired bootstrap differences of two models, from item values."""

from collections.abc import Mapping, Sequence

from darumeru import metrics

from lep.config import UserError
from lep.evaluation.samples import TaskValues
from lep.names import COLUMNS, TASKS


def score(samples: TaskValues, name: str) -> float:
    """Score of a task, a group or `micro_avg`."""
    tasks = metrics.tasks_of(name)
    return sum(metrics.aggregate(task, samples[task])[metrics.SCORE] for task in tasks) / len(tasks)


def paired_difference(
    samples_a: TaskValues, samples_b: TaskValues, name: str, draws: int = 1000, seed: int = 42
) -> tuple[float, float, float]:
    """(difference, low, high): score of B minus score of A, with the 95 % interval over `draws` bootstrap draws.

    `name` is a task (without prefix), a group or `micro_avg`. Raises `UserError` if a task is missing or the two models
    were scored on different items.
    """
    try:
        tasks = metrics.tasks_of(name)
    except KeyError:
        raise UserError(f"unknown metric {name!r}; use one of {', '.join((*COLUMNS, *TASKS))}") from None
    # Both models are resampled with the same seed, so with the same items in each draw: the difference is paired.
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
        raise UserError(f"task {task} is missing for one of the models; evaluate it or compare another metric")
    a, b = samples_a[task], samples_b[task]
    if [value["item"] for value in a] != [value["item"] for value in b]:
        raise UserError(f"task {task}: the two models were scored on different items; evaluate both on the same data")
    return a, b
