"""Verdicts on the paper's claims, from paired intervals: *holds*, *does not hold* or *undecided*.

A claim is a condition on differences of scores. A claim that does not hold is a result: it fails no run.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lep.config import UserError
from lep.evaluation.paired import paired_difference
from lep.evaluation.samples import load_samples
from lep.evaluation.seeds import Repeats
from lep.files import write_csv
from lep.methods import PAPER_METHODS, in_paper, parse_methods
from lep.names import parse_families
from lep.report.claim_list import Claim, Comparison, list_claims
from lep.report.published import read_published
from lep.report.scores import Metrics, Paths, Scores, as_paths, read_metrics, read_scores, read_table

HOLDS, FAILS, UNDECIDED = "holds", "does not hold", "undecided"
COLUMNS = ("id", "statement", "paper", "ours", "low", "high", "verdict", "n", "run")
Difference = tuple[float, float, float]  # value, low, high


@dataclass(frozen=True)
class Result:
    """Outcome of a claim."""

    claim: Claim
    ours: float  # difference of this run
    low: float | None  # 95 % interval; None = the difference is exact (symbols per token)
    high: float | None
    verdict: str
    n: int | None  # scored items, the smallest number of its comparisons; None = exact


def write_claims(
    families: list[dict],
    scores: Path,
    metrics: Path,
    published: Path,
    samples: Paths,
    target: Path,
    draws: int = 1000,
    seed: int = 42,
    run: str = "",
    methods: Sequence[str] = PAPER_METHODS,
) -> None:
    """Judge all claims and write them as CSV.

    `samples` are the `samples.jsonl.gz` of all evaluations, those of one seed after those of another; `methods` are the
    LEP methods of the run.
    """
    table = read_scores(scores)
    shown = in_paper(parse_methods(methods))
    claims = list_claims(parse_families(families), table, read_published(published), shown)
    values = load_needed(as_paths(samples), {model for claim in claims for model in claim.models()})

    def compare(comparison: Comparison) -> Difference:
        pair = values[comparison.before], values[comparison.after]
        return paired_difference(*pair, comparison.name, draws=draws, seed=seed)

    known = read_metrics(metrics)
    results = [judge(claim, compare, table, known) for claim in claims]
    write_csv(target, COLUMNS, ([*_line(result), run] for result in results))


def read_claims(path: Path) -> list[dict]:
    """The rows of `claims.csv`."""
    rows = read_table(path, COLUMNS, "compute the claims")
    if unknown := {row["verdict"] for row in rows} - {HOLDS, FAILS, UNDECIDED}:
        raise UserError(f"{path} has the unknown verdicts {', '.join(sorted(unknown))}; compute the claims again")
    return rows


def load_needed(paths: Iterable[Path], models: set[str]) -> dict[str, Repeats]:
    """Item values of `models` by model, of each file that has them; `UserError` for a model that is in no file.

    A model is in several files if it was trained with several seeds, and the files come in the order of the seeds.
    """
    values: dict[str, Repeats] = {}
    for path in paths:
        for model, tasks in load_samples(path).items():
            if model in models:
                values[model] = [*values.get(model, ()), tasks]
    if missing := sorted(models - values.keys()):
        raise UserError(f"no samples of {', '.join(missing)}; give the samples.jsonl.gz of every evaluation")
    return values


def judge(claim: Claim, compare: Callable[[Comparison], Difference], scores: Scores, metrics: Metrics) -> Result:
    """Judge one claim: it fails if one of its comparisons fails, and is undecided if one is undecided."""
    if claim.kind == "exact":
        ours = _exact(claim, metrics)
        return Result(claim, ours, None, None, HOLDS if ours > 0 else FAILS, None)
    differences = [compare(comparison) for comparison in claim.comparisons]
    n = min(scores.need(c.after, c.name).n for c in claim.comparisons)
    if claim.kind == "gap":
        differences = [_difference_of(*differences)]
    verdicts = [verdict(difference, claim.relation, claim.margin) for difference in differences]
    overall = FAILS if FAILS in verdicts else UNDECIDED if UNDECIDED in verdicts else HOLDS
    deciding = [d for d, found in zip(differences, verdicts, strict=True) if found == overall]
    return Result(claim, *_hardest(deciding, claim.relation), overall, n)


def verdict(difference: Difference, relation: str, margin: float = 0.0) -> str:
    """Verdict on one difference from its 95 % interval; `relation` as in `Claim`.

    Undecided if the interval contains values that satisfy the relation and values that do not. An interval of 0 without
    width is a tie, which is not "above" or "below".
    """
    _, low, high = difference
    within = {
        "above": (low > 0, high <= 0),
        "below": (high < 0, low >= 0),
        "at least": (low >= 0, high < 0),
        "at most": (high <= 0, low > 0),
        "within": (-margin <= low and high <= margin, low > margin or high < -margin),
    }
    holds, fails = within[relation]
    return HOLDS if holds else FAILS if fails else UNDECIDED


def _hardest(differences: Sequence[Difference], relation: str) -> Difference:
    """The difference that is nearest to failing, of those that decide the claim; it is shown with the verdict."""
    keys: dict[str, Callable[[Difference], float]] = {
        "above": lambda d: d[0],
        "at least": lambda d: d[0],
        "below": lambda d: -d[0],
        "at most": lambda d: -d[0],
        "within": lambda d: -abs(d[0]),
    }
    return min(differences, key=keys[relation])


def _difference_of(first: Difference, second: Difference) -> Difference:
    """second - first. The interval assumes the worst case of both, so it is never too narrow."""
    return second[0] - first[0], second[1] - first[2], second[2] - first[1]


def _exact(claim: Claim, metrics: Metrics) -> float:
    before, after = (metrics.need("vocabulary", name, claim.comparisons[0].name) for name in claim.models(exact=True))
    return after - before


def _line(result: Result) -> list[str]:
    places = 3 if result.claim.kind != "exact" else 2
    paper = result.claim.paper
    numbers = ["" if paper is None else f"{paper + 0.0:.{places}f}"]
    numbers += ["" if x is None else f"{x:.6f}" for x in (result.ours, result.low, result.high)]
    return [
        result.claim.id,
        result.claim.statement,
        *numbers,
        result.verdict,
        "" if result.n is None else str(result.n),
    ]
