"""Marks where scores of different engines (backend and its versions) stand in one table.

Engines round differently, so such scores differ where equal models meet; nothing shows it but a mark.
"""

from collections.abc import Sequence
from dataclasses import replace

from lep.report.table import Table

NOT_RECORDED = "not recorded"


def mark_engines(table: Table) -> Table:
    """The table with a letter behind the label of each scored row, and a note; as it is if all have one engine."""
    engines = table.engines
    if len(engines) < 2:
        return table
    letters = letters_of(engines)
    rows = []
    for row in table.rows:
        marks = ", ".join(letters[engine] for engine in row.engines)
        labels = (*row.labels[:-1], f"{row.labels[-1]} ({marks})") if marks else row.labels
        rows.append(replace(row, labels=labels))
    return replace(table, rows=rows, notes=[*table.notes, engine_note(engines)])


def letters_of(engines: Sequence[str]) -> dict[str, str]:
    """A letter for each engine."""
    return {engine: chr(ord("a") + number) for number, engine in enumerate(engines)}


def engine_note(engines: Sequence[str]) -> str:
    """What the letters mean."""
    listed = "; ".join(f"({letter}) {engine or NOT_RECORDED}" for engine, letter in letters_of(engines).items())
    return f"Scored with different engines: {listed}. Differences between rows of different letters may be theirs."
