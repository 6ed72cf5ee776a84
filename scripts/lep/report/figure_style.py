"""Style of all figures: colour-blind-safe colours that also differ in grey, embedded fonts, reproducible bytes."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import matplotlib
from matplotlib import pyplot
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter

from lep.files import write_csv

WIDTH = 7.0  # inches: the text width of the report
GREY = "0.45"
# Colours of Okabe and Ito, sorted by lightness; marks and dashes differ too.
SERIES = {
    "original": {"color": "black", "marker": "", "linestyle": (0, (5, 2))},
    "bpe": {"color": "#0072B2", "marker": "o", "linestyle": "-"},
    "unigram": {"color": "#D55E00", "marker": "s", "linestyle": (0, (4, 1, 1, 1))},
    "extended": {"color": "#009E73", "marker": "^", "linestyle": "-"},
    "optimized": {"color": "#CC79A7", "marker": "D", "linestyle": (0, (2, 1))},
}
BARS = {
    "original": {"color": "0.75", "edgecolor": "0.3"},
    "ours": {"color": "#0072B2", "edgecolor": "black"},
    "comparator": {"color": "white", "edgecolor": "0.45", "hatch": "////"},
}
_SETTINGS = {
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.titlesize": 8.5,
    "axes.labelsize": 8,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.fontsize": 7.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "axes.axisbelow": True,
    "grid.color": "0.88",
    "grid.linewidth": 0.6,
    "hatch.linewidth": 0.6,
    "lines.linewidth": 1.4,
    "lines.markersize": 4.5,
    "legend.frameon": False,
    "pdf.fonttype": 42,
    "savefig.dpi": 200,
    "text.parse_math": False,
}


class ScoreFormatter(ScalarFormatter):
    """Tick labels with as many digits as needed, without a leading zero, as in the tables."""

    def __init__(self) -> None:
        super().__init__(useOffset=False)

    def __call__(self, value: float, position: int | None = None) -> str:
        text = super().__call__(value, position)
        return text.replace("0.", ".", 1) if text.startswith("0.") and value else text


@contextmanager
def figure_style() -> Iterator[None]:
    """Context with matplotlib's defaults plus our settings; a user's own settings are ignored."""
    with pyplot.rc_context():
        matplotlib.rcdefaults()
        pyplot.switch_backend("agg")
        matplotlib.rcParams.update(_SETTINGS)
        yield


def save(
    figure: Figure, outputs: dict[str, Path], header: Sequence[str], rows: Sequence[Sequence[object]], run: str = ""
) -> None:
    """Write the figure as `pdf` and `png` and its data as `csv`, each with the run id; equal data give equal bytes."""
    for path in outputs.values():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(outputs["pdf"], metadata={"CreationDate": None, "Keywords": run})
    figure.savefig(outputs["png"], metadata={"Software": None, "Run": run})
    pyplot.close(figure)
    titles, mark = ([*header, "run"], [run]) if run else (header, [])
    lines = ([*(f"{x:.6f}" if isinstance(x, float) else x for x in row), *mark] for row in rows)
    write_csv(outputs["csv"], titles, lines)
