"""Training curves of the embedding pre-training (paper section 2.4.1)."""

import json
from collections.abc import Mapping
from pathlib import Path

from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from lep.files import read_jsonl
from lep.names import VOCABULARIES, parse_families
from lep.report.figure_style import SERIES, WIDTH, figure_style, save
from lep.report.markup import number

_HEADER = ("run", "series", "step", "bits_per_character")


def plot_training(families: list[dict], runs: Mapping[str, Path], outputs: Mapping[str, Mapping[str, Path]]) -> None:
    """Draw bits per character over training steps: one figure with a panel per family, and one figure per run.

    - `runs`: FAMILY/VOCABULARY -> folder of the pre-training run
    - `outputs`: "all" or FAMILY/VOCABULARY -> files by format (`pdf`, `png`, `csv`)

    Thin lines are the training text, marks the held-out text. Bits per character are comparable between vocabularies,
    losses per token are not.
    """
    parsed = {family.name: family for family in parse_families(families)}
    curves = {run: read_curves(folder) for run, folder in runs.items()}
    with figure_style():
        figure, axes = pyplot.subplots(1, len(parsed), figsize=(WIDTH, 2.9), squeeze=False, layout="constrained")
        for axis, family in zip(axes[0], parsed.values(), strict=True):
            _panel(axis, {run: rows for run, rows in curves.items() if run.split("/")[0] == family.name})
            axis.set_title(family.shown("base"))
        used = [v for v in VOCABULARIES if any(run.endswith(f"/{v}") for run in runs)]
        handles = [Line2D([], [], label=VOCABULARIES[v].title, **SERIES[v]) for v in used]
        handles.append(Line2D([], [], label="training text", color="0.5", linewidth=0.8))
        axes[0, 0].set_ylabel("bits per character")
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), columnspacing=1.2)
        save(figure, outputs["all"], _HEADER, [row for rows in curves.values() for row in rows])
        for run, rows in curves.items():
            family, vocabulary = run.split("/")
            figure, axis = pyplot.subplots(figsize=(0.6 * WIDTH, 2.6), layout="constrained")
            _panel(axis, {run: rows})
            axis.set_title(f"{parsed[family].shown('base')}, {VOCABULARIES[vocabulary].title}")
            axis.set_ylabel("bits per character")
            save(figure, outputs[run], _HEADER, rows)


def read_curves(folder: Path) -> list[tuple[str, str, int, float]]:
    """Rows (run, `training` or `held-out`, step, bits per character) from the folder of a run."""
    folder = Path(folder)
    run = "/".join(folder.parts[-2:])
    training = read_jsonl(folder / "log.jsonl")
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
