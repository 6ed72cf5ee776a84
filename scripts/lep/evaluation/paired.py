"""Scores and paired bootstrap differences of two models, from item values."""

from collections.abc import Sequence

from darumeru import metrics

from lep.config import UserError
from lep.evaluation.samples import TaskValues
from lep.evaluation.seeds import Repeats, resample, task_score
from lep.names import COLUMNS, TASKS


def score(samples: TaskValues, name: str) -> float:
    """Score of a task, a group or `micro_avg`."""
    tasks = metrics.tasks_of(name)
    return sum(metrics.aggregate(task, samples[task])[metrics.SCORE] for task in tasks) / len(tasks)


def paired_difference(
    samples_a: Repeats, samples_b: Repeats, name: str, draws: int = 1000, seed: int = 42
) -> tuple[float, float, float]:
    """(difference, low, high): score of B minus score of A, with the 95 % interval over `draws` bootstrap draws.

    `samples_a` and `samples_b` have the item values of each seed, in the same order of seeds, or of one if no seed
    changes the model. `name` is a task (without prefix), a group or `micro_avg`. Raises `UserError` if a task is
    missing, the models were scored on different items, or their numbers of seeds differ.
    """
    return contrast([(-1, samples_a), (1, samples_b)], name, draws, seed)


def contrast(
    terms: Sequence[tuple[float, Repeats]], name: str, draws: int = 1000, seed: int = 42
) -> tuple[float, float, float]:
    """(value, low, high) of a weighted sum of the scores of several models, `terms` = (weight, item values).

    All models are resampled alike, so with the same items and seeds in each draw. Arguments and errors as above.
    """
    models = [repeats for _, repeats in terms]
    if len(numbers := {len(repeats) for repeats in models} - {1}) > 1:
        found = " and ".join(map(str, sorted(numbers)))
        raise UserError(f"the models have {found} seeds; train all with the same ones")
    try:
        tasks = metrics.tasks_of(name)
    except KeyError:
        raise UserError(f"unknown metric {name!r}; use one of {', '.join((*COLUMNS, *TASKS))}") from None
    value, resampled = 0.0, 0.0
    for task in tasks:
        _check_items(task, [values for repeats in models for values in repeats])
        value += sum(weight * task_score(repeats, task) for weight, repeats in terms)
        for weight, repeats in terms:
            resampled = resampled + weight * resample(repeats, task, draws, seed)[metrics.SCORE]
    low, high = metrics.interval(resampled / len(tasks))
    return value / len(tasks), low, high


def _check_items(task: str, samples: Repeats) -> None:
    if any(task not in values for values in samples):
        raise UserError(f"task {task} is missing for one of the models; evaluate it or compare another metric")
    first, *others = [[value["item"] for value in values[task]] for values in samples]
    if any(items != first for items in others):
        raise UserError(f"task {task}: the models were scored on different items; evaluate all on the same data")
