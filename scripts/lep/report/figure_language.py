"""Figure of what models know of their languages: bits per character, ranking of paragraphs, copying."""

import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from lep.names import CALIBRATIONS, ORIGINAL, VOCABULARIES, Family, ModelName, parse_model_name, parse_pairs
from lep.report.figure_style import GREY, WIDTH, ScoreFormatter, figure_style, save
from lep.report.language_table import Measured, read_language
from lep.report.methods_compared import title_of

# {measure: (title of the axis, value of a model that only guesses, whether a model has a share of questions right)}
_PANELS = {
    "bits_per_character": ("bits per character\n(lower is better)", None, False),
    "next_paragraph": ("next paragraph found\n(of four)", 0.25, True),
    "copied_tokens": ("tokens copied", None, False),
}
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
_MARKERS = ("o", "s", "^", "D")
_Z = 1.959964  # 95 % of a normal distribution


def plot_language(families: Sequence[dict], measures: Path, outputs: dict[str, Path], run: str = "") -> None:
    """Draw one line for each model and one panel for each measure; intervals of shares are Wilson's, of 95 %."""
    rows = read_language(measures)
    pairs = parse_pairs(families)
    names = [name for pair in pairs for name in _sorted(pair, rows)]
    panels = [measure for measure in _PANELS if any(row.measure == measure for row in rows)]
    languages = list(dict.fromkeys(row.language for row in rows if row.measure in _PANELS))
    several = len(pairs) > 1
    with figure_style():
        size = (WIDTH, 1.1 + 0.17 * len(names))
        figure, axes = pyplot.subplots(1, len(panels), figsize=size, squeeze=False, sharey=True, layout="constrained")
        for axis, measure in zip(axes[0], panels, strict=True):
            _panel(axis, measure, names, languages, rows)
        parsed = {name: parse_model_name(name) for name in names}
        labels = [(f"{parsed[name].family}: " if several else "") + shown_model(parsed[name]) for name in names]
        axes[0][0].set_yticks(range(len(names)), labels)
        axes[0][0].set_ylim(len(names) - 0.5, -0.5)
        for place, (above, below) in enumerate(pairwise(names)):
            if _block(parsed[above]) != _block(parsed[below]):
                for axis in axes[0]:
                    axis.axhline(place + 0.5, color=GREY, linewidth=0.6, linestyle=":")
        handles = [Line2D([], [], label=code, linestyle="", **_mark(languages, code)) for code in languages]
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), columnspacing=1.2)
        drawn = [row for row in rows if row.measure in panels and row.model in names]
        data = [(r.model, r.measure, r.language, r.value, *(_interval(r) or ("", "")), r.n) for r in drawn]
        save(figure, outputs, ("model", "measure", "language", "value", "low", "high", "n"), data, run)


def shown_model(name: ModelName) -> str:
    """Title of a model beside others of its family."""
    if name.vocabulary == ORIGINAL:
        what = {"base": "base", "instruct": "instruct"}[name.step]
    else:
        known = {"init": "base, initialised", "donor": "base, adapted"}
        what = f"{VOCABULARIES[name.vocabulary].title}: {known.get(name.step) or title_of(name.step)}"
    return f"{what}, {CALIBRATIONS[name.calibration].title}" if name.calibration else what


def _sorted(family: Family, rows: Sequence[Measured]) -> list[str]:
    """The measured models of a family: source models and their calibrations first, then by vocabulary."""
    found = [parse_model_name(name) for name in dict.fromkeys(row.model for row in rows)]
    places = [ORIGINAL, *family.vocabularies]
    own = [name for name in found if name.family == family.name]
    return [str(name) for name in sorted(own, key=lambda name: places.index(name.vocabulary))]  # stable


def _block(name: ModelName) -> tuple[str, str]:
    return name.family, name.vocabulary


def _panel(axis: Axes, measure: str, names: list[str], languages: list[str], rows: Sequence[Measured]) -> None:
    title, chance, is_share = _PANELS[measure]
    if chance is not None:
        axis.axvline(chance, color=GREY, linewidth=0.8, linestyle=(0, (4, 2)))
    found = {(row.model, row.language): row for row in rows if row.measure == measure}
    for order, code in enumerate(languages):
        shift = 0.36 * ((order + 0.5) / len(languages) - 0.5)
        for place, name in enumerate(names):
            if (row := found.get((name, code))) is None:
                continue
            mark = _mark(languages, code)
            if is_share:
                low, high = _interval(row)
                axis.plot([low, high], [place + shift] * 2, color=mark["color"], linewidth=0.9)
            axis.plot(row.value, place + shift, linestyle="", **mark)
    axis.set_xlabel(title)
    axis.xaxis.set_major_formatter(ScoreFormatter())
    axis.grid(axis="x")


def _interval(row: Measured) -> tuple[float, float] | None:
    """Wilson's interval of a share of questions; of other measures none."""
    if not _PANELS[row.measure][2]:
        return None
    n, p = row.n, row.value
    middle, half = p + _Z**2 / (2 * n), _Z * math.sqrt(p * (1 - p) / n + _Z**2 / (4 * n * n))
    return (middle - half) / (1 + _Z**2 / n), (middle + half) / (1 + _Z**2 / n)


def _mark(languages: Sequence[str], code: str) -> dict:
    place = languages.index(code) % len(_COLORS)
    return {"marker": _MARKERS[place], "color": _COLORS[place], "markersize": 4}
