"""Scores and paired bootstrap differences of two models, from item values."""

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
    missing, the two models were scored on different items, or their numbers of seeds differ.
    """
    if len({len(samples_a), len(samples_b)} - {1}) > 1:
        raise UserError(f"the models have {len(samples_a)} and {len(samples_b)} seeds; train both with the same ones")
    try:
        tasks = metrics.tasks_of(name)
    except KeyError:
        raise UserError(f"unknown metric {name!r}; use one of {', '.join((*COLUMNS, *TASKS))}") from None
    # Both models are resampled alike, so with the same items and seeds in each draw: the difference is paired.
    difference, resampled = 0.0, 0.0
    for task in tasks:
        _check_items(task, [*samples_a, *samples_b])
        difference += task_score(samples_b, task) - task_score(samples_a, task)
        scores = [resample(repeats, task, draws, seed)[metrics.SCORE] for repeats in (samples_a, samples_b)]
        resampled = resampled + scores[1] - scores[0]
    low, high = metrics.interval(resampled / len(tasks))
    return difference / len(tasks), low, high


def _check_items(task: str, samples: Repeats) -> None:
    if any(task not in values for values in samples):
        raise UserError(f"task {task} is missing for one of the models; evaluate it or compare another metric")
    first, *others = [[value["item"] for value in values[task]] for values in samples]
    if any(items != first for items in others):
        raise UserError(f"task {task}: the two models were scored on different items; evaluate both on the same data")
