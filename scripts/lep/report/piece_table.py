"""The pieces of the SentencePiece models by script, beside those of the published models."""

from collections.abc import Mapping
from pathlib import Path

from lep.report.markup import GAP, number
from lep.report.scores import Metrics, read_number, read_rows

OTHER = "other"
_COLUMNS = ("family", "vocabulary", "pieces", "cyrillic", "latin", OTHER, "model", "sha256")
_PUBLISHED = ("cyrillic", "latin", OTHER)


def piece_columns(scripts: list[str], russian: bool) -> list[str]:
    """Columns of the table as CSV: pieces by script and, in a run for Russian, those of the published models."""
    ours = [f"pieces_{script}" for script in (*dict.fromkeys(scripts), OTHER)]
    return ours + [f"published_pieces_{script}" for script in _PUBLISHED] * russian


def read_published_pieces(path: Path) -> dict[tuple[str, str], dict[str, float]]:
    """`data/published_pieces.csv`: values of `published_pieces_SCRIPT` by (published family, vocabulary)."""
    return {
        (row["family"], row["vocabulary"]): {
            f"published_pieces_{script}": read_number(row[script], f"{path}, line {line}: {script}")
            for script in _PUBLISHED
        }
        for line, row in read_rows(Path(path), _COLUMNS)
    }


def measured_pieces(metrics: Metrics, model: str, columns: list[str]) -> dict[str, float]:
    """The measured columns of one vocabulary; {} for an original, which has no SentencePiece model of ours."""
    found = {column: metrics.get("vocabulary", model, column) for column in columns if column.startswith("pieces_")}
    return {column: value for column, value in found.items() if value is not None}


def piece_lines(rows: list[tuple[str, str, Mapping[str, float]]], columns: list[str]) -> list[str]:
    """The table in Markdown; `rows`: title of the base model, title of the vocabulary, values by column."""
    shown = [row for row in rows if columns[0] in row[-1]]
    if not shown:
        return []
    titles = [_title(column) for column in columns]
    lines = [
        "**Pieces of the SentencePiece models by script.** Per cent: of pieces with letters of these scripts. Byte "
        "pieces and special ones are not counted.",
        "",
        "| " + " | ".join(["Model", "Vocabulary", *titles]) + " |",
        "|" + " --- |" * 2 + " ---: |" * len(columns),
    ]
    for base, vocabulary, values in shown:
        lines.append("| " + " | ".join([base, vocabulary, *(_cell(values, column) for column in columns)]) + " |")
    return ["", *lines]


def _title(column: str) -> str:
    kind, _, script = column.rpartition("_")
    script = script if script == OTHER else script.capitalize()
    return script if kind == "pieces" else f"{script} in the published model"


def _cell(values: Mapping[str, float], column: str) -> str:
    if column not in values:
        return GAP
    kind, _, script = column.rpartition("_")
    count = f"{values[column]:,.0f}"
    if script == OTHER:
        return count
    letters = sum(value for name, value in values.items() if name.rpartition("_")[0] == kind and "other" not in name)
    return f"{count} ({number(100 * values[column] / letters, 1)} %)"
