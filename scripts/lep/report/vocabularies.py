"""Report on vocabularies: length of text in tokens, speed-up of generation, and unused rows."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from lep.corpus.languages import language_name
from lep.files import write_csv, write_text
from lep.names import ORIGINAL, VOCABULARIES, Family, parse_families
from lep.report.figure_style import GREY, SERIES, WIDTH, figure_style, save
from lep.report.markup import GAP, number
from lep.report.piece_table import measured_pieces, piece_columns, piece_lines, read_published_pieces
from lep.report.published import Published, find_published, read_published
from lep.report.scores import Metrics, read_metrics

# Columns of the table: (title in Markdown, decimal places); shares are shown in per cent. `{ADAPTED}` stands for the
# language that models are adapted to, `{known}` for the first language that the original models know.
_COLUMNS = {
    "size": ("rows", 0),
    "symbols_per_token": ("symbols per token", 2),
    "published": ("in the paper", 2),
    "speed_up": ("speed-up", 2),
    "symbols_per_token_{known}": ("symbols per token, {KNOWN}", 2),
    "bytes_per_token": ("bytes per token", 2),
    "bytes_per_token_{known}": ("bytes per token, {KNOWN}", 2),
    "tokens_per_word": ("tokens per word", 2),
    "tokens_per_word_{known}": ("tokens per word, {KNOWN}", 2),
    "parity": ("{ADAPTED} tokens for one {KNOWN} token", 2),
    "byte_share": ("single bytes, %", 2),
    "byte_share_{known}": ("single bytes, {KNOWN}, %", 2),
    "rows_used": ("rows used, %", 1),
    "under_trained": ("under-trained rows", 0),
    "unreachable": ("unreachable rows", 0),
}
_PAPER_VALUES = {  # note on the column `published`; key: whether models are stand-ins
    False: " The paper's values are of another text.",
    True: " The paper's values are of another text, and of its models, not of stand-ins.",
}
_SHARES = ("byte_share", "rows_used")
_LISTS = {
    "new": "New tokens that {adapted} text uses most",
    "longest": "Longest new tokens (of an original: longest tokens)",
}


@dataclass(frozen=True)
class Languages:
    """Codes of the two measured languages."""

    adapted: str  # the language that models are adapted to
    known: str  # the first language that the original models know

    @property
    def columns(self) -> dict[str, tuple[str, int]]:
        """`_COLUMNS` for these languages; without the column of the paper if models are not adapted to Russian."""
        codes = {"known": self.known, "ADAPTED": self.adapted.upper(), "KNOWN": self.known.upper()}
        shown = {key: column for key, column in _COLUMNS.items() if key != "published" or self.adapted == "ru"}
        return {key.format(**codes): (title.format(**codes), places) for key, (title, places) in shown.items()}


@dataclass(frozen=True)
class Row:
    """One vocabulary of a family."""

    family: Family
    vocabulary: str
    values: dict[str, float]  # by column, without unknown ones

    @property
    def model(self) -> str:
        return f"{self.family.name}/{self.vocabulary}"


def report_vocabularies(
    families: list[dict],
    metrics: Path,
    tokens: Path,
    published: Path,
    published_pieces: Path,
    outputs: dict[str, Path],
    *,
    languages: Mapping[str, str],
    characters: int,
    under_trained_below: int,
) -> None:
    """Write the table (`table` as CSV, `md` with lists of tokens) and the figure (`pdf`, `png`, `csv`).

    - `metrics`, `tokens`: CSV files of the measured vocabularies; `published`: the paper's values;
      `published_pieces`: what the published SentencePiece models have
    - `languages`: scripts of the corpus by language, in order; the paper has values for Russian only
    - `characters`, `under_trained_below`: settings of the measurement, for the notes

    A forward pass writes one token, so the speed-up of generation is symbols per token over that of the original
    vocabulary, if passes take equal time.
    """
    shown = Languages(*list(languages)[:2])
    russian = shown.adapted == "ru"
    columns = piece_columns(list(languages.values())[:2], russian)
    found = read_metrics(metrics)
    rows = _read(parse_families(families), found, read_published(published) if russian else [], shown)
    theirs = read_published_pieces(published_pieces) if russian else {}
    for row in rows:
        row.values.update(measured_pieces(found, row.model, columns))
        row.values.update(theirs.get((row.family.published_family, row.vocabulary), {}))
    header = [*shown.columns, *columns]
    write_csv(outputs["table"], ["model", "stand_in", *header], (_cells(row, header) for row in rows))
    write_text(outputs["md"], _markdown(rows, shown, columns, Path(tokens), characters, under_trained_below))
    with figure_style():
        figure, axes = pyplot.subplots(
            1, 2, figsize=(WIDTH, 1.1 + 0.24 * len(rows)), sharey=True, width_ratios=[3, 2], layout="constrained"
        )
        _draw(axes, rows, shown)
        figure.legend(handles=_legend(rows, shown), loc="outside lower center", ncols=3)
        header = ("model", "symbols_per_token", f"symbols_per_token_{shown.known}", "published", "speed_up", "parity")
        plotted = [(row.model, *(row.values.get(column) for column in header[1:])) for row in rows]
        save(figure, {key: outputs[key] for key in ("pdf", "png", "csv")}, header, plotted)


def _read(families: list[Family], metrics: Metrics, published: list[Published], languages: Languages) -> list[Row]:
    rows = []
    for family in families:
        for vocabulary in (ORIGINAL, *family.vocabularies):
            model = f"{family.name}/{vocabulary}"
            measured = [column for column in languages.columns if column not in ("published", "speed_up", "parity")]
            values = {column: metrics.need("vocabulary", model, column) for column in measured}
            if (parity := metrics.get("vocabulary", model, "parity")) is not None:  # needs aligned text
                values["parity"] = parity
            original = metrics.need("vocabulary", f"{family.name}/{ORIGINAL}", "symbols_per_token")
            values["speed_up"] = values["symbols_per_token"] / original
            row = find_published(published, 2, family, vocabulary)
            if row and "symbols_per_token" in row.values:
                values["published"] = row.values["symbols_per_token"]
            rows.append(Row(family, vocabulary, values))
    return rows


def _cells(row: Row, columns: list[str]) -> list[str]:
    values = [f"{row.values[c]:.6g}" if c in row.values else "" for c in columns]
    return [row.model, "yes" if row.family.stand_in else "no", *values]


def _markdown(
    rows: list[Row], languages: Languages, pieces: list[str], tokens: Path, characters: int, under_trained_below: int
) -> str:
    columns = languages.columns
    titles = [title for title, _ in columns.values()]
    adapted, known = language_name(languages.adapted), language_name(languages.known)
    lines = [f"**Vocabularies on held-out text.** {adapted}, or {known} ({languages.known.upper()}).", ""]
    lines += [_line(["Model", "Vocabulary", *titles]), _line(["---"] * 2 + ["---:"] * len(titles))]
    for row in rows:
        cells = [_shown(row, column, places) for column, (_, places) in columns.items()]
        lines.append(_line([row.family.shown("base"), VOCABULARIES[row.vocabulary].title, *cells]))
    stand_in = any(row.family.stand_in for row in rows)
    lines += [
        "",
        "Speed-up: symbols per token over the original's; each forward pass of generation writes one token."
        + (_PAPER_VALUES[stand_in] if "published" in columns else ""),
        f"Measured on at most {characters:,} characters of each kind of text. Under-trained: seen less than "
        f"{under_trained_below} times in that much training text. Unreachable: a token that its own "
        "text does not give. Single bytes: tokens that are one byte of a longer character.",
    ]
    titled = [(r.family.shown("base"), VOCABULARIES[r.vocabulary].title, r.values) for r in rows]
    lines += piece_lines(titled, pieces)
    for kind, title in _LISTS.items():
        lines += ["", f"**{title.format(adapted=adapted)}**", "", *_token_lists(rows, tokens, kind)]
    return "\n".join(lines) + "\n"


def _token_lists(rows: list[Row], tokens: Path, kind: str) -> list[str]:
    with open(tokens, encoding="utf-8", newline="") as file:
        found = [entry for entry in csv.DictReader(file) if entry["list"] == kind]
    return [
        f"- {row.model}: " + ", ".join(f"`{_visible(e['token'])}` {e['value']}" for e in entries)
        for row in rows
        if (entries := [entry for entry in found if entry["model"] == row.model])
    ]


def _visible(token: str) -> str:
    """A token on one line: spaces as `▁`, long tokens shortened, unprintable characters as code points."""
    text = token if len(token) <= 40 else f"{token[:20]}…{token[-10:]}"
    text = text.replace(" ", "▁").replace("`", "'")
    return "".join(c if c.isprintable() else f"<U+{ord(c):04X}>" for c in text)


def _shown(row: Row, column: str, places: int) -> str:
    if column not in row.values:
        return GAP
    value = row.values[column] * (100 if column.startswith(_SHARES) else 1)
    return f"{value:,.0f}" if places == 0 else number(value, places)


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _draw(axes: list[Axes], rows: list[Row], languages: Languages) -> None:
    left, right = axes
    places = _places(rows)
    for place, row in zip(places, rows, strict=True):
        values, color = row.values, SERIES[row.vocabulary]["color"]
        color = "0.6" if row.vocabulary == ORIGINAL else color
        left.barh(place, values["symbols_per_token"], height=0.66, color=color)
        left.plot(values[f"symbols_per_token_{languages.known}"], place, **_KNOWN)
        if "published" in values:
            left.plot(values["published"], place, **_PAPER)
        left.text(0.05, place, f"×{number(values['speed_up'], 2)}", va="center", fontsize=7, color="white")
        if "parity" in values:
            right.barh(place, values["parity"], height=0.66, color=color)
            right.text(values["parity"] + 0.02, place, number(values["parity"], 2), va="center", fontsize=7)
    left.set_yticks(places, [f"{row.family.shown('base')}, {VOCABULARIES[row.vocabulary].title}" for row in rows])
    left.set_ylim(places[-1] + 0.6, -0.6)
    left.set_xlabel(f"{language_name(languages.adapted)} characters per forward pass (×: speed-up)")
    right.axvline(1, color=GREY, linewidth=0.8, zorder=0)
    right.set_xlim(0, 1.15 * max([1, *(row.values.get("parity", 0) for row in rows)]))
    right.set_xlabel(f"{languages.adapted.upper()} tokens per {languages.known.upper()} token")
    for axis in axes:
        axis.tick_params(axis="y", length=0)
        axis.grid(axis="x")


_KNOWN = {"marker": "o", "markersize": 4, "markerfacecolor": "white", "markeredgecolor": "black", "linestyle": ""}
_PAPER = {"marker": "|", "markersize": 11, "markeredgewidth": 1.8, "color": "black", "linestyle": ""}


def _places(rows: list[Row]) -> list[float]:
    """Vertical positions of the bars, with a gap between families."""
    names = list(dict.fromkeys(row.family.name for row in rows))
    return [place + 0.4 * names.index(row.family.name) for place, row in enumerate(rows)]


def _legend(rows: list[Row], languages: Languages) -> list[Line2D | Patch]:
    handles = [Line2D([], [], label=f"{language_name(languages.known)} text", **_KNOWN)]
    if any("published" in row.values for row in rows):
        stand_in = any(row.family.stand_in for row in rows)
        handles.append(
            Line2D([], [], label="paper (7B, 8B; other text)" if stand_in else "paper (other text)", **_PAPER)
        )
    return handles
