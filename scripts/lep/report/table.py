"""Data classes of a table: rows with our values and intervals, and the paper's values."""

from dataclasses import dataclass, field

SYMBOLS, LAST = "symbols_per_token", "last_micro_avg"
NOT_ABOVE = "°"  # mark of a score that is not above chance
NOT_ABOVE_NOTE = f"{NOT_ABOVE}: not above chance: the interval reaches the score of guessing, or is below it."


@dataclass(frozen=True)
class Cell:
    """One of our values with its 95 % interval; None for a value without."""

    value: float
    low: float | None = None
    high: float | None = None
    engine: str = ""  # what computed the score; "" = not recorded
    above_chance: bool | None = None  # whether the whole interval lies above the score without knowledge

    @property
    def half(self) -> float | None:
        """Half the width of the interval."""
        return None if self.low is None else (self.high - self.low) / 2


@dataclass(frozen=True)
class Row:
    """One row of a table."""

    section: str  # heading above a group of rows; "" = none
    labels: tuple[str, ...]  # cells of the label columns
    model: str  # name of our model; "" = not run here
    peers: str  # rows with equal `peers` compete for the best value
    stand_in: bool
    cells: dict[str, Cell] = field(default_factory=dict)  # our values by column
    published: dict[str, float] = field(default_factory=dict)  # the paper's values by column
    change: dict[str, str] = field(default_factory=dict)  # our arrows by column
    published_change: dict[str, str] = field(default_factory=dict)  # the paper's arrows by column
    published_label: str = ""  # name of the row in the paper
    comparable: bool = False  # whether the paper's values are of exactly this model
    kind: str = "ours"  # ours, original, comparator

    @property
    def engines(self) -> list[str]:
        """What computed our scores in this row."""
        return sorted({cell.engine for column, cell in self.cells.items() if column != SYMBOLS})


@dataclass(frozen=True)
class Table:
    """A table of the report."""

    number: int  # as in the paper, 1 to 4
    caption: str
    label_titles: tuple[str, ...]  # titles of the label columns
    columns: dict[str, str]  # titles of our value columns, by name
    rows: list[Row]
    notes: list[str]  # paragraphs below the table
    ours: bool  # whether there are values of this run
    stand_in: bool  # whether a family is a stand-in
    published_columns: tuple[str, ...]  # names of the columns with the paper's values
    run: str = ""  # run id; "" = none

    @property
    def engines(self) -> list[str]:
        """What computed our scores; scores of two engines are compared with care."""
        return sorted({engine for row in self.rows for engine in row.engines})

    def best(self, row: Row, column: str, published: bool = False) -> bool:
        """Whether the row has the best value among its peers, after rounding to the shown digits."""

        def shown(other: Row) -> float | None:
            value = other.published.get(column) if published else getattr(other.cells.get(column), "value", None)
            return None if value is None or column == LAST else round(value, digits(column))

        values = [value for other in self.rows if other.peers == row.peers and (value := shown(other)) is not None]
        return shown(row) is not None and len(values) > 1 and shown(row) == max(values)

    def delta(self, row: Row, column: str) -> float | None:
        """Our value minus the paper's; None if a value is missing or the models are not the same."""
        if not row.comparable or column not in row.cells or column not in row.published:
            return None
        return row.cells[column].value - row.published[column]


def digits(column: str) -> int:
    """Decimal places of a column."""
    return 2 if column == SYMBOLS else 3


def heading(table: Table) -> str:
    """Title of the paper's columns; with the models' size if ours are stand-ins."""
    return "paper (8B)" if table.stand_in and table.ours else "paper"
