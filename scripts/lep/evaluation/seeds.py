"""Bootstrap over seeds and items: intervals of models whose training was repeated with several seeds.

Each seed is scored on the same items, so seeds and items are crossed and not nested: a draw takes seeds and items
independently, and all its seeds on the same items (Owen, The pigeonhole bootstrap, Annals of Applied Statistics 2007).
Of S seeds a draw takes S - 1, with replacement: the variance over draws is then that of a mean of S seeds, where S of S
would give (S - 1) / S of it, two thirds for three seeds (Rao & Wu, JASA 1988).
"""

import zlib
from collections.abc import Sequence

import numpy as np
from darumeru import metrics

from lep.evaluation.samples import TaskValues

Repeats = Sequence[TaskValues]  # item values of one model with each seed; of a model that no seed changes, only one


def over_seeds(draws: np.ndarray, seed: int) -> np.ndarray:
    """Bootstrap draws of the mean over seeds, (draws,), from those of each seed, (seeds, draws).

    Column d of `draws` has the same resampled items for all seeds. Which seeds a draw takes depends only on `seed` and
    the shape, so it is the same for all models and tasks, and differences are paired. One seed gives its own draws.
    """
    seeds, number = draws.shape
    rng = np.random.default_rng([seed, zlib.crc32(b"seeds")])
    taken = rng.integers(seeds, size=(max(1, seeds - 1), number))
    return draws[taken, np.arange(number)].mean(0)


def resample(repeats: Repeats, task: str, draws: int, seed: int) -> dict[str, np.ndarray]:
    """All metrics of a task in `draws` resamplings of seeds and items, each (draws,)."""
    found = [metrics.bootstrap(task, values[task], draws, seed) for values in repeats]
    return {name: over_seeds(np.stack([each[name] for each in found]), seed) for name in found[0]}


def task_score(repeats: Repeats, task: str) -> float:
    """The mean score of a task over the seeds."""
    scores = [metrics.aggregate(task, values[task])[metrics.SCORE] for values in repeats]
    return sum(scores) / len(scores)
