"""Table of the learning-rate sweep."""

import json
from collections.abc import Mapping
from pathlib import Path

from lep.config import UserError
from lep.files import write_csv, write_text
from lep.manifest import read_manifest

_HEADER = ("run", "learning_rate", "steps", "tokens", "bits_per_character", "loss_per_token", "lowest")


def write_sweep_table(runs: Mapping[str, Mapping[str, Path]], outputs: Mapping[str, Path]) -> None:
    """Write the table of the learning-rate sweep as `csv` and `md`.

    `runs` maps FAMILY/VOCABULARY, then the learning rate, to the folder of a run. The rate with the lowest bits per
    character of held-out text is marked; it is not applied: the configuration sets the rate.
    """
    rows = [row for run, folders in runs.items() for row in _sweep_rows(run, folders)]
    write_csv(outputs["csv"], _HEADER, rows)
    titles = ("vocabulary", "learning rate", "steps", "tokens", "bits per character", "loss per token", "lowest")
    lines = ["| " + " | ".join(titles) + " |", "|---|---:|---:|---:|---:|---:|---|"]
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    write_text(outputs["md"], "\n".join(lines) + "\n")


def _sweep_rows(run: str, folders: Mapping[str, Path]) -> list[tuple]:
    found = []
    for rate, folder in folders.items():
        read_manifest(folder)  # raises UserError if the run is not finished
        last = json.loads((Path(folder) / "metrics.json").read_text(encoding="utf-8"))["checkpoints"][-1]
        found.append((last["bits_per_character"], rate, last))
    if not found:
        raise UserError(f"pretraining.sweep has no learning rate for {run}; add some to learning_rates")
    lowest = min(found, key=lambda entry: (entry[0], float(entry[1])))
    return [
        (run, rate, last["step"], last["trained_tokens"], f"{bits:.4f}", f"{last['loss_per_token']:.4f}",
         "yes" if rate == lowest[1] else "no")
        for bits, rate, last in found
    ]  # fmt: skip
