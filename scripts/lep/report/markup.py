"""A table as Markdown, LaTeX (booktabs) and Typst: our values in black, the paper's in grey next to them."""

from collections.abc import Iterator

from lep.report.table import NOT_ABOVE, Row, Table, digits, heading

GAP = "–"
_TEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "–": "--", "±": r"$\pm$", "°": r"$^\circ$",
    "↑": r"$\uparrow$", "↓": r"$\downarrow$", "−": "$-$",
}  # fmt: skip
_TYPST = {character: f"\\{character}" for character in '\\#$*_`<>@[]~=-+/"'} | {"'": "’"}


def number(value: float, places: int = 3) -> str:
    """A number with `places` decimal places and no leading zero: .324, 1.000, 2.44."""
    text = f"{value:.{places}f}"
    if float(text) == 0:
        text = text.removeprefix("-")
    return text.replace("0.", ".", 1) if text.lstrip("-").startswith("0.") else text


def signed(value: float, places: int = 3) -> str:
    """A difference with its sign: +.012, −.003."""
    text = number(value, places)
    return f"−{text[1:]}" if text.startswith("-") else f"+{text}"


def write_markdown(table: Table) -> str:
    """A Markdown table with its caption above and its notes below."""
    paper = [f"{heading(table)}: {table.columns[column]}" for column in table.published_columns]
    titles = ["Group", *table.label_titles, *(table.columns.values() if table.ours else ()), *paper]
    lines = [f"**Table {table.number}.** {table.caption}", "", _pipes(titles)]
    lines.append(
        _pipes(["---"] * (1 + len(table.label_titles)) + ["---:"] * (len(titles) - 1 - len(table.label_titles)))
    )
    for row, first in _with_first(table):
        cells = [row.section if first else "", *row.labels]
        for column in table.columns if table.ours else ():
            value, half, arrow = _ours(table, row, column)
            value = f"**{value}**" if table.best(row, column) else value
            cells.append(" ".join(part for part in (value + arrow, half) if part))
        for column in table.published_columns:
            value, arrow, delta = _published(table, row, column)
            value = f"**{value}**" if table.best(row, column, published=True) else value
            cells.append(" ".join(part for part in (value + arrow, f"({delta})" if delta else "") if part))
        lines.append(_pipes(cells))
    notes = [*table.notes, *([f"Run `{table.run}`."] if table.run else [])]
    return "\n".join([*lines, "", *(f"{note}  " for note in notes)]).rstrip() + "\n"


def write_latex(table: Table) -> str:
    """A LaTeX table; needs the packages booktabs and xcolor."""

    def grey(text: str) -> str:
        return rf"\textcolor{{gray}}{{{text}}}" if table.ours and text else text

    labels, ours = len(table.label_titles), len(table.columns) if table.ours else 0
    papers = len(table.published_columns)
    width = labels + ours + papers
    lines = [
        *([f"% run {table.run}"] if table.run else []), "% needs: booktabs, xcolor", r"\begin{table}",
        r"\centering\scriptsize\setlength{\tabcolsep}{3pt}",
        rf"\caption{{{_escape(table.caption, _TEX)}}}", rf"\label{{tab:lep-{table.number}}}",
        rf"\begin{{tabular}}{{{'l' * labels}{'r' * (ours + papers)}}}", r"\toprule",
    ]  # fmt: skip
    if ours:
        spans = [""] * labels + [f"\\multicolumn{{{ours}}}{{c}}{{this run}}"]
        spans.append(f"\\multicolumn{{{papers}}}{{c}}{{{grey(heading(table))}}}")
        lines.append(" & ".join(spans) + r" \\")
        lines.append(rf"\cmidrule(lr){{{labels + 1}-{labels + ours}}}\cmidrule(lr){{{labels + ours + 1}-{width}}}")
    titles = [*table.label_titles, *(table.columns.values() if ours else ())]
    titles = [_escape(title, _TEX) for title in titles]
    titles += [grey(_escape(table.columns[column], _TEX)) for column in table.published_columns]
    lines += [" & ".join(titles) + r" \\", r"\midrule"]
    for row, first in _with_first(table):
        if first and row.section:
            lines += [] if row is table.rows[0] else [r"\midrule"]
            lines.append(rf"\multicolumn{{{width}}}{{l}}{{\textit{{{_escape(row.section, _TEX)}}}}} \\")
        cells = [_escape(label, _TEX) for label in _labels(table, row)]
        for column in table.columns if ours else ():
            value, half, arrow = (_escape(part, _TEX) for part in _ours(table, row, column))
            value = rf"\textbf{{{value}}}" if table.best(row, column) else value
            small = rf"\,\textcolor{{gray}}{{\tiny {half}}}" if half else ""
            cells.append(value + arrow + small)
        for column in table.published_columns:
            value, arrow, delta = (_escape(part, _TEX) for part in _published(table, row, column))
            value = rf"\textbf{{{value}}}" if table.best(row, column, published=True) else value
            cells.append(grey(value + arrow + (rf"\,{{\tiny {delta}}}" if delta else "")))
        lines.append(" & ".join(cells) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}"]
    lines += [rf"\par\smallskip\raggedright {_escape(note, _TEX)}" for note in table.notes]
    return "\n".join([*lines, r"\end{table}", ""])


def write_typst(table: Table) -> str:
    """A Typst fragment that uses `lep-table`, `pm`, `paper`, `arrow` and `under` of the report's style file."""
    labels, papers = len(table.label_titles), len(table.published_columns)
    ours = len(table.columns) if table.ours else 0
    head = "".join(f"[{_escape(title, _TYPST)}], " for title in table.label_titles)
    head += "".join(f"[{_escape(title, _TYPST)}], " for title in (table.columns.values() if ours else ()))
    head += "".join(f"paper[{_escape(table.columns[column], _TYPST)}], " for column in table.published_columns)
    lines = [
        *([f"// run {table.run}"] if table.run else []),
        '#import "/style.typ": arrow, lep-table, paper, pm, under',
        f"#lep-table({table.number}, {labels}, {ours}, {papers}, [{_escape(heading(table), _TYPST)}],",
        f"  ({head.rstrip()}),",
    ]
    for row, first in _with_first(table):
        if first and row.section:
            lines.append(f"  (section: [{_escape(row.section, _TYPST)}]),")
        cells = [f"[{_escape(label, _TYPST)}]" for label in _labels(table, row)]
        for column in table.columns if ours else ():
            value, half, sign = _ours(table, row, column)
            value = f"*{_escape(value, _TYPST)}*" if table.best(row, column) else _escape(value, _TYPST)
            half = f"#pm[{half.removeprefix('±')}]" if half else ""
            # A blank as wide as the mark, where only other rows of the column have one, for alignment.
            blank = not _mark(row, column) and any(_mark(other, column) for other in table.rows)
            value += f"#hide[{NOT_ABOVE}]" if blank else ""
            sign = _arrow(sign, any(other.change.get(column) for other in table.rows))
            cells.append(f"[{value}{half}{sign}]")
        for column in table.published_columns:
            value, sign, delta = (_escape(part, _TYPST) for part in _published(table, row, column))
            value = f"*{value}*" if table.best(row, column, published=True) else value
            delta = f"#under[{delta}]" if delta else ""
            sign = _arrow(sign, any(other.published_change.get(column) for other in table.rows))
            cells.append(f"paper[{value}{sign}{delta}]")
        lines.append(f"  ({', '.join(cells)},),")
    notes = "".join(f"[{_escape(note, _TYPST)}], " for note in table.notes)
    caption = f"  caption: [{_escape(table.caption, _TYPST)}],"
    return "\n".join([*lines, caption, f"  notes: ({notes.rstrip()}),", ")", ""])


def _ours(table: Table, row: Row, column: str) -> tuple[str, str, str]:
    """Our value with its mark, half the width of its interval, and its arrow."""
    cell = row.cells.get(column)
    if cell is None:
        return GAP, "", ""
    half = "" if cell.half is None else f"±{number(cell.half, digits(column))}"
    return number(cell.value, digits(column)) + _mark(row, column), half, row.change.get(column, "")


def _mark(row: Row, column: str) -> str:
    cell = row.cells.get(column)
    return NOT_ABOVE if cell and cell.above_chance is False else ""


def _published(table: Table, row: Row, column: str) -> tuple[str, str, str]:
    value, delta = row.published.get(column), table.delta(row, column)
    if value is None:
        return GAP, "", ""
    change = "" if delta is None else signed(delta, digits(column))
    return number(value, digits(column)), row.published_change.get(column, ""), change


def _labels(table: Table, row: Row) -> list[str]:
    """Labels of a row. The first one is empty if it repeats that of the row above in the same section."""
    place = next(number for number, other in enumerate(table.rows) if other is row)
    above = table.rows[place - 1] if place else None
    repeated = above and len(row.labels) > 1 and (above.section, above.labels[0]) == (row.section, row.labels[0])
    return ["" if repeated else row.labels[0], *row.labels[1:]]


def _arrow(sign: str, wanted: bool) -> str:
    """The arrow; if only other rows of the column have one (`wanted`), a blank of its width, for alignment."""
    return f"#arrow[{sign}]" if sign else "#hide(arrow[↑])" if wanted else ""


def _with_first(table: Table) -> Iterator[tuple[Row, bool]]:
    """(row, whether it starts a section) of all rows."""
    section = None
    for row in table.rows:
        yield row, row.section != section
        section = row.section


def _pipes(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _escape(text: str, table: dict[str, str]) -> str:
    return "".join(table.get(character, character) for character in text)
