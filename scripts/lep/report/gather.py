"""`scores.csv` and `metrics.csv` of a whole run, joined from the files of its steps."""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from darumeru import metrics

from lep.evaluation.samples import load_samples
from lep.evaluation.seeds import Repeats, resample
from lep.files import write_csv
from lep.manifest import read_manifest
from lep.report.scores import METRIC_COLUMNS, SCORE_COLUMNS, Paths, as_paths, read_rows

_KEY = ("model", "level", "name", "metric")  # of a row of scores.csv


def gather_scores(scores: Paths, target: Path, samples: Paths = (), draws: int = 1000, seed: int = 42) -> None:
    """Join the `scores.csv` of all evaluations, in the given order.

    A model that several of them score was trained with several seeds. Its value is the mean; its interval covers seeds
    and items, from `draws` bootstrap draws of its answers: the file in `samples` beside each file in `scores`.
    """
    places, answers = as_paths(scores), as_paths(samples)
    rows = scored_rows(places)
    files: dict[str, list[int]] = {}
    for number, path in enumerate(places):
        for model in dict.fromkeys(row["model"] for _, row in read_rows(path, ())):
            files.setdefault(model, []).append(number)
    repeated = {model: tuple(numbers) for model, numbers in files.items() if len(numbers) > 1}
    intervals: dict[tuple[str, ...], dict[str, str]] = {}
    for numbers in dict.fromkeys(repeated.values()):  # one stage at a time, to bound memory
        of_seeds = [load_samples(answers[number]) for number in numbers]
        for model in (model for model, found in repeated.items() if found == numbers):
            values = [found[model] for found in of_seeds]
            keys = [key for key in rows if key[0] == model]
            intervals |= {key: _interval(key, values, draws, seed) for key in keys}
    joined = [mean_row(found) | intervals.get(key, {}) for key, found in rows.items()]
    write_csv(target, SCORE_COLUMNS, ([row[column] for column in SCORE_COLUMNS] for row in joined))


def scored_rows(paths: Iterable[Path]) -> dict[tuple[str, ...], list[dict[str, str]]]:
    """The rows of all files by model, level, name and metric, in the order of their first one."""
    rows: dict[tuple[str, ...], list[dict[str, str]]] = {}
    for path in paths:
        for _, row in read_rows(path, SCORE_COLUMNS[:-1]):  # scores of earlier versions name no engine
            rows.setdefault(tuple(row[key] for key in _KEY), []).append({"engine": ""} | row)
    return rows


def mean_row(rows: Sequence[dict[str, str]]) -> dict[str, str]:
    """One row of a score from those of its seeds: with their mean, and the interval of the first."""
    if len(rows) == 1:
        return rows[0]
    return rows[0] | {"value": f"{sum(float(row['value']) for row in rows) / len(rows):.6f}"}


def _interval(key: tuple[str, ...], values: Repeats, draws: int, seed: int) -> dict[str, str]:
    """The 95 % interval of one row, as text."""
    _, _, name, metric = key
    tasks = metrics.tasks_of(name)
    low, high = metrics.interval(sum(resample(values, task, draws, seed)[metric] for task in tasks) / len(tasks))
    return {"low": f"{low:.6f}", "high": f"{high:.6f}"}


def gather_metrics(artefacts: Mapping[str, Mapping[str, Path]], vocabularies: Path, target: Path) -> None:
    """Write the rows of the CSV `vocabularies`, then the numeric facts of `artefacts` ({kind: {model: folder}}).

    A pre-training run also adds the facts of its checkpoints, with the initial model (`init`) as the first.
    """
    with open(vocabularies, encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))[1:]
    for kind, models in artefacts.items():
        for model, folder in models.items():
            rows += _rows(kind, model, read_manifest(folder)["facts"])
            metrics = Path(folder) / "metrics.json"
            found = json.loads(metrics.read_text(encoding="utf-8")) if metrics.is_file() else {}
            for checkpoint in found.get("checkpoints", ()):
                rows += _rows(kind, f"{model}/{checkpoint['name']}", checkpoint)
    write_csv(target, METRIC_COLUMNS, rows)


def _rows(kind: str, model: str, facts: Mapping) -> Iterator[tuple[str, str, str, str]]:
    for name, value in sorted(facts.items()):
        if isinstance(value, int | float) and not isinstance(value, bool):
            yield kind, model, name, str(value) if isinstance(value, int) else f"{value:.6g}"
