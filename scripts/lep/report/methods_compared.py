"""Table S1, which is not in the paper: all methods of propagation, and controls, against Conversion, paired."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lep.evaluation.paired import paired_difference
from lep.files import write_csv, write_text
from lep.methods import CALIBRATED_METHOD, COMPARED, CONTROLS, parse_controls, parse_methods
from lep.names import COLUMNS, MICRO, TITLES, VOCABULARIES, Family, parse_pairs
from lep.report.claims import load_needed
from lep.report.engines import engine_note, letters_of
from lep.report.markup import number, signed
from lep.report.scores import Paths, Scores, as_paths, read_scores, read_table
from lep.report.table import NOT_ABOVE, NOT_ABOVE_NOTE

BETTER, WORSE, UNDECIDED = "better", "worse", "undecided"
Difference = tuple[float, float, float]  # value and 95 % interval
HEADER = (
    "family", "vocabulary", "method", "name", "value", "low", "high", "difference", "difference_low", "difference_high",
    "verdict", "above_chance", "n", "engine", "run",
)  # fmt: skip


@dataclass(frozen=True)
class Compared:
    """One score of a propagated model or a control, and its paired difference to the model of Conversion."""

    family: str
    vocabulary: str
    method: str  # or the name of a control
    name: str  # micro_avg or a group
    value: float
    low: float
    high: float
    difference: Difference | None  # None = Conversion itself, or not run
    above_chance: bool  # whether the whole interval of the score lies above the score without knowledge
    n: int
    engine: str = ""  # what computed the score; "" = not recorded

    @property
    def verdict(self) -> str:
        """Whether the method is better or worse than Conversion; empty without a difference."""
        return verdict_of(self.difference) if self.difference else ""


def verdict_of(difference: Difference) -> str:
    """Whether a difference of scores is decided by its interval."""
    _, low, high = difference
    return BETTER if low > 0 else WORSE if high < 0 else UNDECIDED


def compare_methods(
    families: Sequence[dict],
    scores: Path,
    samples: Paths,
    outputs: Mapping[str, Path],
    methods: Sequence[str],
    controls: Sequence[str] = (),
    draws: int = 1000,
    seed: int = 42,
    run: str = "",
) -> None:
    """Write the comparison as `csv`, with Micro-Avg and groups, and as `md`, with the Micro-Avg.

    Arguments as in `lep.report.claims.write_claims`; `controls` are names of `lep.methods.CONTROLS`. Controls that are
    made for a vocabulary are shown for a family's `control_vocabularies`. Further instruct models have their own rows.
    Both models of a difference are scored on the same resampled items. Undecided: its interval holds 0.
    """
    table, parsed = read_scores(scores), parse_pairs(families)
    wanted = parse_methods(methods), parse_controls(controls)
    rows = list(_compare(parsed, table, as_paths(samples), *wanted, draws, seed))
    write_csv(outputs["csv"], HEADER, ([*_line(row), run] for row in rows))
    write_text(outputs["md"], _markdown(parsed, [row for row in rows if row.name == MICRO], run))


def read_compared(path: Path) -> list[Compared]:
    """The rows of a comparison as `compare_methods` wrote it."""
    found = []
    for row in read_table(path, HEADER, "compare the methods"):
        texts = [row[key] for key in ("difference", "difference_low", "difference_high")]
        difference = tuple(map(float, texts)) if all(texts) else None
        names = [row[key] for key in HEADER[:4]]
        values = [float(row[key]) for key in HEADER[4:7]]
        above = row["above_chance"] == "yes"
        found.append(Compared(*names, *values, difference, above, int(row["n"]), row["engine"]))
    return found


def summarise(rows: Sequence[Compared]) -> list[dict[str, str]]:
    """How often the Micro-Avg of each method and control is better or worse than that of Conversion."""
    found = []
    for method in COMPARED:
        verdicts = [row.verdict for row in rows if (row.method, row.name) == (method, MICRO) and row.verdict]
        if verdicts:
            counts = {verdict: str(verdicts.count(verdict)) for verdict in (BETTER, WORSE, UNDECIDED)}
            found.append({"title": title_of(method), "comparisons": str(len(verdicts)), **counts})
    return found


def shown(rows: Sequence[Compared], families: Sequence[Family]) -> list[dict[str, str]]:
    """The Micro-Avg rows of these families as text, for a table."""
    titles = {family.name: family.shown("instruct") for family in families}
    letters = letters_of(_engines(rows))
    return [
        {
            "family": titles[row.family],
            "vocabulary": VOCABULARIES[row.vocabulary].title,
            "method": title_of(row.method) + (f" ({letters[row.engine]})" if len(letters) > 1 else ""),
            "value": number(row.value),
            "mark": "" if row.above_chance else NOT_ABOVE,
            "half": number((row.high - row.low) / 2),
            "difference": signed(row.difference[0]) if row.difference else "–",
            "interval": f"{signed(row.difference[1])} to {signed(row.difference[2])}" if row.difference else "–",
            "verdict": row.verdict or "–",
        }
        for row in rows
        if row.name == MICRO and row.family in titles
    ]


def mark_note(rows: Sequence[Compared]) -> str:
    """What the mark of a score says; empty if no Micro-Avg has it."""
    return NOT_ABOVE_NOTE if any(row.name == MICRO and not row.above_chance for row in rows) else ""


def title_of(method: str) -> str:
    """Title of a method or, marked as such, of a control."""
    return COMPARED[method].title + (" (control)" if method in CONTROLS else "")


def _compare(
    families: Sequence[Family],
    scores: Scores,
    samples: Sequence[Path],
    methods: Sequence[str],
    controls: Sequence[str],
    draws: int,
    seed: int,
) -> Iterator[Compared]:
    models = {
        (family.name, vocabulary, name): family.propagated(vocabulary, name)
        for family in families
        for vocabulary in family.vocabularies
        for name in (*family.scored(methods), *controls)
        if name in methods or not CONTROLS[name].is_made or vocabulary in family.control_vocabularies
    }
    values = load_needed(samples, set(models.values()))
    for (family, vocabulary, method), model in models.items():
        reference = values.get(models.get((family, vocabulary, CALIBRATED_METHOD)))
        for name in COLUMNS:
            score = scores.need(model, name)
            difference = None
            if reference is not None and method != CALIBRATED_METHOD:
                difference = paired_difference(reference, values[model], name, draws=draws, seed=seed)
            entries = score.value, score.low, score.high, difference, score.above_chance, score.n, score.engine
            yield Compared(family, vocabulary, method, name, *entries)


def _engines(rows: Sequence[Compared]) -> list[str]:
    return sorted({row.engine for row in rows})


def _line(row: Compared) -> list[str]:
    numbers = [row.value, row.low, row.high, *(row.difference or ())]
    texts = [f"{value:.6f}" for value in numbers] + [""] * (6 - len(numbers))
    above = "yes" if row.above_chance else "no"
    return [row.family, row.vocabulary, row.method, row.name, *texts, row.verdict, above, str(row.n), row.engine]


def _markdown(families: Sequence[Family], rows: Sequence[Compared], run: str) -> str:
    titles = ("Model", "Vocabulary", "Method", TITLES[MICRO], "Against Conversion", "95 % interval", "Verdict")
    lines = ["**Table S1.** Methods of propagation, and their paired differences to Conversion", ""]
    lines += ["| " + " | ".join(titles) + " |", "|---|---|---|---:|---:|---:|---|"]
    for row in shown(rows, families):
        cells = [row["family"], row["vocabulary"], row["method"], f"{row['value']}{row['mark']} ±{row['half']}"]
        lines.append("| " + " | ".join([*cells, row["difference"], row["interval"], row["verdict"]]) + " |")
    notes = ["Both models of a difference are scored on the same resampled items. Undecided: the interval holds 0."]
    notes += [note] if (note := mark_note(rows)) else []
    notes += [
        f"{row['title']}: better in {row['better']}, worse in {row['worse']}, undecided in {row['undecided']} of "
        f"{row['comparisons']} comparisons."
        for row in summarise(rows)
    ]
    controls = dict.fromkeys(row.method for row in rows if row.method in CONTROLS)
    notes += [f"{title_of(name)}: {CONTROLS[name].summary}." for name in controls]
    notes += [engine_note(engines)] if len(engines := _engines(rows)) > 1 else []
    notes += [f"Run `{run}`."] if run else []
    return "\n".join([*lines, "", *(f"{note}  " for note in notes)]).rstrip() + "\n"
