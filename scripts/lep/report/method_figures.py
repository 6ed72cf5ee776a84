"""Two figures that the paper has not: symbols per token against Micro-Avg, and loss curves."""

import json
from collections.abc import Mapping
from pathlib import Path

from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from lep.config import UserError
from lep.report.figures import legend_of
from lep.report.markup import heading
from lep.report.names import MICRO, PUBLISHED_TITLES, VOCABULARIES, Family
from lep.report.style import GREY, SERIES, WIDTH, ScoreFormatter, look, save
from lep.report.tables import SYMBOLS, Row, Sources, build_table

BITS = "bits_per_character"


def plot_symbols(sources: Sources, outputs: dict[str, Path]) -> None:
    """Micro-Avg of Table 2 over symbols per token: a panel per family for this run, and one for the paper's values.

    Without scores and metrics the paper's values alone.
    """
    table = build_table(2, sources)
    families = sources.families
    kinds = []
    if any({SYMBOLS, MICRO} <= row.cells.keys() for row in table.rows):
        kinds.append("this run")
    if any(row.published for row in table.rows):
        kinds.append(heading(table))
    rows: list[tuple] = []
    with look():
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
        handles = [
            Line2D([], [], label=h.get_label(), **_mark(v))
            for v, h in zip(_used(families), legend_of(families), strict=True)
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), columnspacing=1.2)
        header = ("panel", "family", "vocabulary", "model", "symbols_per_token", "micro_avg", "low", "high")
        save(figure, outputs, header, rows, sources.run)


def plot_losses(sources: Sources, runs: Mapping[str, Path], outputs: dict[str, Path]) -> None:
    """Loss during embedding pre-training: above the training loss of a token, below bits per character of held-out
    text at each checkpoint. Only the lower ones can be compared between vocabularies.

    `runs` maps `family/vocabulary` to the folder of its pre-training run, with log.jsonl.
    """
    rows: list[tuple] = []
    with look():
        figure, axes = pyplot.subplots(
            2, len(sources.families), figsize=(WIDTH, 4.3), squeeze=False, sharex="col", sharey="row",
            layout="constrained",
        )  # fmt: skip
        figure.get_layout_engine().set(w_pad=0.08)
        for column, family in enumerate(sources.families):
            for vocabulary in family.vocabularies:
                name = f"{family.name}/{vocabulary}"
                logged, heldout = _training_loss(runs[name]), _heldout_loss(sources, name)
                for axis, points in ((axes[0, column], logged), (axes[1, column], heldout)):
                    style = SERIES[vocabulary] | ({"marker": ""} if points is logged else {})
                    axis.plot(*zip(*points, strict=True), **style)
                rows += [(family.name, vocabulary, "training_loss_per_token", *point) for point in logged]
                rows += [(family.name, vocabulary, f"heldout_{BITS}", *point) for point in heldout]
            axes[0, column].set_title(family.shown("base"))
            axes[1, column].set_xlabel("training step")
            axes[1, column].xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes[0, 0].set_ylabel("training loss, nats per token")
        axes[1, 0].set_ylabel("held-out, bits per character")
        for axis in axes.flat:
            axis.grid(axis="y")
        handles = legend_of(sources.families)[1:]
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), columnspacing=1.2)
        save(figure, outputs, ("family", "vocabulary", "loss", "step", "value"), rows, sources.run)


def _scatter(axis: Axes, family: Family, kind: str, found: list[Row]) -> list[tuple]:
    rows = []
    for vocabulary, row in zip(("original", *family.vocabularies), found, strict=True):
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


def _used(families: list[Family]) -> list[str]:
    return [v for v in VOCABULARIES if v == "original" or any(v in family.vocabularies for family in families)]


def _training_loss(folder: Path) -> list[tuple[int, float]]:
    path = Path(folder) / "log.jsonl"
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        points = [(int(line["step"]), float(line["loss"])) for line in lines]
    except (FileNotFoundError, ValueError, KeyError) as error:
        raise UserError(f"{path} is no training log ({error!r}); run the pre-training again") from None
    if not points:
        raise UserError(f"{path} is empty; run the pre-training again")
    return points


def _heldout_loss(sources: Sources, run: str) -> list[tuple[int, float]]:
    names = [name for name in sources.metrics.models("pretraining", BITS) if name.startswith(f"{run}/")]
    steps = [int(sources.metrics.need("pretraining", name, "step")) for name in names]
    points = sorted(zip(steps, (sources.metrics.need("pretraining", name, BITS) for name in names), strict=True))
    if not points:
        raise UserError(f"{sources.metrics.path} has no {BITS} of {run}; gather the metrics of its pre-training")
    return points
