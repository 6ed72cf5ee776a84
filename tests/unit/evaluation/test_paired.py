"""The paired difference of two models: by hand, of groups, refused comparisons."""

from pathlib import Path

import pytest
from fixtures.evaluation import table
from lep.config import UserError
from lep.evaluation.harness import EvaluateJob
from lep.evaluation.paired import paired_difference
from lep.evaluation.samples import load_samples


def task_values(*right: int) -> list[dict]:
    return [{"item": str(i), "gold": 1, "pred": r} for i, r in enumerate(right)]


def test_paired_difference_by_hand() -> None:
    a, b = [{"rwsd": task_values(*[0] * 100)}], [{"rwsd": task_values(*[1] * 30, *[0] * 70)}]
    difference, low, high = paired_difference(a, b, "rwsd", 2000, 1)
    assert difference == pytest.approx(0.3)
    assert low == pytest.approx(0.3 - 1.96 * 0.0458, abs=0.015)
    assert high == pytest.approx(0.3 + 1.96 * 0.0458, abs=0.015)
    assert paired_difference(b, a, "rwsd", 2000, 1) == pytest.approx((-difference, -high, -low))


def test_pairing_takes_the_items_out_of_the_difference() -> None:
    """Two models that fail on the same items differ by nothing, however hard the items are."""
    rows = [{"rwsd": task_values(*[0, 1] * 20)}]
    assert paired_difference(rows, rows, "rwsd", 200, 1) == (0.0, 0.0, 0.0)


def test_group_difference_is_the_mean_of_its_tasks(finished: EvaluateJob) -> None:
    a, b = load_samples(Path(finished.output) / "samples.jsonl.gz").values()
    scores = {row["model"]: {} for row in table(finished)}
    for row in table(finished):
        if row["metric"] == "score":
            scores[row["model"]][row["name"]] = float(row["value"])
    first, second = scores.values()
    for name in ("micro_avg", "daru_mera", "cp_sent_en"):
        difference, low, high = paired_difference([a], [b], name, 200, 42)
        assert difference == pytest.approx(second[name] - first[name], abs=3e-6)
        assert low <= difference <= high


def test_refused_comparisons() -> None:
    a = [{"rwsd": task_values(1, 0)}]
    with pytest.raises(UserError, match="unknown metric 'rwds'; use one of micro_avg, daru_mmlu"):
        paired_difference(a, a, "rwds")
    with pytest.raises(UserError, match="different items"):
        paired_difference(a, [{"rwsd": task_values(1, 0, 1)}], "rwsd")
    with pytest.raises(UserError, match="missing for one of the models"):
        paired_difference(a, [{}], "rwsd")
    with pytest.raises(UserError, match="the models have 2 and 3 seeds"):
        paired_difference(a * 2, a * 3, "rwsd")
