"""Tables 1 to 4 in the layout of the paper: their rows, values and notes (paper sections 3.1 to 3.4)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from lep.config import UserError
from lep.files import write_text
from lep.methods import CALIBRATED_METHOD, METHODS, PAPER_METHODS, in_paper, parse_methods
from lep.names import (
    CALIBRATION_TITLES,
    COLUMNS,
    COMPARATOR,
    MICRO,
    ORIGINAL,
    TITLES,
    UNCALIBRATED,
    VOCABULARIES,
    Comparator,
    Family,
    parse_comparators,
    parse_families,
    parse_pairs,
)
from lep.report import markup, table_csv
from lep.report.engines import mark_engines
from lep.report.published import Published, find_published, read_published
from lep.report.scores import Metrics, Score, Scores, read_metrics, read_scores
from lep.report.table import LAST, NOT_ABOVE_NOTE, SYMBOLS, Cell, Row, Table

ARROW_FROM = 0.005  # smallest change with an arrow in the paper's Table 1
PAPERS_BEST = ("extended", "saiga_copy")  # vocabulary and calibration of the paper's best models in Table 1
WRITERS: dict[str, Callable[[Table], str]] = {
    "csv": table_csv.write_csv,
    "tidy": table_csv.write_tidy,
    "md": markup.write_markdown,
    "tex": markup.write_latex,
    "typ": markup.write_typst,
}


@dataclass(frozen=True)
class Sources:
    """Input of the tables."""

    families: list[Family]
    published: list[Published]  # the paper's rows
    scores: Scores | None = None  # None = tables with the paper's values alone
    metrics: Metrics | None = None  # None = no symbols per token of our own
    comparators: list[Comparator] = field(default_factory=list)
    run: str = ""  # run id; "" = none
    methods: Sequence[str] = PAPER_METHODS  # LEP methods of the run that are in the paper
    pairs: list[Family] = field(default_factory=list)  # the families, and further instruct models of theirs


def read_sources(
    families: Sequence[dict | Family],
    published: Path,
    scores: Path | None = None,
    metrics: Path | None = None,
    comparators: Sequence[dict | Comparator] = (),
    run: str = "",
    methods: Sequence[str] = PAPER_METHODS,
) -> Sources:
    """Read and check the input of the tables.

    `families`, `comparators` and `methods` (`propagation.methods`) have the form of the configuration.
    """
    parsed, others = parse_families(families), parse_comparators(comparators)
    return Sources(
        parsed,
        read_published(published),
        read_scores(scores, [*parsed, *others]) if scores else None,
        read_metrics(metrics) if metrics else None,
        others,
        run,
        in_paper(parse_methods(methods)),
        parse_pairs(families),
    )


def write_table(number: int, sources: Sources, outputs: dict[str, Path]) -> None:
    """Write a table; `outputs` maps formats (csv, tidy, md, tex, typ) to files."""
    table = build_table(number, sources)
    for kind, path in outputs.items():
        if kind not in WRITERS:
            raise UserError(f"unknown table format {kind!r}; use one of {', '.join(WRITERS)}")
        write_text(path, WRITERS[kind](table))


def build_table(number: int, sources: Sources) -> Table:
    """Build Table 1, 2, 3 or 4. A missing model or score is a visible gap, with a note below the table."""
    if number not in _BUILDERS:
        raise UserError(f"unknown table {number}; use 1, 2, 3 or 4")
    table = _BUILDERS[number](sources)
    # Notes that all tables share, if there is something to explain.
    notes = list(table.notes)
    if table.ours:
        notes.insert(0, "Grey ±: half the width of the 95 % bootstrap interval. Bold: best value of a group of rows.")
        if any(table.delta(row, column) is not None for row in table.rows for column in table.columns):
            notes.append("+ and − at the paper's values: this run less the paper.")
        if any(cell.above_chance is False for row in table.rows for cell in row.cells.values()):
            notes.append(NOT_ABOVE_NOTE)
        if missing := [row.model for row in table.rows if row.model and not set(COLUMNS) & row.cells.keys()]:
            notes.append(f"Not evaluated: {', '.join(missing)}.")
        if any(row.cells and not set(COLUMNS) <= row.cells.keys() for row in table.rows if row.model not in missing):
            notes.append("–: the model was not evaluated on all tasks behind this column.")
    if table.ours and table.stand_in:
        notes.append(
            "Stand-ins are small models in the place of the paper's. The paper's values are shown beside them without "
            "a difference, which would compare unlike things."
        )
    return mark_engines(replace(table, notes=notes))


def _table(number: int, sources: Sources, caption: str, labels: tuple[str, ...], rows: list[Row], notes: list[str],
           columns: dict[str, str] | None = None) -> Table:  # fmt: skip
    columns = columns or TITLES
    return Table(
        number, caption, labels, columns, rows, notes, sources.scores is not None,
        any(family.stand_in for family in sources.families), tuple(c for c in columns if c != LAST), sources.run,
    )  # fmt: skip


def _row(sources: Sources, family: Family, section: str, labels: tuple[str, ...], model: str, **published: str) -> Row:
    """A row of one model; `published` says which row of the paper belongs to it (arguments of `find_published`)."""
    found = find_published(sources.published, family=family, **published)
    return Row(
        section, labels, model, family.name, family.stand_in, _cells(sources, model),
        dict(found.values) if found else {}, published_label=found.model if found else "",
        comparable=family.is_published,
    )  # fmt: skip


def _cells(sources: Sources, model: str) -> dict[str, Cell]:
    """Our values of a model by column; missing ones are left out."""
    found = {name: sources.scores.get(model, name) for name in COLUMNS} if sources.scores else {}
    return {name: _cell(score) for name, score in found.items() if score}


def _cell(score: Score) -> Cell:
    return Cell(score.value, score.low, score.high, score.engine, score.above_chance)


def _table1(sources: Sources) -> Table:
    # Rows: original instruct models, comparators, then the best calibrated model of each family with its arrows.
    originals = [
        replace(_row(sources, f, "", (f.shown("instruct"),), f.instruct, table=1), kind="original")
        for f in sources.families
    ]
    ours = [_best_calibrated(sources, family) for family in sources.families if family.calibrated]
    changed = [_with_arrows(sources, row, family) for row, family in ours]
    comparators = [_comparator(sources, comparator) for comparator in sources.comparators]
    rows = [replace(row, peers="all") for row in [*originals, *comparators, *changed]]
    # A calibrated model without Micro-Avg cannot be the best one: say so instead of choosing silently.
    notes = ["Ours: of each family's calibrated LEP models the one with the best Micro-Avg on this same benchmark."]
    if sources.scores:
        options = [
            f.tuned(row.vocabulary, c) for f in sources.families for row in f.calibrated for c in row.calibrations
        ]
        if unknown := [model for model in options if not sources.scores.get(model, MICRO)]:
            notes.append(f"Not considered, as they have no Micro-Avg: {', '.join(unknown)}.")
        notes.append(
            "↑ ↓: change against the family's original model; ours where it exceeds the two intervals combined, the "
            "paper's from .005 on."
        )
        if any(not row.model for row in comparators):
            notes.append("Published only: a model that was not run here; its values are the paper's.")
    return _table(1, sources, "0-shot Darumeru: the best adapted models and others", ("Model",), rows, notes)


def _comparator(sources: Sources, comparator: Comparator) -> Row:
    """The row of a comparator. The paper does not state the revision it scored, so the row is not comparable."""
    values = next(
        (r.values for r in sources.published if (r.family, r.model) == (COMPARATOR, comparator.published)), {}
    )
    evaluated = comparator.model is not None
    label = comparator.title if evaluated or not sources.scores else f"{comparator.title}, published only"
    model = comparator.instruct if evaluated else ""
    return Row("", (label,), model, "all", False, _cells(sources, model), dict(values),
               published_label=comparator.published or "", kind="comparator")  # fmt: skip


def _best_calibrated(sources: Sources, family: Family) -> tuple[Row, Family]:
    """The row of the family's calibrated model with the best Micro-Avg, next to the paper's best one."""
    options = [(row.vocabulary, c) for row in family.calibrated for c in row.calibrations]

    def rank(option: tuple[str, str]) -> tuple[float, int]:
        # Without scores, the paper's best model wins.
        score = sources.scores.get(family.tuned(*option), MICRO) if sources.scores else None
        return (score.value if score else 0.0, option == PAPERS_BEST)

    vocabulary, calibration = max(options, key=rank)
    titles = VOCABULARIES[vocabulary].title, CALIBRATION_TITLES[calibration]
    label = f"{family.shown('instruct')} + LEP-{titles[0]} + {titles[1]}"
    published = dict(zip(("vocabulary", "calibration"), PAPERS_BEST, strict=True)) | {"lep": CALIBRATED_METHOD}
    model = family.tuned(vocabulary, calibration)
    row = _row(sources, family, "Ours (best calibrated)", (label,), model, table=1, **published)
    # The paper's row belongs to the paper's best model: comparable only if ours has its vocabulary and calibration.
    return replace(row, comparable=row.comparable and (vocabulary, calibration) == PAPERS_BEST), family


def _with_arrows(sources: Sources, row: Row, family: Family) -> Row:
    """The row with arrows for changes against the family's original model, ours and the paper's."""
    change = {name: arrow(sources.scores.get(family.instruct, name), cell) for name, cell in row.cells.items()}
    original = find_published(sources.published, 1, family)
    paper = {
        name: "↑" if value > original.values[name] else "↓"
        for name, value in (row.published.items() if original else ())
        if abs(round(value - original.values[name], 3)) >= ARROW_FROM
    }
    return replace(row, change={name: sign for name, sign in change.items() if sign}, published_change=paper)


def arrow(before: Score | Cell | None, after: Cell) -> str:
    """↑ or ↓ if two values differ by more than their half intervals added in quadrature, else ""."""
    if before is None:
        return ""
    difference = after.value - before.value
    margin = (((before.high - before.low) / 2) ** 2 + after.half**2) ** 0.5
    return "" if abs(difference) <= margin else "↑" if difference > 0 else "↓"


def _table2(sources: Sources) -> Table:
    rows = []
    for family in sources.families:
        for vocabulary in (ORIGINAL, *family.vocabularies):
            # Our donor is the best checkpoint of the training run; the column Last shows its last one.
            model, label, last = family.base, "–", None
            if vocabulary != ORIGINAL and sources.scores:
                model = f"{family.name}/{vocabulary}/donor"
                if steps := {name: step for step, name in sources.scores.checkpoints(family.name, vocabulary)}:
                    model = sources.scores.donor(family.name, vocabulary)
                    label = str(steps[model])
                    last = sources.scores.get(sources.scores.last(family.name, vocabulary), MICRO)
            title = VOCABULARIES[vocabulary].title
            labels = (title, label) if sources.scores else (title,)
            row = _row(sources, family, family.shown("base"), labels, model, table=2, vocabulary=vocabulary)
            if last:
                row.cells[LAST] = _cell(last)
            symbols = sources.metrics and sources.metrics.get("vocabulary", f"{family.name}/{vocabulary}", SYMBOLS)
            if symbols is not None:
                row.cells[SYMBOLS] = Cell(symbols)
            rows.append(row)
    notes = []
    titles = ("Vocabulary", "Step") if sources.scores else ("Vocabulary",)
    columns = {SYMBOLS: "Symb. / token", **TITLES}
    if sources.scores:
        columns = {SYMBOLS: "Symb. / token", MICRO: TITLES[MICRO], LAST: "Last", **TITLES}
        notes.append(
            "The checkpoint of each vocabulary is chosen by its Micro-Avg on this same benchmark, as in the paper, "
            "which favours it; Last is the run's last checkpoint. The chosen one is the donor of Table 3."
        )
        if not sources.metrics:
            notes.append("Symb. / token: not measured here (no metrics.csv was given).")
    caption = "5-shot Darumeru of base models after embedding pre-training"
    return _table(2, sources, caption, titles, rows, notes, columns)


def _table3(sources: Sources) -> Table:
    rows = [
        _row(
            sources,
            family,
            family.shown("instruct"),
            (VOCABULARIES[vocabulary].title, METHODS[method].title),
            family.propagated(vocabulary, method),
            table=3,
            vocabulary=vocabulary,
            lep=method,
        )
        for family in sources.families
        for vocabulary in family.vocabularies
        for method in sources.methods
    ]
    caption = "0-shot Darumeru of instruct models after Learned Embedding Propagation"
    left_out = [METHODS[name].title for name in PAPER_METHODS if name not in sources.methods]
    notes = [f"Not run: {', '.join(left_out)}."] if left_out else []
    return _table(3, sources, caption, ("Vocabulary", "LEP"), rows, notes)


def _table4(sources: Sources) -> Table:
    rows = []
    for family in sources.families:
        # Controls first (the original instruct model and its calibrations), then the calibrated LEP models.
        options = [(ORIGINAL, c) for c in (UNCALIBRATED, *family.controls)]
        for calibrated in family.calibrated:
            options += [(calibrated.vocabulary, c) for c in (UNCALIBRATED, *calibrated.calibrations)]
        for vocabulary, calibration in options:
            labels = VOCABULARIES[vocabulary].title, CALIBRATION_TITLES[calibration]
            keys = {"vocabulary": vocabulary, "lep": "" if vocabulary == ORIGINAL else CALIBRATED_METHOD}
            model = family.tuned(vocabulary, calibration)
            title = family.shown("instruct")
            rows.append(_row(sources, family, title, labels, model, table=4, calibration=calibration, **keys))
    start = METHODS[CALIBRATED_METHOD].title
    notes = [f"Original: the instruct model without LEP, treated alike (control). Other rows start from {start}."]
    return _table(4, sources, "0-shot Darumeru after calibration", ("Vocabulary", "Calibration"), rows, notes)


_BUILDERS: dict[int, Callable[[Sources], Table]] = {1: _table1, 2: _table2, 3: _table3, 4: _table4}
