"""Curves of the embedding pre-training, and the table of the search of its learning rate (paper section 2.4.1)."""

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path

from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from lep.config import UserError
from lep.manifest import read_manifest, write_text
from lep.report.markup import number
from lep.report.names import VOCABULARIES, parse_families
from lep.report.style import SERIES, WIDTH, look, save

_HEADER = ("run", "series", "step", "bits_per_character")
_SEARCH = ("run", "learning_rate", "steps", "tokens", "bits_per_character", "loss_per_token", "lowest")


def plot_training(families: list[dict], runs: Mapping[str, Path], outputs: Mapping[str, Mapping[str, Path]]) -> None:
    """Draw `outputs["all"]`, a panel per family, and a figure of each run: bits per character over training steps.

    `runs` maps FAMILY/VOCABULARY to the folder of its run, and so do the other `outputs` (`pdf`, `png`, `csv`). Thin
    lines are the training text, marks the held-out text. Both are in bits per character, so that vocabularies compare.
    """
    parsed = {family.name: family for family in parse_families(families)}
    curves = {run: read_curves(folder) for run, folder in runs.items()}
    with look():
        figure, axes = pyplot.subplots(1, len(parsed), figsize=(WIDTH, 2.9), squeeze=False, layout="constrained")
        for axis, family in zip(axes[0], parsed.values(), strict=True):
            _panel(axis, {run: rows for run, rows in curves.items() if run.split("/")[0] == family.name})
            axis.set_title(family.shown("base"))
        used = [v for v in SERIES if any(run.endswith(f"/{v}") for run in runs)]
        handles = [Line2D([], [], label=VOCABULARIES[v], **SERIES[v]) for v in used]
        handles.append(Line2D([], [], label="training text", color="0.5", linewidth=0.8))
        axes[0, 0].set_ylabel("bits per character")
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), columnspacing=1.2)
        save(figure, outputs["all"], _HEADER, [row for rows in curves.values() for row in rows])
        for run, rows in curves.items():
            family, vocabulary = run.split("/")
            figure, axis = pyplot.subplots(figsize=(0.6 * WIDTH, 2.6), layout="constrained")
            _panel(axis, {run: rows})
            axis.set_title(f"{parsed[family].shown('base')}, {VOCABULARIES[vocabulary]}")
            axis.set_ylabel("bits per character")
            save(figure, outputs[run], _HEADER, rows)


def read_curves(folder: Path) -> list[tuple[str, str, int, float]]:
    """Rows (run, `training` or `held-out`, step, bits per character) of a run's folder."""
    folder = Path(folder)
    run = "/".join(folder.parts[-2:])
    with open(folder / "log.jsonl", encoding="utf-8") as file:
        training = [json.loads(line) for line in file]
    checkpoints = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))["checkpoints"]
    rows = [(run, "training", line["step"], float(line["bits_per_character"])) for line in training]
    return rows + [(run, "held-out", c["step"], float(c["bits_per_character"])) for c in checkpoints]


def _panel(axis: Axes, curves: Mapping[str, list[tuple]]) -> None:
    for run, rows in curves.items():
        style = SERIES[run.split("/")[1]]
        parts = {kind: [(row[2], row[3]) for row in rows if row[1] == kind] for kind in ("training", "held-out")}
        axis.plot(*zip(*parts["training"], strict=True), color=style["color"], linewidth=0.8, alpha=0.6)
        axis.plot(*zip(*parts["held-out"], strict=True), **style)
    axis.set_xlabel("training step")
    axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axis.yaxis.set_major_formatter(lambda value, _: number(value, 2))
    axis.grid(axis="y")


def write_search(runs: Mapping[str, Mapping[str, Path]], outputs: Mapping[str, Path]) -> None:
    """Write the table of the search of the learning rate as `csv` and `md`.

    `runs` maps FAMILY/VOCABULARY and learning rate to the folder of a run. The lowest bits per character of a
    vocabulary's held-out text are marked; the rate that is used stands in the configuration.
    """
    rows = [row for run, folders in runs.items() for row in _search_rows(run, folders)]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([_SEARCH, *rows])
    write_text(outputs["csv"], text.getvalue())
    titles = ("vocabulary", "learning rate", "steps", "tokens", "bits per character", "loss per token", "lowest")
    lines = ["| " + " | ".join(titles) + " |", "|---|---:|---:|---:|---:|---:|---|"]
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    write_text(outputs["md"], "\n".join(lines) + "\n")


def _search_rows(run: str, folders: Mapping[str, Path]) -> list[tuple]:
    found = []
    for rate, folder in folders.items():
        read_manifest(folder)  # refuses a run that was not finished
        last = json.loads((Path(folder) / "metrics.json").read_text(encoding="utf-8"))["checkpoints"][-1]
        found.append((last["bits_per_character"], rate, last))
    if not found:
        raise UserError(f"pretraining.sweep: no learning rate was tried for {run}")
    lowest = min(found, key=lambda entry: (entry[0], float(entry[1])))
    return [
        (run, rate, last["step"], last["trained_tokens"], f"{bits:.4f}", f"{last['loss_per_token']:.4f}",
         "yes" if rate == lowest[1] else "no")
        for bits, rate, last in found
    ]  # fmt: skip
