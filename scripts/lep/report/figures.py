"""Figure 1 (Micro-Avg of the models of Table 1) and Figure 2 (Micro-Avg during embedding pre-training)."""

from pathlib import Path

from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from lep.report.markup import heading, number
from lep.report.names import MICRO, VOCABULARIES, Family, parse_families
from lep.report.scores import Scores, read_published, read_scores
from lep.report.style import BARS, GREY, SERIES, WIDTH, look, save
from lep.report.tables import Row, Sources, build_table


def plot_figure1(families: list[dict], published: Path, outputs: dict[str, Path], scores: Path | None = None) -> None:
    """Draw Figure 1: our models with their intervals in one panel, the paper's values in another; axes are apart.

    Without `scores` the paper's values alone.
    """
    parsed = parse_families(families)
    if not scores:
        parsed = [family.as_published() for family in parsed]
    found = read_scores(scores, parsed) if scores else None
    table = build_table(1, Sources(parsed, read_published(published), found))
    ours = [row for row in table.rows if MICRO in row.cells]
    theirs = [row for row in table.rows if MICRO in row.published]
    bars = [
        *(("this run", _name(row), row.model, _kind(row), *_numbers(row)) for row in ours),
        *((heading(table), _name(row, True), "", _kind(row), row.published[MICRO], None, None) for row in theirs),
    ]
    with look():
        panels = [rows for rows in (bars[: len(ours)], bars[len(ours) :]) if rows]
        figure, axes = pyplot.subplots(
            len(panels), 1, figsize=(WIDTH, 0.6 + sum(0.25 * len(rows) + 0.45 for rows in panels)), squeeze=False,
            height_ratios=[len(rows) + 0.6 for rows in panels], layout="constrained",
        )  # fmt: skip
        figure.get_layout_engine().set(w_pad=0.08)
        for axis, rows in zip(axes[:, 0], panels, strict=True):
            _bars(axis, rows)
        axes[-1, 0].set_xlabel("Micro-Avg, 0-shot Darumeru")
        save(figure, outputs, ("panel", "label", "model", "kind", "micro_avg", "low", "high"), bars)


def plot_figure2(families: list[dict], scores: Path, outputs: dict[str, Path]) -> None:
    """Draw Figure 2: Micro-Avg over training steps by vocabulary, a panel per family, the donor ringed."""
    parsed = parse_families(families)
    found = read_scores(scores, parsed)
    rows: list[tuple] = []
    with look():
        figure, axes = pyplot.subplots(
            1, len(parsed), figsize=(WIDTH, 2.9), squeeze=False, sharey=True, layout="constrained"
        )
        figure.get_layout_engine().set(w_pad=0.08)
        for axis, family in zip(axes[0], parsed, strict=True):
            rows += _panel(axis, family, found)
        axes[0, 0].set_ylabel("Micro-Avg, 5-shot Darumeru")
        used = [v for v in SERIES if v == "original" or any(v in family.vocabularies for family in parsed)]
        handles = [Line2D([], [], label=VOCABULARIES[v], **SERIES[v]) for v in used]
        handles[0].set_label("Original, without training")
        handles.append(Line2D([], [], label="donor (best)", **_RING))
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), columnspacing=1.2)
        save(figure, outputs, ("family", "vocabulary", "model", "step", "micro_avg", "low", "high", "donor"), rows)


_RING = {
    "linestyle": "", "marker": "o", "markersize": 10, "markerfacecolor": "none", "markeredgecolor": "black",
    "markeredgewidth": 0.9,
}  # fmt: skip


def _panel(axis: Axes, family: Family, scores: Scores) -> list[tuple]:
    base = scores.need(family.base, MICRO)
    rows = [(family.name, "original", family.base, 0, base.value, base.low, base.high, "no")]
    axis.axhspan(base.low, base.high, color="0.93", linewidth=0, zorder=0)
    axis.axhline(base.value, zorder=1, **{k: v for k, v in SERIES["original"].items() if k != "marker"})
    for vocabulary in family.vocabularies:
        donor = scores.donor(family.name, vocabulary)
        found = [(step, name, scores.get(name, MICRO)) for step, name in scores.checkpoints(family.name, vocabulary)]
        found = [(step, name, score) for step, name, score in found if score]
        steps, style = [step for step, _, _ in found], SERIES[vocabulary]
        bands = [s.low for *_, s in found], [s.high for *_, s in found]
        axis.fill_between(steps, *bands, color=style["color"], alpha=0.12, linewidth=0)
        axis.plot(steps, [s.value for *_, s in found], **style)
        ringed = [(step, score.value) for step, name, score in found if name == donor]
        axis.plot(*zip(*ringed, strict=True), **_RING)
        rows += [
            (family.name, vocabulary, name, step, s.value, s.low, s.high, "yes" if name == donor else "no")
            for step, name, s in found
        ]
    axis.set_title(family.shown("base"))
    axis.set_xlabel("training step")
    axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axis.yaxis.set_major_formatter(lambda value, _: number(value, 2))
    axis.margins(x=0.08)
    axis.grid(axis="y")
    return rows


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
    axis.xaxis.set_major_formatter(lambda value, _: number(value, 1 if value else 0))
    published = rows[0][5] is None
    title = f"{rows[0][0]}: published values, not run here" if published else "this run, with 95 % intervals"
    axis.set_title(title, loc="left", fontweight="bold", color=GREY if published else "black")
    axis.grid(axis="x")


def _kind(row: Row) -> str:
    return "comparator" if not row.model else "ours" if row.section else "original"


def _name(row: Row, published: bool = False) -> str:
    """The bar's label; the paper's own model where the value is the paper's."""
    label = row.labels[0].removesuffix(", published only")
    return (row.published_label or label) if published else label


def _numbers(row: Row) -> tuple[float, float, float]:
    cell = row.cells[MICRO]
    return cell.value, cell.low, cell.high
