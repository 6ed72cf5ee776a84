"""The numbers of the paper: `data/published_scores.csv`."""

from dataclasses import dataclass, field
from pathlib import Path

from lep.config import UserError
from lep.names import (
    COLUMNS,
    COMPARATOR,
    ORIGINAL,
    PUBLISHED_CALIBRATIONS,
    PUBLISHED_TITLES,
    UNCALIBRATED,
    Calibrated,
    Comparator,
    Family,
)
from lep.report.scores import read_number, read_rows

PUBLISHED_COLUMNS = (
    "table", "family", "model", "vocabulary", "lep", "calibration", "shots", "symbols_per_token", *COLUMNS,
)  # fmt: skip


@dataclass(frozen=True)
class Published:
    """One row of the paper's tables; "" where the table has no such column."""

    table: int
    family: str
    model: str
    vocabulary: str
    lep: str  # LEP method
    calibration: str
    values: dict[str, float] = field(default_factory=dict)  # by column; Table 2 also has symbols_per_token


def read_published(path: str | Path) -> list[Published]:
    """Read and check the file; `UserError` with file and line for an invalid row."""
    rows: list[Published] = []
    seen: dict[tuple[str, ...], int] = {}
    for line, row in read_rows(Path(path), PUBLISHED_COLUMNS):
        where = f"{path}, line {line}"
        names = [name for name in ("symbols_per_token", *COLUMNS) if row[name]]
        values = {name: read_number(row[name], f"{where}: {name}") for name in names}
        key = tuple(row[column] for column in ("table", "family", "model", "vocabulary", "lep", "calibration"))
        if key[0] not in ("1", "2", "3", "4"):
            raise UserError(f"{where}: unknown table {key[0]!r}; use 1, 2, 3 or 4")
        if missing := [name for name in COLUMNS if name not in values]:
            raise UserError(f"{where} has no {', '.join(missing)}; the paper gives all of them")
        if key in seen:
            raise UserError(f"{where} repeats line {seen[key]} ({', '.join(filter(None, key))}); keep one of the two")
        seen[key] = line
        rows.append(Published(int(key[0]), *key[1:], values))
    return rows


def published_families(rows: list[Published]) -> list[Family]:
    """The families of the paper, for tables with its values alone."""
    calibrations = {theirs: ours for ours, theirs in PUBLISHED_CALIBRATIONS.items()}
    families = []
    for family in dict.fromkeys(row.family for row in rows if row.family != COMPARATOR):
        vocabularies = [r.vocabulary for r in rows if (r.table, r.family) == (2, family) and r.vocabulary != ORIGINAL]
        tuned: dict[str, list[str]] = {}
        for row in rows:
            if (row.table, row.family) == (4, family) and row.calibration != PUBLISHED_CALIBRATIONS[UNCALIBRATED]:
                tuned.setdefault(row.vocabulary, []).append(calibrations[row.calibration])
        controls = tuned.pop(ORIGINAL, [])
        families.append(
            Family(
                name=family, base_title=PUBLISHED_TITLES[family][0], instruct_title=PUBLISHED_TITLES[family][1],
                stand_in=False, vocabularies=vocabularies, published_family=family,
                calibrated=[Calibrated(vocabulary, found) for vocabulary, found in tuned.items()], controls=controls,
            )
        )  # fmt: skip
    return families


def published_comparators(rows: list[Published]) -> list[Comparator]:
    """The comparators of the paper's Table 1."""
    names = [row.model for row in rows if row.family == COMPARATOR]
    return [Comparator(name=f"comparator{number}", title=name, published=name) for number, name in enumerate(names)]


def find_published(
    rows: list[Published], table: int, family: Family, vocabulary: str = "", lep: str = "", calibration: str = ""
) -> Published | None:
    """The paper's row for one of our models; None if it has no such row or not this family."""
    if family.published_family is None:
        return None
    wanted = (table, family.published_family, vocabulary, lep, PUBLISHED_CALIBRATIONS.get(calibration, calibration))
    for row in rows:
        if (row.table, row.family, row.vocabulary, row.lep, row.calibration) == wanted:
            return row
    return None
