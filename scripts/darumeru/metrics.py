"""Metrics with bootstrap intervals from item values, for tasks, groups and the Micro-Avg.

- Every metric is a function of sums over resampled units, so a bootstrap draw is one row of a matrix product.
- A unit is resampled as a whole: an item, a PARus pair, or a variant of the exam. MMLU is resampled by subject.
- Draws depend only on seed, data subset and units: two models on the same items have the same draws, and so have two
  tasks on the same data.
"""

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from darumeru.specs import GROUPS, MICRO, SPECS

SCORE = "score"

USE_POINTS = 34  # of one variant
_CHUNK = 100  # draws per matrix product, to bound memory
Values = Sequence[Mapping]
Summary = Callable[[np.ndarray], dict[str, np.ndarray]]


@dataclass(frozen=True)
class Measure:
    """The items of one task as units to resample."""

    features: np.ndarray  # (units, features), summed over the units of a draw
    summary: Summary  # metrics from summed features (..., features)
    keys: list[str]  # name of each unit
    strata: np.ndarray = field(default_factory=lambda: np.zeros(0, int))  # (units,); empty = one stratum

    def values(self) -> dict[str, float]:
        """All metrics; the headline `score` is the first."""
        return {name: float(value) for name, value in self.summary(self.features.sum(0)).items()}

    def bootstrap(self, draws: int, seed: int, label: str) -> dict[str, np.ndarray]:
        """All metrics of `draws` resamplings, each (draws,)."""
        strata = self.strata if len(self.strata) else np.zeros(len(self.features), int)
        parts = [self.summary(w @ self.features) for w in _weights(strata, draws, seed, label)]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _weights(strata: np.ndarray, draws: int, seed: int, label: str) -> Iterator[np.ndarray]:
    """Number of times that each unit is drawn, in chunks (draws, units); each stratum keeps its size."""
    rng = np.random.default_rng([seed, zlib.crc32(label.encode())])
    members = [np.flatnonzero(strata == stratum) for stratum in np.unique(strata)]
    for start in range(0, draws, _CHUNK):
        rows = min(_CHUNK, draws - start)
        weights = np.zeros((rows, len(strata)))
        for places in members:
            weights[:, places] = rng.multinomial(len(places), np.full(len(places), 1 / len(places)), size=rows)
        yield weights


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """above / below, and 0 where below is 0."""
    return np.divide(above, below, out=np.zeros(np.broadcast(above, below).shape), where=below != 0)


def _column(values: Values, key: str) -> np.ndarray:
    return np.array([float(value[key]) for value in values])


def _keys(values: Values) -> list[str]:
    return [str(value["item"]) for value in values]


def _right(values: Values) -> np.ndarray:
    return np.array([float(value["gold"] == value["pred"]) for value in values])


def _means(*names: str, score: tuple[str, ...]) -> Callable[[Values, int], Measure]:
    """Item means of the values `names`; the headline score is the mean over `score`."""

    def measure(values: Values, options: int) -> Measure:
        columns = [_column(values, name) for name in names]

        def summary(sums: np.ndarray) -> dict[str, np.ndarray]:
            means = {name: _ratio(sums[..., i], sums[..., -1]) for i, name in enumerate(names)}
            return {SCORE: sum(means[name] for name in score) / len(score), **means}

        return Measure(np.stack([*columns, np.ones(len(values))], 1), summary, _keys(values))

    return measure


def _accuracy(values: Values, options: int) -> Measure:
    features = np.stack([_right(values), np.ones(len(values))], 1)
    return Measure(features, lambda sums: {SCORE: _ratio(sums[..., 0], sums[..., 1])}, _keys(values))


def _confusion(second: str, of_matrix: Callable[[np.ndarray], np.ndarray]) -> Callable[[Values, int], Measure]:
    """The headline score is the mean of accuracy and `second`, a metric of the confusion matrix (gold, predicted)."""

    def measure(values: Values, options: int) -> Measure:
        cells = [value["gold"] * options + value["pred"] for value in values]

        def summary(sums: np.ndarray) -> dict[str, np.ndarray]:
            matrix = sums.reshape(*sums.shape[:-1], options, options)
            accuracy = _ratio(np.trace(matrix, axis1=-2, axis2=-1), matrix.sum((-2, -1)))
            other = of_matrix(matrix)
            return {SCORE: (accuracy + other) / 2, "accuracy": accuracy, second: other}

        return Measure(np.eye(options * options)[cells], summary, _keys(values))

    return measure


def _macro_f1(matrix: np.ndarray) -> np.ndarray:
    """Mean F1 over the classes that occur as gold or as prediction."""
    both = matrix.sum(-1) + matrix.sum(-2)
    return _ratio(_ratio(2 * np.diagonal(matrix, axis1=-2, axis2=-1), both).sum(-1), (both > 0).sum(-1))


def _mcc(matrix: np.ndarray) -> np.ndarray:
    """Matthews correlation; 0 if gold or predictions have only one class."""
    gold, said, total = matrix.sum(-1), matrix.sum(-2), matrix.sum((-2, -1))
    above = np.trace(matrix, axis1=-2, axis2=-1) * total - (gold * said).sum(-1)
    below = (total**2 - (gold**2).sum(-1)) * (total**2 - (said**2).sum(-1))
    return _ratio(above, np.sqrt(below))


def _pairs(values: Values, options: int) -> Measure:
    """PARus: a pair is right if both orders are right."""
    pairs: dict[str, list[bool]] = {}
    for value in values:
        pairs.setdefault(str(value["pair"]), []).append(value["gold"] == value["pred"])
    features = np.array(
        [[float(len(right) == 2 and all(right)), sum(right) / len(right), 1.0] for right in pairs.values()]
    )
    names = (SCORE, "accuracy")
    return Measure(
        features, lambda sums: {n: _ratio(sums[..., i], sums[..., 2]) for i, n in enumerate(names)}, list(pairs)
    )


def _exam(values: Values, options: int) -> Measure:
    """USE: share of the 34 points, averaged over variants; in `score_by_count` a repeated number is wrong."""
    variants = list(dict.fromkeys(str(value["variant"]) for value in values))
    rows = np.array([variants.index(str(value["variant"])) for value in values])
    names = {SCORE: "points", "score_by_count": "points_by_count"}
    columns = [np.bincount(rows, _column(values, key)) / USE_POINTS for key in names.values()]
    features = np.stack([*columns, np.ones(len(variants))], 1)
    return Measure(
        features, lambda sums: {n: _ratio(sums[..., i], sums[..., -1]) for i, n in enumerate(names)}, variants
    )


def _categories(values: Values, options: int) -> Measure:
    """MMLU: mean over categories of the mean accuracy of their subjects; `accuracy` is that of all questions."""
    category = {value["subject"]: value["category"] for value in values}
    subjects, names = sorted(category), sorted(set(category.values()))
    strata = np.array([subjects.index(value["subject"]) for value in values])
    sizes = np.bincount(strata, minlength=len(subjects))
    average = np.array([[float(category[subject] == name) for subject in subjects] for name in names])
    average /= average.sum(1, keepdims=True)

    def summary(sums: np.ndarray) -> dict[str, np.ndarray]:
        by_subject = sums / sizes
        return {SCORE: (by_subject @ average.T).mean(-1), "accuracy": sums.sum(-1) / sizes.sum()}

    return Measure(np.eye(len(subjects))[strata] * _right(values)[:, None], summary, _keys(values), strata)


# Values whose mean is the score of a single item.
_PARTS = {
    "answers": ("f1", "exact_match"), "summary": ("rouge1", "rouge2"), "retrieval": ("r_precision",),
    "copy_length": ("length_ratio",), "copy_exact": ("copied",),
}  # fmt: skip
_ROUGE = ("rouge1", "rouge2", "rouge1_recall", "rouge2_recall", "rouge1_typographic", "rouge2_typographic")
_COPY = ("length_ratio", "length_ratio_text", "copied", "lcs", "lcs_tokens", "symbols_per_token")
MEASURES: dict[str, Callable[[Values, int], Measure]] = {
    "accuracy": _accuracy,
    "categories": _categories,
    "pairs": _pairs,
    "exam": _exam,
    "accuracy_f1": _confusion("macro_f1", _macro_f1),
    "accuracy_mcc": _confusion("mcc", _mcc),
    "answers": _means("f1", "exact_match", score=_PARTS["answers"]),
    "summary": _means(*_ROUGE, score=_PARTS["summary"]),
    "retrieval": _means("r_precision", score=_PARTS["retrieval"]),
    "copy_length": _means(*_COPY, score=_PARTS["copy_length"]),
    "copy_exact": _means(*_COPY, score=_PARTS["copy_exact"]),
}
METRICS = {
    "accuracy": (SCORE,), "categories": (SCORE, "accuracy"), "pairs": (SCORE, "accuracy"),
    "exam": (SCORE, "score_by_count"), "accuracy_f1": (SCORE, "accuracy", "macro_f1"),
    "accuracy_mcc": (SCORE, "accuracy", "mcc"), "answers": (SCORE, "f1", "exact_match"),
    "summary": (SCORE, *_ROUGE),
    "retrieval": (SCORE, "r_precision"), "copy_length": (SCORE, *_COPY), "copy_exact": (SCORE, *_COPY),
}  # fmt: skip


def measure(task: str, values: Values) -> Measure:
    """The measure of a task (name without prefix) from its item values."""
    spec = SPECS[task]
    return MEASURES[spec.measure](values, len(spec.options))


def aggregate(task: str, values: Values) -> dict[str, float]:
    """All metrics of a task; the headline metric is `score`."""
    return measure(task, values).values()


def bootstrap(task: str, values: Values, draws: int, seed: int) -> dict[str, np.ndarray]:
    """All metrics of a task in `draws` joint resamplings, each (draws,)."""
    return measure(task, values).bootstrap(draws, seed, SPECS[task].subset)


def interval(draws: np.ndarray) -> tuple[float, float]:
    """(low, high) of the 95 % interval of bootstrap draws."""
    low, high = np.percentile(draws, [2.5, 97.5])
    return float(low), float(high)


def count(task: str, values: Values) -> int:
    """Number of scored records: pairs for PARus, items for other tasks."""
    return len({value["pair"] for value in values}) if SPECS[task].measure == "pairs" else len(values)


def item_score(task: str, value: Mapping) -> float:
    """Score of one answer from 0 to 1; an exam answer has 1 if it earned a point."""
    kind = SPECS[task].measure
    if kind in _PARTS:
        return sum(value[part] for part in _PARTS[kind]) / len(_PARTS[kind])
    return float(value["points"] > 0) if kind == "exam" else float(value["gold"] == value["pred"])


def chance(task: str, values: Values) -> float:
    """Chance level of a task's score.

    - accuracy: 1 / number of options
    - PARus: both orders guessed, 1/4
    - mean of accuracy and another metric: the best constant answer
    - R-precision: a random ranking, R/n
    - generated answers: 0
    """
    spec = SPECS[task]
    if spec.measure in ("accuracy", "categories"):
        return 1 / len(spec.options)
    if spec.measure == "pairs":
        return 1 / len(spec.options) ** 2
    if spec.measure in ("accuracy_f1", "accuracy_mcc"):
        constants = ([{**value, "pred": option} for value in values] for option in range(len(spec.options)))
        return max(aggregate(task, answers)[SCORE] for answers in constants)
    return float(_column(values, "chance").mean()) if spec.measure == "retrieval" else 0.0


def tasks_of(name: str) -> tuple[str, ...]:
    """Tasks of a name: a task itself, the tasks of a group, all 17 for `micro_avg`. KeyError for other names."""
    if name == MICRO:
        return tuple(SPECS)
    return GROUPS[name] if name in GROUPS else (SPECS[name].name,)
