"""Figure 1 (Micro-Avg of the models of Table 1) and Figure 2 (Micro-Avg during embedding pre-training)."""

from pathlib import Path

from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, MultipleLocator

from lep.names import MICRO, ORIGINAL, VOCABULARIES, Family
from lep.report.figure_style import BARS, GREY, SERIES, WIDTH, ScoreFormatter, figure_style, save
from lep.report.markup import number
from lep.report.published import find_published
from lep.report.table import Row, heading
from lep.report.tables import Sources, build_table


def plot_figure1(sources: Sources, outputs: dict[str, Path]) -> None:
    """Draw Figure 1: one panel with our models and their intervals, one with the paper's values.

    Each panel has its own axes. Without scores, only the paper's values are drawn.
    """
    table = build_table(1, sources)
    ours = [row for row in table.rows if MICRO in row.cells]
    theirs = [row for row in table.rows if MICRO in row.published]
    bars = [
        *(("this run", row.labels[0], row.model, row.kind, *_numbers(row)) for row in ours),
        *((heading(table), row.published_label, "", row.kind, row.published[MICRO], None, None) for row in theirs),
    ]
    with figure_style():
        panels = [rows for rows in (bars[: len(ours)], bars[len(ours) :]) if rows]
        figure, axes = pyplot.subplots(
            len(panels), 1, figsize=(WIDTH, 0.6 + sum(0.25 * len(rows) + 0.45 for rows in panels)), squeeze=False,
            height_ratios=[len(rows) + 0.6 for rows in panels], layout="constrained",
        )  # fmt: skip
        figure.get_layout_engine().set(w_pad=0.08)
        for axis, rows in zip(axes[:, 0], panels, strict=True):
            _bars(axis, rows)
        axes[-1, 0].set_xlabel("Micro-Avg, 0-shot Darumeru")
        save(figure, outputs, ("panel", "label", "model", "kind", "micro_avg", "low", "high"), bars, sources.run)


def plot_figure2(sources: Sources, outputs: dict[str, Path]) -> None:
    """Draw Figure 2: Micro-Avg over training steps by vocabulary; a panel per family, a ring around the donor.

    Points are shifted sideways so that none hides another; the CSV has the true steps. Without scores, the paper's
    values are drawn as marks without steps, which it does not give as numbers.
    """
    draw = _panel if sources.scores else _published_panel
    rows: list[tuple] = []
    with figure_style():
        figure, axes = pyplot.subplots(
            1, len(sources.families), figsize=(WIDTH, 2.9), squeeze=False, sharey=True, layout="constrained"
        )
        figure.get_layout_engine().set(w_pad=0.08)
        for axis, family in zip(axes[0], sources.families, strict=True):
            rows += draw(axis, family, sources)
            axis.set_title(family.shown("base"))
            axis.yaxis.set_major_formatter(ScoreFormatter())
            axis.grid(axis="y")
        axes[0, 0].set_ylabel("Micro-Avg, 5-shot Darumeru")
        handles = _legend(sources.families, lines=sources.scores is not None)
        if sources.scores:
            handles[0].set_label("Original, without training")
            handles.append(Line2D([], [], label="donor (best)", **_RING))
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), columnspacing=1.2)
        header = ("family", "vocabulary", "model", "step", "micro_avg", "low", "high", "donor")
        save(figure, outputs, header, rows, sources.run)


def used_vocabularies(families: list[Family]) -> list[str]:
    """The original vocabulary and the vocabularies of all families, in the order of the register."""
    return [v for v in VOCABULARIES if v == ORIGINAL or any(v in family.vocabularies for family in families)]


def _legend(families: list[Family], lines: bool) -> list[Line2D]:
    """Legend handles of the vocabularies; without `lines`, marks only."""
    used = used_vocabularies(families)
    style = {v: SERIES[v] if lines or v == ORIGINAL else SERIES[v] | {"linestyle": ""} for v in used}
    return [Line2D([], [], label=VOCABULARIES[v].title, **style[v]) for v in used]


_DODGE = 0.018  # distance between the points of neighbouring vocabularies, as a share of the run
_RING = {
    "linestyle": "", "marker": "o", "markersize": 10, "markerfacecolor": "none", "markeredgecolor": "black",
    "markeredgewidth": 0.9,
}  # fmt: skip


def _panel(axis: Axes, family: Family, sources: Sources) -> list[tuple]:
    rows, scores = [], sources.scores
    if base := scores.get(family.base, MICRO):
        rows.append((family.name, ORIGINAL, family.base, 0, base.value, base.low, base.high, "no"))
        axis.axhspan(base.low, base.high, color="0.93", linewidth=0, zorder=0)
        _level(axis, base.value)
    for place, vocabulary in enumerate(family.vocabularies):
        found = [(step, name, scores.get(name, MICRO)) for step, name in scores.checkpoints(family.name, vocabulary)]
        found = [(step, name, score) for step, name, score in found if score]
        if not found:
            continue
        donor = scores.donor(family.name, vocabulary)
        aside = _DODGE * (place - (len(family.vocabularies) - 1) / 2) * found[-1][0]
        steps, style = [step + aside for step, _, _ in found], SERIES[vocabulary]
        errors = [[s.value - s.low for *_, s in found], [s.high - s.value for *_, s in found]]
        values = [s.value for *_, s in found]
        axis.errorbar(steps, values, yerr=errors, fmt="none", ecolor=style["color"], elinewidth=0.8, alpha=0.6)
        axis.plot(steps, values, **style)
        ringed = [(step + aside, score.value) for step, name, score in found if name == donor]
        axis.plot(*zip(*ringed, strict=True), **_RING)
        rows += [
            (family.name, vocabulary, name, step, s.value, s.low, s.high, "yes" if name == donor else "no")
            for step, name, s in found
        ]
    axis.set_xlabel("training step")
    axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axis.margins(x=0.08)
    return rows


def _published_panel(axis: Axes, family: Family, sources: Sources) -> list[tuple]:
    rows = []
    for place, vocabulary in enumerate((ORIGINAL, *family.vocabularies)):
        row = find_published(sources.published, 2, family, vocabulary)
        rows.append((family.name, vocabulary, "", None, row.values[MICRO], None, None, "" if not place else "yes"))
        if vocabulary == ORIGINAL:
            _level(axis, row.values[MICRO])
        else:
            axis.plot(place, row.values[MICRO], **SERIES[vocabulary] | {"linestyle": "", "markersize": 7})
    axis.set_xlabel("best checkpoint (paper; no steps published)")
    axis.set_xticks([])
    axis.set_xlim(0.3, len(family.vocabularies) + 0.7)
    axis.margins(y=0.15)
    return rows


def _level(axis: Axes, value: float) -> None:
    axis.axhline(value, zorder=1, **{k: v for k, v in SERIES[ORIGINAL].items() if k != "marker"})


def _bars(axis: Axes, rows: list[tuple]) -> None:
    places = range(len(rows))
    values = [row[4] for row in rows]
    ends = [row[6] if row[6] is not None else row[4] for row in rows]
    for place, row in zip(places, rows, strict=True):
        axis.barh(place, row[4], height=0.66, linewidth=0.7, **BARS[row[3]])
        if row[5] is not None:
            errors = [[row[4] - row[5]], [row[6] - row[4]]]
            axis.errorbar(row[4], place, xerr=errors, color="black", linewidth=1, capsize=2.5, capthick=1)
    right = max(ends) * 1.1
    for place, value, end in zip(places, values, ends, strict=True):
        axis.text(end + right * 0.008, place, number(value), va="center", fontsize=7.5)
    axis.set_yticks(list(places), [row[1].replace(" + ", "\n+ ", 1) for row in rows])
    axis.set_ylim(len(rows) - 0.45, -0.55)
    axis.set_xlim(0, right)
    axis.tick_params(axis="y", length=0)
    axis.xaxis.set_major_locator(MultipleLocator(0.1))
    axis.xaxis.set_major_formatter(ScoreFormatter())
    published = rows[0][5] is None
    title = f"{rows[0][0]}: published values, not run here" if published else "this run, with 95 % intervals"
    axis.set_title(title, loc="left", fontweight="bold", color=GREY if published else "black")
    axis.grid(axis="x")


def _numbers(row: Row) -> tuple[float, float, float]:
    cell = row.cells[MICRO]
    return cell.value, cell.low, cell.high
