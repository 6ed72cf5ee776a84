"""Figure S1, which is not in the paper: Micro-Avg over symbols per token."""

from pathlib import Path

from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from lep.names import MICRO, ORIGINAL, PUBLISHED_TITLES, VOCABULARIES, Family
from lep.report.figure_1_2 import used_vocabularies
from lep.report.figure_style import GREY, SERIES, WIDTH, ScoreFormatter, figure_style, save
from lep.report.table import SYMBOLS, Row, heading
from lep.report.tables import Sources, build_table


def plot_symbols(sources: Sources, outputs: dict[str, Path]) -> None:
    """Draw the Micro-Avg of Table 2 over symbols per token: for each family a panel of this run and one of the paper.

    Without scores and metrics, only the paper's values are drawn.
    """
    table = build_table(2, sources)
    families = sources.families
    kinds = []
    if any({SYMBOLS, MICRO} <= row.cells.keys() for row in table.rows):
        kinds.append("this run")
    if any(row.published for row in table.rows):
        kinds.append(heading(table))
    rows: list[tuple] = []
    with figure_style():
        figure, axes = pyplot.subplots(
            len(kinds), len(families), figsize=(WIDTH, 0.5 + 2.1 * len(kinds)), squeeze=False, layout="constrained"
        )
        figure.get_layout_engine().set(w_pad=0.08, h_pad=0.06)
        for kind, line in zip(kinds, axes, strict=True):
            for axis, family in zip(line, families, strict=True):
                found = [row for row in table.rows if row.peers == family.name]
                rows += _scatter(axis, family, kind, found)
            line[0].set_ylabel("Micro-Avg, 5-shot")
        for axis in axes[-1]:
            axis.set_xlabel("symbols per token, Russian")
        handles = [Line2D([], [], label=VOCABULARIES[v].title, **_mark(v)) for v in used_vocabularies(families)]
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), columnspacing=1.2)
        header = ("panel", "family", "vocabulary", "model", "symbols_per_token", "micro_avg", "low", "high")
        save(figure, outputs, header, rows, sources.run)


def _scatter(axis: Axes, family: Family, kind: str, found: list[Row]) -> list[tuple]:
    rows = []
    for vocabulary, row in zip((ORIGINAL, *family.vocabularies), found, strict=True):
        if kind == "this run":
            cell = row.cells.get(MICRO)
            if cell is None or SYMBOLS not in row.cells:
                continue
            x, y, low, high = row.cells[SYMBOLS].value, cell.value, cell.low, cell.high
            axis.errorbar(x, y, yerr=[[y - low], [high - y]], color="0.6", linewidth=1, capsize=2, zorder=1)
        elif row.published:
            x, y, low, high = row.published[SYMBOLS], row.published[MICRO], None, None
        else:
            continue
        axis.plot(x, y, zorder=2, **_mark(vocabulary))
        model = row.model if kind == "this run" else ""
        rows.append((kind, family.name, vocabulary, model, x, y, low, high))
    ours = kind == "this run"
    paper = PUBLISHED_TITLES.get(family.published_family, ("",))[0]
    axis.set_title(f"{family.shown('base')}: {kind}" if ours else f"{paper}: {kind}", color="black" if ours else GREY)
    axis.yaxis.set_major_formatter(ScoreFormatter())
    axis.set_visible(bool(rows))
    axis.margins(0.12)
    axis.grid()
    return rows


def _mark(vocabulary: str) -> dict:
    marker = SERIES[vocabulary]["marker"] or "X"
    return {"linestyle": "", "marker": marker, "markersize": 6.5, "color": SERIES[vocabulary]["color"]}
