"""Choosing items: balanced answers, limits of length."""

import random
from collections import Counter

from lep.stand_ins.benchmark.items import Plan, balanced, choose


def test_balanced():
    values = balanced("ABC", 10, random.Random(0))
    assert sorted(Counter(values).values()) == [3, 3, 4]


def test_choose_respects_both_limits():
    plan = Plan("t", 3, 1000)
    shots, tests = choose(plan, [plan.test + 1, plan.test, 10, plan.test, 11, 12], lambda size: size, prompts=2)
    assert shots == [10, 11]
    assert tests == [plan.test, plan.test, 12]
    assert 5 * plan.shot + plan.test <= 1000
