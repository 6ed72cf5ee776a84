"""Training rows of the stand-ins: what has a weight in the loss, repeats, pages, conversations."""

import numpy as np
import pytest
from fixtures.stand_ins import pool
from lep.stand_ins.kinds import KINDS
from lep.stand_ins.model_data import (
    QUESTION_WEIGHT,
    SHORT_WEIGHT,
    Row,
    conversations,
    join,
    kind_of,
    page,
    random_repeats,
)

WEIGHTS = (QUESTION_WEIGHT, 1.0, SHORT_WEIGHT)


def encode(text: str) -> list[int]:
    """Characters as tokens."""
    return [ord(character) for character in text]


def decode(ids: np.ndarray) -> str:
    return "".join(map(chr, ids))


@pytest.mark.parametrize("length", [20, 100, 257])
def test_random_repeats(length: int) -> None:
    """Each sequence stands at least twice in a row; only the first time of drawn tokens has no weight."""
    rng = np.random.default_rng(0)
    stream, starts = np.arange(1000), np.arange(0, 1000, 20)
    lines = 0
    for _ in range(50):
        ids, weights = random_repeats(length, stream, starts, rng)
        assert ids.shape == weights.shape == (length,)
        assert set(weights) <= {0.0, 1.0}
        sizes = range(8, min(max(20, length // 3), length // 2) + 1)
        assert any((ids[:size] == ids[size : 2 * size]).all() for size in sizes) or length < 40
        is_line = (np.diff(ids[:8]) == 1).all()
        assert (weights[:8] == is_line).all()
        lines += is_line
    assert 10 < lines < 40


def test_kinds_are_drawn_with_their_shares() -> None:
    rng = np.random.default_rng(0)
    drawn = [kind_of(rng) for _ in range(4000)]
    assert {kind: drawn.count(kind) / 4000 for kind in KINDS} == pytest.approx(KINDS, abs=0.03)


def test_a_page_weighs_answers_and_ends_each_with_an_empty_line() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        row = page(900, pool("ru"), encode, rng)
        assert row.ids.shape == row.weights.shape == (900,)
        assert set(row.weights) <= set(WEIGHTS)
        answers = [decode(row.ids[part]) for part in parts(row.weights > QUESTION_WEIGHT)]
        assert all(answer.endswith("\n\n") for answer in answers[:-1])
        assert all(decode(row.ids[part]).endswith("\n") for part in parts(row.weights == QUESTION_WEIGHT)[:-1])
        short = [answer for answer in answers[:-1] if len(answer) <= 8]
        weights = [row.weights[part][0] for part in parts(row.weights > QUESTION_WEIGHT)][:-1]
        assert [weight == SHORT_WEIGHT for weight in weights] == [answer in short for answer in answers[:-1]]


def test_only_answers_of_conversations_have_weight() -> None:
    row = conversations(900, pool("en"), ("<U>{}<A>", "{}<E>"), list(KINDS), encode, np.random.default_rng(1))
    answers = [decode(row.ids[part]) for part in parts(row.weights > 0)]
    prompts = [decode(row.ids[part]) for part in parts(row.weights == 0)]
    assert len(answers) > 2
    assert all(answer.endswith("<E>") and answer.count("<E>") == 1 for answer in answers[:-1])
    assert all(prompt.startswith("<U>") and prompt.endswith("<A>") for prompt in prompts[:-1])


def parts(mask: np.ndarray) -> list[slice]:
    """Runs of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(int), [0]])))
    return [slice(*pair) for pair in edges.reshape(-1, 2)]


def test_join_cuts_the_last_part() -> None:
    row = join([Row(np.arange(3), np.zeros(3)), Row(np.arange(3, 9), np.ones(6))], 5)
    assert row.ids.tolist() == [0, 1, 2, 3, 4]
    assert row.weights.tolist() == [0, 0, 0, 1, 1]
