"""`scores.csv` and `metrics.csv` of a whole run, joined from the files of its steps."""

import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from lep.config import UserError
from lep.files import write_csv
from lep.manifest import read_manifest
from lep.report.scores import METRIC_COLUMNS, SCORE_COLUMNS, Paths, as_paths


def gather_scores(scores: Paths, target: Path) -> None:
    """Join the `scores.csv` of all evaluations, in the given order."""
    rows = []
    for path in as_paths(scores):
        with open(path, encoding="utf-8", newline="") as file:
            header, *found = csv.reader(file)
        if tuple(header) == SCORE_COLUMNS[:-1]:  # of an earlier version, which recorded no engine
            found = [[*row, ""] for row in found]
        elif tuple(header) != SCORE_COLUMNS:
            raise UserError(f"{path} must have the columns {','.join(SCORE_COLUMNS)}; evaluate its models again")
        rows += found
    write_csv(target, SCORE_COLUMNS, rows)


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
