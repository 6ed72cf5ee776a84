"""One table: rows of cells with intervals, and the paper's values beside them."""

from dataclasses import dataclass, field

SYMBOLS, LAST = "symbols_per_token", "last_micro_avg"


@dataclass(frozen=True)
class Cell:
    """A value of ours with its 95 % interval, if it has one."""

    value: float
    low: float | None = None
    high: float | None = None

    @property
    def half(self) -> float | None:
        """Half the width of the interval."""
        return None if self.low is None else (self.high - self.low) / 2


@dataclass(frozen=True)
class Row:
    """One row. `peers` are compared for the best value; `change` holds the arrows, ours and the paper's;
    `published_label` is what the paper calls the row; `comparable` says whether its values are of this very model."""

    section: str
    labels: tuple[str, ...]
    model: str
    peers: str
    stand_in: bool
    cells: dict[str, Cell] = field(default_factory=dict)
    published: dict[str, float] = field(default_factory=dict)
    change: dict[str, str] = field(default_factory=dict)
    published_change: dict[str, str] = field(default_factory=dict)
    published_label: str = ""
    comparable: bool = False
    kind: str = "ours"  # ours, original, comparator


@dataclass(frozen=True)
class Table:
    """A table: label columns, value columns of ours (`columns`) and of the paper, rows, and what must be said below."""

    number: int
    caption: str
    label_titles: tuple[str, ...]
    columns: dict[str, str]
    rows: list[Row]
    notes: list[str]
    ours: bool
    stand_in: bool
    published_columns: tuple[str, ...]
    run: str = ""

    def best(self, row: Row, column: str, published: bool = False) -> bool:
        """Whether the row has the best value among its peers, as shown (three digits)."""

        def shown(other: Row) -> float | None:
            value = other.published.get(column) if published else getattr(other.cells.get(column), "value", None)
            return None if value is None or column == LAST else round(value, digits(column))

        values = [value for other in self.rows if other.peers == row.peers and (value := shown(other)) is not None]
        return shown(row) is not None and len(values) > 1 and shown(row) == max(values)

    def delta(self, row: Row, column: str) -> float | None:
        """Ours less the paper's; None where the row is not of the paper's own model: unlike things are not compared."""
        if not row.comparable or column not in row.cells or column not in row.published:
            return None
        return row.cells[column].value - row.published[column]


def digits(column: str) -> int:
    """Decimal places that a column shows."""
    return 2 if column == SYMBOLS else 3


def heading(table: Table) -> str:
    """What the paper's columns are called; the size is named where ours are stand-ins."""
    return "paper (8B)" if table.stand_in and table.ours else "paper"
