"""Metrics of Darumeru against examples worked by hand and, where one exists, a library's definition."""

import csv
import itertools
import math
import random
from pathlib import Path

import numpy as np
import pytest
from darumeru import metrics, scoring
from darumeru.specs import GROUPS, SPECS
from fixtures.words import Words

PUBLISHED = Path(__file__).parents[3] / "data" / "published_scores.csv"
RIGHT, WRONG = {"gold": 1, "pred": 1}, {"gold": 1, "pred": 0}


def values(gold: list[int], pred: list[int]) -> list[dict]:
    return [{"item": str(i), "gold": g, "pred": p} for i, (g, p) in enumerate(zip(gold, pred, strict=True))]


@pytest.mark.parametrize("seed", range(6))
def test_mixed_metrics_equal_scikit_learn(seed: int) -> None:
    from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

    rng = random.Random(seed)
    used = range(rng.randint(1, 3))  # one class only is among the cases
    gold, pred = ([rng.choice(used) for _ in range(20)] for _ in range(2))
    found = metrics.aggregate("rcb", values(gold, pred))
    assert found["accuracy"] == pytest.approx(accuracy_score(gold, pred))
    assert found["macro_f1"] == pytest.approx(f1_score(gold, pred, average="macro"))
    assert found["score"] == pytest.approx((found["accuracy"] + found["macro_f1"]) / 2)
    gold, pred = ([min(x, 1) for x in xs] for xs in (gold, pred))
    found = metrics.aggregate("rucola", values(gold, pred))
    assert found["mcc"] == pytest.approx(matthews_corrcoef(gold, pred))
    assert found["score"] == pytest.approx((found["accuracy"] + found["mcc"]) / 2)


def test_pairs_need_both_orders() -> None:
    rows = values([0, 1, 0, 1, 0], [0, 1, 0, 0, 0])
    for row, pair in zip(rows, "aabbc", strict=True):
        row["pair"] = pair
    found = metrics.aggregate("parus", rows)
    assert found["score"] == pytest.approx(1 / 3)  # the pair c lacks its second order
    assert metrics.count("parus", rows) == 3
    guesses = [
        metrics.aggregate("parus", [{**r, "pred": p} for r, p in zip(rows[:2], pattern, strict=True)])["score"]
        for pattern in itertools.product((0, 1), repeat=2)
    ]
    assert sum(guesses) / 4 == metrics.chance("parus", rows[:2])


def test_exam_is_a_share_of_34_points() -> None:
    said = [(1, 17, 17), (2, 30, 29), (2, 4, 4)]
    rows = [
        {"item": str(number), "variant": variant, "points": points, "points_by_count": by_count}
        for number, (variant, points, by_count) in enumerate(said)
    ]
    found = metrics.aggregate("use", rows)
    assert found["score"] == pytest.approx((0.5 + 1.0) / 2)
    assert found["score_by_count"] == pytest.approx((17 / 34 + 33 / 34) / 2)


def test_categories_are_means_of_subject_means() -> None:
    rows = values([0] * 6, [0, 1, 0, 0, 0, 1])
    for row, (subject, category) in zip(rows, [*[("a", "x")] * 2, ("b", "x"), *[("c", "y")] * 3], strict=True):
        row |= {"subject": subject, "category": category}
    found = metrics.aggregate("nlpcore_rummlu", rows)
    assert found["score"] == pytest.approx(((1 / 2 + 1) / 2 + 2 / 3) / 2)
    assert found["accuracy"] == pytest.approx(4 / 6)
    draws = metrics.bootstrap("nlpcore_rummlu", rows, 200, 1)["score"]
    assert set(np.round(draws, 6)) <= {  # the only question of subject b is always drawn
        round(((k / 2 + 1) / 2 + m / 3) / 2, 6) for k in range(3) for m in range(4)
    }


def test_means() -> None:
    rows = [{"item": "1", "f1": 1.0, "exact_match": 0.0}, {"item": "2", "f1": 0.5, "exact_match": 0.0}]
    assert metrics.aggregate("multiq", rows) == {"score": 0.375, "f1": 0.75, "exact_match": 0.0}


@pytest.mark.parametrize(
    ("task", "value", "score"),
    [
        ("rcb", RIGHT, 1.0),
        ("rucola", WRONG, 0.0),
        ("parus", WRONG | {"pair": "3"}, 0.0),
        ("nlpcore_enmmlu", RIGHT | {"subject": "s", "category": "c"}, 1.0),
        ("use", {"variant": 1, "points": 0}, 0.0),
        ("use", {"variant": 1, "points": 3}, 1.0),
        ("multiq", {"f1": 0.5, "exact_match": 0.0}, 0.25),
        ("treeway_abstractive", {"rouge1": 0.4, "rouge2": 0.2, "rouge1_recall": 1.0, "rouge2_recall": 1.0}, 0.3),
        ("treeway_extractive", {"r_precision": 0.5, "chance": 0.1, "picked": [1]}, 0.5),
        ("cp_sent_ru", {"length_ratio": 0.9, "copied": 0.0}, 0.9),
        ("cp_para_ru", {"length_ratio": 0.9, "copied": 1.0}, 1.0),
    ],
)
def test_score_of_an_item(task: str, value: dict, score: float) -> None:
    assert metrics.item_score(task, value) == pytest.approx(score)


def test_chance() -> None:
    rows = values([0, 0, 1, 2], [3, 3, 3, 3])
    assert metrics.chance("rummlu", rows) == 1 / 4
    assert metrics.chance("rwsd", rows) == 1 / 2
    # Always the first class: accuracy 1/2, F1 of the three classes that occur 2/3, 0 and 0.
    assert metrics.chance("rcb", rows) == pytest.approx((1 / 2 + 2 / 9) / 2)
    assert metrics.chance("rucola", values([1, 1, 1, 0], [0] * 4)) == pytest.approx((3 / 4 + 0) / 2)
    ranked = [{"item": "1", "r_precision": 1.0, "chance": 0.5}, {"item": "2", "r_precision": 0.0, "chance": 0.1}]
    assert metrics.chance("treeway_extractive", ranked) == pytest.approx(0.3)
    assert metrics.chance("multiq", []) == 0.0


def test_bootstrap_matches_the_binomial() -> None:
    rows = values([0] * 400, [0] * 100 + [1] * 300)
    draws = metrics.bootstrap("rummlu", rows, 2000, 7)["score"]
    assert draws.mean() == pytest.approx(0.25, abs=0.004)
    assert draws.std() == pytest.approx(math.sqrt(0.25 * 0.75 / 400), rel=0.1)
    low, high = metrics.interval(draws)
    assert low == pytest.approx(0.25 - 1.96 * 0.02165, abs=0.006)
    assert high == pytest.approx(0.25 + 1.96 * 0.02165, abs=0.006)


def test_bootstrap_of_one_outcome_has_no_width() -> None:
    for gold, score in ((0, 1.0), (1, 0.0)):
        draws = metrics.bootstrap("rummlu", values([gold] * 5, [0] * 5), 50, 1)["score"]
        assert set(draws) == {score}


def test_bootstrap_keeps_clusters_whole() -> None:
    points = [34 * (i % 2) / 10 for i in range(20)]
    rows = [{"item": str(i), "variant": i % 2, "points": p, "points_by_count": p} for i, p in enumerate(points)]
    assert set(np.round(metrics.bootstrap("use", rows, 100, 1)["score"], 6)) == {0.0, 0.5, 1.0}


def test_draws_are_shared_by_models_and_by_tasks_on_one_data_set() -> None:
    rows = values([0] * 30, [0] * 10 + [1] * 20)
    for row in rows:
        row |= {"subject": "a", "category": "x"}
    opposite = [{**row, "pred": 1 - row["pred"]} for row in rows]
    one, other = (metrics.bootstrap("nlpcore_rummlu", r, 300, 3)["score"] for r in (rows, opposite))
    np.testing.assert_allclose(one + other, 1)
    np.testing.assert_array_equal(one, metrics.bootstrap("nlpcore_enmmlu", rows, 300, 3)["score"])
    assert not np.array_equal(one, metrics.bootstrap("rummlu", rows, 300, 3)["score"])
    assert not np.array_equal(one, metrics.bootstrap("nlpcore_rummlu", rows, 300, 4)["score"])


def test_seventeen_tasks_in_five_groups() -> None:
    assert len(SPECS) == 17
    assert {group: len(tasks) for group, tasks in GROUPS.items()} == {
        "daru_mmlu": 3, "daru_mera": 8, "daru_sum": 2, "daru_copy_en": 2, "daru_copy_ru": 2,
    }  # fmt: skip
    assert metrics.tasks_of("micro_avg") == tuple(SPECS)
    assert metrics.tasks_of("rcb") == ("rcb",)
    with pytest.raises(KeyError):
        metrics.tasks_of("rcv")


@pytest.mark.skipif(not PUBLISHED.is_file(), reason="data/published_scores.csv is not here yet")
def test_micro_average_of_all_published_rows() -> None:
    """(3 MMLU + 8 MERA + 2 Sum + 2 Copy-EN + 2 Copy-RU) / 17, as printed, to the third digit."""
    rows = list(csv.DictReader(PUBLISHED.open(encoding="utf-8")))
    assert len(rows) == 58
    for row in rows:
        micro = sum(len(tasks) * float(row[group]) for group, tasks in GROUPS.items()) / len(SPECS)
        assert micro == pytest.approx(float(row["micro_avg"]), abs=0.001), row


def test_names_of_metrics() -> None:
    fields = {"gold": 0, "pred": 0, "pair": "1", "variant": 1, "points": 1, "subject": "a", "category": "x"}
    fields |= {"f1": 0, "exact_match": 0, "r_precision": 0, "points_by_count": 1}
    fields |= scoring.rouge("кот", "кот") | scoring.copy_scores("кот", "кот", Words(), 9)
    for task, spec in SPECS.items():
        assert tuple(metrics.aggregate(task, [fields | {"item": "1"}])) == metrics.METRICS[spec.measure]
