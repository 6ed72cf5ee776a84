"""Choose the checkpoint of a pre-training run that is propagated: the best by Micro-Avg (paper section 3.2)."""

import csv
from pathlib import Path

from lep.config import UserError
from lep.files import link_or_copy
from lep.manifest import MANIFEST, RUN, publish, read_manifest, staging

RECIPE_VERSION = 1


def select_donor(scores: Path | None, models: Path, target: Path) -> None:
    """Publish the checkpoint `models`/cpt-NNN with the best Micro-Avg of `scores` as `target`.

    - With equal scores the later checkpoint is taken; without scores (no benchmark in the language) the last, cpt-100.
    - The files are hard links to the checkpoint's.
    - The facts are the checkpoint's, its name and, with scores, its score and the score of the last checkpoint.

    Raises `UserError` if the table has no score of a checkpoint.
    """
    name, choice = _best(scores) if scores else ("cpt-100", {})
    chosen = models / name
    manifest = read_manifest(chosen)
    folder = staging(target)
    for path in sorted(chosen.iterdir()):
        if path.name not in (MANIFEST, RUN):
            link_or_copy(path, folder / path.name)
    publish(
        folder,
        target,
        recipe_version=RECIPE_VERSION,
        parents={"checkpoint": chosen},
        facts={**manifest["facts"], "checkpoint": name, **choice},
        hashes=manifest["files"],
    )


def _best(scores: Path) -> tuple[str, dict[str, float]]:
    ranked = micro_averages(scores)
    _, name, best = max(ranked, key=lambda entry: (entry[2], entry[0]))
    return name, {"score": best, "final_score": max(ranked)[2]}


def micro_averages(scores: Path) -> list[tuple[int, str, float]]:
    """(step, checkpoint name, Micro-Avg) of each pre-training checkpoint in a table of scores."""
    with open(scores, encoding="utf-8", newline="") as file:
        found = [
            (int(float(row["step"])), row["model"].rsplit("/", 1)[-1], float(row["value"]))
            for row in csv.DictReader(file)
            if row["level"] == "micro" and row["metric"] == "score" and "/cpt-" in row["model"]
        ]
    if not found:
        raise UserError(
            f"{scores} has no Micro-Avg of a checkpoint (level micro, model .../cpt-NNN); evaluate them first"
        )
    return found
