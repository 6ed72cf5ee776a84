"""A figure that is not in the paper: differences of the methods of propagation, and controls, to Conversion."""

import math
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path

from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from lep.methods import COMPARED, CONTROLS
from lep.names import MICRO, VOCABULARIES, Family, parse_pairs
from lep.report.figure_1_2 import used_vocabularies
from lep.report.figure_style import GREY, SERIES, WIDTH, ScoreFormatter, figure_style, save
from lep.report.methods_compared import Compared, read_compared, title_of

_PANELS = 2  # in one line
_SPREAD = 0.6  # of the vocabularies of one method, in units of the distance of methods


def plot_methods(families: Sequence[dict], compared: Path, outputs: dict[str, Path], run: str = "") -> None:
    """Draw the paired differences of the Micro-Avg to Conversion, with 95 % intervals: one panel for each model."""
    parsed = parse_pairs(families)
    found = [row for row in read_compared(compared) if row.name == MICRO and row.difference]
    methods = [method for method in COMPARED if any(row.method == method for row in found)]
    with figure_style():
        lines = math.ceil(len(parsed) / _PANELS)
        height = lines * (1.0 + 0.45 * max(1, len(methods)))
        figure, axes = pyplot.subplots(
            lines, min(_PANELS, len(parsed)), figsize=(WIDTH, height), squeeze=False, sharey=True, layout="constrained"
        )
        for axis, family in zip_longest(axes.flat, parsed):
            if family is None:
                axis.set_axis_off()
            else:
                _panel(axis, family, methods, [row for row in found if row.family == family.name])
        handles = [
            Line2D([], [], label=VOCABULARIES[v].title, linestyle="", **_mark(v))
            for v in used_vocabularies(parsed)
            if any(row.vocabulary == v for row in found)
        ]
        if handles:
            figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), columnspacing=1.2)
        header = ("family", "vocabulary", "method", "difference", "low", "high", "verdict")
        rows = [(row.family, row.vocabulary, row.method, *row.difference, row.verdict) for row in found]
        save(figure, outputs, header, rows, run)


def _panel(axis: Axes, family: Family, methods: Sequence[str], rows: Sequence[Compared]) -> None:
    axis.axvline(0, color=GREY, linewidth=0.8)
    for place, method in enumerate(methods):
        for vocabulary in family.vocabularies:
            row = next((r for r in rows if (r.method, r.vocabulary) == (method, vocabulary)), None)
            if row is None:
                continue
            value, low, high = row.difference
            order = family.vocabularies.index(vocabulary)
            y = place + _SPREAD * ((order + 0.5) / len(family.vocabularies) - 0.5)
            color = SERIES[vocabulary]["color"]
            axis.errorbar(value, y, xerr=[[value - low], [high - value]], color=color, linewidth=1, capsize=2)
            axis.plot(value, y, linestyle="", **_mark(vocabulary))
    axis.set_yticks(range(len(methods)), [title_of(method) for method in methods])
    if controls := [place for place, method in enumerate(methods) if method in CONTROLS]:
        axis.axhline(controls[0] - 0.5, color=GREY, linewidth=0.8, linestyle=":")  # controls are below it
    axis.set_ylim(len(methods) - 0.5, -0.5)
    axis.xaxis.set_major_formatter(ScoreFormatter())
    axis.set_title(family.shown("instruct"))
    axis.set_xlabel("Micro-Avg less that of Conversion")
    axis.grid(axis="x")


def _mark(vocabulary: str) -> dict:
    return {"marker": SERIES[vocabulary]["marker"], "color": SERIES[vocabulary]["color"], "markersize": 4.5}
