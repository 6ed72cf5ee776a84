"""Figures of the claims, which are not in the paper: paired differences with intervals, one figure for each kind."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from lep.report.claim_list import KINDS
from lep.report.claims import FAILS, HOLDS, UNDECIDED, read_claims
from lep.report.figure_style import GREY, WIDTH, ScoreFormatter, figure_style, save

# Colours of Okabe and Ito; marks differ too.
_VERDICTS = {
    HOLDS: {"color": "#009E73", "marker": "o"},
    FAILS: {"color": "#D55E00", "marker": "X"},
    UNDECIDED: {"color": "0.35", "marker": "s"},
}
_PAPER = {"color": GREY, "marker": "D", "markerfacecolor": "white", "markersize": 4, "linestyle": ""}
_LINE = 62  # characters of a line of a statement
_HEIGHT = 0.27  # of a claim, in inches


def plot_claims(claims: Path, outputs: Mapping[str, Mapping[str, Path]], run: str = "") -> None:
    """Draw the differences of the scores behind each claim, with 95 % intervals, and the paper's beside them.

    `outputs` maps each kind of `lep.report.claim_list.KINDS` to its files by format. Exact claims are left out: their
    differences are no scores.
    """
    rows = [row for row in read_claims(claims) if row["low"]]
    for kind, files in outputs.items():
        found = [row for row in rows if row["id"].split("/")[0] in KINDS[kind].parts]
        with figure_style():
            figure, axis = pyplot.subplots(figsize=(WIDTH, 0.85 + _HEIGHT * max(1, len(found))), layout="constrained")
            _draw(axis, found)
            handles = [
                Line2D([], [], label=word, markersize=4.5, linestyle="", **mark) for word, mark in _VERDICTS.items()
            ]
            handles.append(Line2D([], [], label="the paper", **_PAPER))
            figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), columnspacing=1.2)
            header = ("id", "statement", "paper", "ours", "low", "high", "verdict")
            save(figure, files, header, [[row[key] for key in header] for row in found], run)


def _draw(axis: Axes, rows: Sequence[Mapping[str, str]]) -> None:
    axis.axvline(0, color=GREY, linewidth=0.8)
    for place, row in enumerate(rows):
        value, low, high = (float(row[key]) for key in ("ours", "low", "high"))
        mark = _VERDICTS[row["verdict"]]
        axis.plot([low, high], [place, place], color=mark["color"], linewidth=1.2)
        axis.plot(value, place, markersize=4.5, **mark)
        if row["paper"]:
            axis.plot(float(row["paper"]), place, zorder=1, **_PAPER)
    labels = [textwrap.fill(row["statement"].removesuffix("."), _LINE) for row in rows]
    axis.set_yticks(range(len(rows)), labels or (), fontsize=6, linespacing=1.05)
    axis.set_ylim(max(len(rows), 1) - 0.5, -0.5)
    axis.xaxis.set_major_formatter(ScoreFormatter())
    axis.set_xlabel("difference of scores")
    axis.tick_params(axis="y", length=0)
    axis.grid(axis="x")
