"""Time limits of jobs: the estimate with headroom, between a least and a most."""

from fixtures.checkout import ROOT
from fixtures.configuration import configuration
from lep.planning.cost import CostModel
from lep.planning.limits import TimeLimits

PART = {"family": "llama", "vocabulary": "extended", "stage": "pretraining", "key": "k", "group": "daru_mmlu"}


def minutes(attempt: int = 1, **plan: object) -> int:
    config = configuration("paper", plan=plan)
    return TimeLimits(config, ROOT).of("evaluate_part")(PART, attempt)


def test_the_limit_is_the_estimate_with_headroom() -> None:
    estimate = CostModel(configuration("paper"), ROOT).cost("evaluate_part", PART).seconds / 60
    assert 0 <= minutes(headroom=10, least_minutes=1) - 10 * estimate < 1
    assert minutes(headroom=1, least_minutes=90) == 90
    assert minutes(3, headroom=1, least_minutes=90) == 270
    assert minutes(headroom=10_000) == configuration("paper")["compute"]["runtime_minutes"]


def test_without_a_shape_the_limit_is_that_of_the_configuration() -> None:
    config = configuration("paper")
    config["plan"]["models"] = {}
    assert TimeLimits(config, ROOT).minutes("evaluate_part", PART) == config["compute"]["runtime_minutes"]
