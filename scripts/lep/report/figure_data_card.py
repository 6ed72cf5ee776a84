"""Figure of the corpus data card: text by domain and language, and dropped text by reason."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from lep.corpus.data_card import REASONS
from lep.corpus.languages import language_name
from lep.report.figure_style import BARS, GREY, WIDTH, figure_style, save

_BARS = (BARS["ours"], BARS["original"], BARS["comparator"])  # styles of the first, second and third language
_LINE = 0.19  # height of a bar in inches
_DOCUMENTS = {"color": "#E69F00", "edgecolor": "black"}


def plot_data_card(card: Path, languages: Sequence[str], outputs: dict[str, Path]) -> None:
    """Draw the `data_card.json` of a corpus in `languages` as `pdf` and `png`, with the plotted numbers as `csv`."""
    content = json.loads(Path(card).read_text(encoding="utf-8"))
    domains, dropped = content["by_domain"], content["dropped"]
    rows = [
        ("kept", name, language, unit, size)
        for name, languages in domains.items()
        for language, sizes in languages.items()
        for unit, size in sizes.items()
    ] + [("dropped", reason, "", reason.split("/")[0], number) for reason, number in dropped.items()]
    with figure_style():
        height = 0.75 + _LINE * max(len(languages) * len(domains), len(dropped), 3)
        figure, (left, right) = pyplot.subplots(1, 2, figsize=(WIDTH, height), layout="constrained")
        _draw_domains(left, domains, languages)
        _draw_dropped(right, dropped)
        figure.legend(*left.get_legend_handles_labels(), loc="outside lower left", ncols=len(languages))
        save(figure, outputs, ("part", "name", "language", "unit", "number"), rows)


def _draw_domains(axes: Axes, domains: Mapping, languages: Sequence[str]) -> None:
    names = sorted(domains, key=lambda name: sum(sizes["characters"] for sizes in domains[name].values()))
    width = 0.8 / len(languages)
    for place, language in enumerate(languages):
        sizes = [domains[name].get(language, {}).get("characters", 0) / 1e6 for name in names]
        heights = [i + 0.4 - width * (place + 0.5) for i in range(len(names))]
        bar = _BARS[place % len(_BARS)]
        shown = axes.barh(heights, sizes, 0.9 * width, label=language_name(language), **bar)
        axes.bar_label(shown, [f"{size:,.2f}" if size else "" for size in sizes], padding=2, fontsize=7)
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("million characters kept")
    axes.set_title("Text by domain and language")
    axes.margins(x=0.16)


def _draw_dropped(axes: Axes, dropped: Mapping[str, int]) -> None:
    names = sorted(dropped, key=lambda name: (dropped[name], name))
    colours = [_DOCUMENTS if name.startswith("documents/") else BARS["comparator"] for name in names]
    for place, (name, bar) in enumerate(zip(names, colours, strict=True)):
        shown = axes.barh(place, dropped[name], 0.7, **bar)
        axes.bar_label(shown, [f"{dropped[name]:,}"], padding=2, fontsize=7)
    axes.set_yticks(range(len(names)), [REASONS[name] for name in names])
    if names:
        axes.set_xscale("log")
        axes.margins(x=0.2)
        axes.set_xlim(left=0.8)
    else:
        axes.text(0.5, 0.5, "nothing", color=GREY, transform=axes.transAxes, ha="center")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
    axes.set_xlabel("number (logarithmic)")
    axes.set_title("Dropped, by reason")
