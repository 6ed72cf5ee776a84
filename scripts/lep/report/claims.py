"""The paper's qualitative claims, each computed as *holds*, *does not hold* or *undecided* from paired intervals.

A claim is a difference of scores with what must be true of it. It never passes or fails a run.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lep.config import UserError
from lep.evaluation.paired import paired_difference
from lep.evaluation.samples import TaskValues, load_samples
from lep.files import write_csv
from lep.names import METHODS, parse_families, parse_methods
from lep.report.claim_list import Claim, Comparison, list_claims
from lep.report.published import read_published
from lep.report.scores import Metrics, Paths, Scores, as_paths, read_metrics, read_scores

HOLDS, FAILS, UNDECIDED = "holds", "does not hold", "undecided"
COLUMNS = ("id", "statement", "paper", "ours", "low", "high", "verdict", "n", "run")
Difference = tuple[float, float, float]  # value, low, high


@dataclass(frozen=True)
class Result:
    """A claim's outcome. `low` and `high` are None where the difference is exact (symbols per token)."""

    claim: Claim
    ours: float
    low: float | None
    high: float | None
    verdict: str
    n: int | None


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
    methods: Sequence[str] = tuple(METHODS),
) -> None:
    """Compute all claims and write them as CSV.

    `samples` are the evaluations' `samples.jsonl.gz`, `methods` the LEP methods that were run.
    """
    table = read_scores(scores)
    claims = list_claims(parse_families(families), table, read_published(published), parse_methods(methods))
    values = load_needed(as_paths(samples), {model for claim in claims for model in claim.models()})

    def compare(comparison: Comparison) -> Difference:
        pair = values[comparison.before], values[comparison.after]
        return paired_difference(*pair, comparison.name, draws=draws, seed=seed)

    known = read_metrics(metrics)
    results = [judge(claim, compare, table, known) for claim in claims]
    write_csv(target, COLUMNS, ([*_line(result), run] for result in results))


def load_needed(paths: Iterable[Path], models: set[str]) -> dict[str, TaskValues]:
    """Item values of the named models; `UserError` for one that no file has."""
    values: dict[str, TaskValues] = {}
    for path in paths:
        values |= {model: tasks for model, tasks in load_samples(path).items() if model in models}
    if missing := sorted(models - values.keys()):
        raise UserError(f"no samples of {', '.join(missing)}; give the samples.jsonl.gz of every evaluation")
    return values


def judge(claim: Claim, compare: Callable[[Comparison], Difference], scores: Scores, metrics: Metrics) -> Result:
    """The verdict of one claim."""
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
    """Whether a 95 % interval settles `relation`: above, below, at least, at most (0) or within (±margin).

    Undecided as long as the interval holds values for and against. A difference of 0 without width is a tie.
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
    """Of the comparisons that decide a claim, the one nearest to failing: its interval shows the verdict."""
    keys: dict[str, Callable[[Difference], float]] = {
        "above": lambda d: d[0],
        "at least": lambda d: d[0],
        "below": lambda d: -d[0],
        "at most": lambda d: -d[0],
        "within": lambda d: -abs(d[0]),
    }
    return min(differences, key=keys[relation])


def _difference_of(first: Difference, second: Difference) -> Difference:
    """second - first; the interval takes both at their worst, so it is never too narrow."""
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
