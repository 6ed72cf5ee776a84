"""Whether one donor serves several instruct models of its base, which the paper leaves open."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lep.evaluation.paired import contrast
from lep.evaluation.seeds import Repeats
from lep.files import write_csv, write_text
from lep.methods import METHODS, parse_methods
from lep.names import COLUMNS, MICRO, TITLES, VOCABULARIES, Family, family_of, parse_pairs
from lep.report.claims import load_needed
from lep.report.markup import number, signed
from lep.report.methods_compared import BETTER, UNDECIDED, WORSE, Difference, verdict_of
from lep.report.scores import Paths, Scores, as_paths, read_scores, read_table
from lep.report.table import NOT_ABOVE, NOT_ABOVE_NOTE

_DIFFERENCES = ("change", "against_first")
HEADER = (
    "instruct", "vocabulary", "method", "name", "original", "value",
    *(f"{difference}{part}" for difference in _DIFFERENCES for part in ("", "_low", "_high", "_verdict")),
    "original_above_chance", "above_chance", "n", "run",
)  # fmt: skip


@dataclass(frozen=True)
class Served:
    """One score of an instruct model with a donor's embeddings: its change, and that against the first's change."""

    instruct: str  # family, or pair of a further instruct model
    vocabulary: str
    method: str
    name: str  # micro_avg or a group
    original: float  # of the instruct model with its own vocabulary
    value: float
    change: Difference  # value less original, with its 95 % interval
    against_first: Difference | None  # change less that of the family's first instruct; None = it is the first
    above_chance: tuple[bool, bool]  # of original and value: whether the whole interval lies above the chance level
    n: int

    @property
    def is_further(self) -> bool:
        return self.against_first is not None


def compare_instructs(
    families: Sequence[dict],
    scores: Path,
    samples: Paths,
    outputs: Mapping[str, Path],
    methods: Sequence[str],
    draws: int = 1000,
    seed: int = 42,
    run: str = "",
) -> None:
    """Write the comparison as `csv`, with Micro-Avg and groups, and as `md`, with the Micro-Avg.

    Arguments as in `lep.report.methods_compared.compare_methods`. The first instruct model of a family is shown for
    what a further one has. All models of a difference are scored on the same resampled items.
    """
    pairs, table = parse_pairs(families), read_scores(scores)
    rows = list(_served(pairs, table, as_paths(samples), parse_methods(methods), draws, seed))
    write_csv(outputs["csv"], HEADER, ([*_line(row), run] for row in rows))
    write_text(outputs["md"], _markdown(pairs, [row for row in rows if row.name == MICRO], run))


def read_served(path: Path) -> list[Served]:
    """The rows of a comparison as `compare_instructs` wrote it."""
    rows = read_table(path, HEADER, "compare the instruct models")

    def difference(row: dict[str, str], name: str) -> Difference | None:
        texts = [row[f"{name}{part}"] for part in ("", "_low", "_high")]
        return tuple(map(float, texts)) if all(texts) else None

    return [
        Served(
            *(row[key] for key in HEADER[:4]), float(row["original"]), float(row["value"]),
            *(difference(row, name) for name in _DIFFERENCES),
            tuple(row[key] == "yes" for key in ("original_above_chance", "above_chance")), int(row["n"]),
        )
        for row in rows
    ]  # fmt: skip


def shown(rows: Sequence[Served], pairs: Sequence[Family]) -> list[dict[str, str]]:
    """The Micro-Avg rows as text, for a table."""
    titles = {pair.name: pair.shown("instruct") for pair in pairs}
    return [
        {
            "instruct": titles[row.instruct],
            "vocabulary": VOCABULARIES[row.vocabulary].title,
            "method": METHODS[row.method].title,
            **{
                key: number(value) + ("" if above else NOT_ABOVE)
                for key, value, above in zip(
                    ("original", "value"), (row.original, row.value), row.above_chance, strict=True
                )
            },
            **{f"change_{key}": text for key, text in _texts(row.change).items()},
            **{f"first_{key}": text for key, text in _texts(row.against_first).items()},
        }
        for row in rows
        if row.name == MICRO
    ]


def summarise(rows: Sequence[Served]) -> list[dict[str, str]]:
    """How often the Micro-Avg changed: of first and of further instruct models, and of these against the first."""
    found = [row for row in rows if row.name == MICRO]
    further = [row for row in found if row.is_further]
    if not further:
        return []
    counted = {
        "The first instruct model against its original": [row.change for row in found if not row.is_further],
        "Further instruct models against their own originals": [row.change for row in further],
        "Their changes against that of the first": [row.against_first for row in further],
    }
    return [
        {"title": title, "comparisons": str(len(differences))}
        | {v: str([verdict_of(d) for d in differences].count(v)) for v in (BETTER, WORSE, UNDECIDED)}
        for title, differences in counted.items()
    ]


def mark_note(rows: Sequence[Served]) -> str:
    """What the mark of a score says; empty if no Micro-Avg has it."""
    return NOT_ABOVE_NOTE if any(row.name == MICRO and not all(row.above_chance) for row in rows) else ""


def _served(
    pairs: Sequence[Family], scores: Scores, samples: Sequence[Path], methods: Sequence[str], draws: int, seed: int
) -> Iterator[Served]:
    firsts = {pair.name: pair for pair in pairs if pair.name == family_of(pair.name)}
    further = [pair for pair in pairs if pair.name not in firsts]
    wanted = {pair.name: [(v, m) for v in pair.vocabularies for m in pair.scored(methods)] for pair in further}
    # The first instruct of a family, for all that its further ones have, then these.
    for name in firsts:
        own = [pair for pair in further if family_of(pair.name) == name]
        wanted[name] = list(dict.fromkeys(entry for pair in own for entry in wanted[pair.name]))
    needed = {m for pair in pairs for entry in wanted[pair.name] for m in (pair.instruct, pair.propagated(*entry))}
    values = load_needed(samples, needed)
    for pair in pairs:
        first = firsts[family_of(pair.name)]
        for vocabulary, method in wanted[pair.name]:
            model, reference = (one.propagated(vocabulary, method) for one in (pair, first))
            change = _change(values, pair.instruct, model)
            against = [*change, *((-weight, v) for weight, v in _change(values, first.instruct, reference))]
            for name in COLUMNS:
                original, score = scores.need(pair.instruct, name), scores.need(model, name)
                yield Served(
                    pair.name, vocabulary, method, name, original.value, score.value,
                    contrast(change, name, draws, seed),
                    contrast(against, name, draws, seed) if pair is not first else None,
                    (original.above_chance, score.above_chance), score.n,
                )  # fmt: skip


def _change(values: Mapping[str, Repeats], before: str, after: str) -> list[tuple[float, Repeats]]:
    return [(-1, values[before]), (1, values[after])]


def _texts(difference: Difference | None) -> dict[str, str]:
    if difference is None:
        return dict.fromkeys(("value", "interval", "verdict"), "–")
    value, low, high = difference
    return {
        "value": signed(value),
        "interval": f"{signed(low)} to {signed(high)}",
        "verdict": verdict_of(difference),
    }


def _line(row: Served) -> list[str]:
    texts = [row.instruct, row.vocabulary, row.method, row.name, f"{row.original:.6f}", f"{row.value:.6f}"]
    for difference in (row.change, row.against_first):
        texts += [*(f"{value:.6f}" for value in difference), verdict_of(difference)] if difference else [""] * 4
    return [*texts, *("yes" if above else "no" for above in row.above_chance), str(row.n)]


def _markdown(pairs: Sequence[Family], rows: Sequence[Served], run: str) -> str:
    against = ("95 % interval", "Verdict")
    titles = (
        "Model", "Vocabulary", "Method", "Original", TITLES[MICRO], "Against its original", *against,
        "Against the first's change", *against,
    )  # fmt: skip
    lines = ["**Table S2.** One donor for several instruct models of its base", ""]
    lines += ["| " + " | ".join(titles) + " |", "|---|---|---|---:|---:|---:|---:|---|---:|---:|---|"]
    lines += ["| " + " | ".join(row.values()) + " |" for row in shown(rows, pairs)]
    notes = [
        f"{row['title']}: better in {row['better']}, worse in {row['worse']}, undecided in {row['undecided']} of "
        f"{row['comparisons']} comparisons."
        for row in summarise(rows)
    ]
    notes += ["All models of a difference are scored on the same resampled items. Undecided: the interval holds 0."]
    notes += [note] if (note := mark_note(rows)) else []
    notes += [f"Run `{run}`."] if run else []
    return "\n".join([*lines, "", *(f"{note}  " for note in notes)]).rstrip() + "\n"
