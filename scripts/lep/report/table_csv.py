"""A table as CSV: wide (one line per row of the table) and tidy (one line per value)."""

from collections.abc import Iterator

from lep.files import csv_text
from lep.report.table import SYMBOLS, Cell, Row, Table, digits, heading

TIDY_COLUMNS = (
    "table", "group", "label", "model", "stand_in", "column", "source", "value", "low", "high", "delta", "best",
    "arrow", "above_chance", "run",
)  # fmt: skip


def write_csv(table: Table) -> str:
    """The wide table: labels, model, our columns with intervals (`_low`, `_high`) and whether they
    are above chance (`_above_chance`), the paper's columns (`paper_`)."""
    deltas = [c for c in table.published_columns if any(table.delta(row, c) is not None for row in table.rows)]
    ours = list(table.columns) if table.ours else []
    labels = ["label" if title == "Model" else title.lower().replace(" ", "_") for title in table.label_titles]
    header = ["group", *labels, "model", "stand_in"]
    header += [name for column in ours for name in _names(column)]
    header += [f"paper_{column}" for column in table.published_columns]
    header += [f"delta_{column}" for column in deltas]
    engines = ["engine"] if len(table.engines) > 1 else []
    lines = []
    for row in table.rows:
        line = [row.section, *row.labels, row.model, "yes" if row.stand_in else "no"]
        for column in ours:
            cell = row.cells.get(column)
            line += map(_number, (cell.value, cell.low, cell.high) if cell else (None, None, None))
            line += [_above(cell)] if column != SYMBOLS else []
        line += [_number(row.published.get(column), digits(column)) for column in table.published_columns]
        line += [_number(table.delta(row, column)) for column in deltas]
        line += [" and ".join(row.engines) for _ in engines]
        lines.append([*line, table.run])
    return csv_text([*header, *engines, "run"], lines)


def write_tidy(table: Table) -> str:
    """One line per value of the table, ours and the paper's."""
    return csv_text(TIDY_COLUMNS, (line for row in table.rows for line in _tidy_lines(table, row)))


def _tidy_lines(table: Table, row: Row) -> Iterator[list[object]]:
    common = [table.number, row.section, " / ".join(row.labels), row.model, "yes" if row.stand_in else "no"]
    for column in table.columns if table.ours else ():
        if cell := row.cells.get(column):
            numbers = [_number(value) for value in (cell.value, cell.low, cell.high, table.delta(row, column))]
            marks = ["yes" if table.best(row, column) else "no", row.change.get(column, ""), _above(cell)]
            yield [*common, column, "this run", *numbers, *marks, table.run]
    for column in table.published_columns:
        if column in row.published:
            numbers = [_number(row.published[column], digits(column)), "", "", ""]
            best = "yes" if table.best(row, column, published=True) else "no"
            yield [*common, column, heading(table), *numbers, best, row.published_change.get(column, ""), "", table.run]


def _names(column: str) -> tuple[str, ...]:
    names = (column, f"{column}_low", f"{column}_high")
    return names if column == SYMBOLS else (*names, f"{column}_above_chance")


def _above(cell: Cell | None) -> str:
    return {True: "yes", False: "no", None: ""}[cell.above_chance if cell else None]


def _number(value: float | None, places: int = 6) -> str:
    return "" if value is None else f"{value:.{places}f}"
