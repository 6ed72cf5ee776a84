"""The bootstrap over seeds and items: known variances, one seed, pairing."""

import numpy as np
import pytest
from darumeru import metrics
from lep.evaluation.paired import paired_difference
from lep.evaluation.seeds import over_seeds, resample, task_score

ITEMS = 200


def answers(right: np.ndarray) -> dict:
    """Item values of one seed on a task of two options."""
    return {"rwsd": [{"item": str(n), "gold": 1, "pred": int(hit)} for n, hit in enumerate(right)]}


def test_one_seed_has_the_draws_of_its_items() -> None:
    repeats = [answers(np.arange(ITEMS) % 3 == 0)]
    expected = metrics.bootstrap("rwsd", repeats[0]["rwsd"], 300, 42)
    found = resample(repeats, "rwsd", 300, 42)
    assert found.keys() == expected.keys()
    for name, draws in expected.items():
        assert (found[name] == draws).all()


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_the_variance_of_seeds_is_neither_too_small_nor_too_large(seeds: int) -> None:
    """On average over many experiments it is that of a mean of so many seeds, s^2 / S, also for two of them."""
    rng = np.random.default_rng(0)
    spread = 0.1
    found = []
    for trial in range(400):
        of_seeds = rng.normal(0.5, spread, seeds)
        found.append(over_seeds(np.repeat(of_seeds[:, None], 400, axis=1), trial).var())
    assert np.mean(found) == pytest.approx(spread**2 / seeds, rel=0.12)


def test_the_variance_of_items_is_not_divided_by_the_seeds() -> None:
    """Seeds that answer alike on the same items know no more than one of them."""
    repeats = [answers(np.arange(ITEMS) % 4 < 3)] * 3
    variance = resample(repeats, "rwsd", 2000, 42)["score"].var()
    assert variance == pytest.approx(0.75 * 0.25 / ITEMS, rel=0.1)


def test_seeds_and_items_both_count() -> None:
    rng = np.random.default_rng(5)
    spread, seeds, found = 0.08, 3, []
    for trial in range(60):
        rates = np.clip(rng.normal(0.6, spread, seeds), 0, 1)
        hard = rng.random(ITEMS)  # the same for all seeds
        repeats = [answers(hard < rate) for rate in rates]
        found.append(resample(repeats, "rwsd", 300, trial)["score"].var())
    assert np.mean(found) == pytest.approx(spread**2 / seeds + 0.6 * 0.4 / ITEMS, rel=0.25)


def test_a_difference_is_paired_by_seed() -> None:
    """A training that ends well for one seed does so before and after the step that is judged."""
    rates = (40, 90, 140)
    before = [answers(np.arange(ITEMS) < rate) for rate in rates]
    after = [answers(np.arange(ITEMS) < rate + 20) for rate in rates]
    difference, low, high = paired_difference(before, after, "rwsd", 500, 42)
    assert difference == pytest.approx(0.1)
    assert 0.04 < low < high < 0.16  # of the items alone; the seeds differ by .5
    _, low, high = paired_difference(before[:1], after, "rwsd", 500, 42)
    assert high - low > 0.3  # a source model has no seed


def test_scores_are_means_over_seeds() -> None:
    assert task_score([answers(np.arange(ITEMS) < rate) for rate in (40, 60)], "rwsd") == pytest.approx(0.25)
