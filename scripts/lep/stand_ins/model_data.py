"""Training rows of the stand-ins: text, repeats and pages of questions for the base, conversations for the instruct.

Everything comes from the training split. The base model sees no chat format. Each token has a weight in the loss: a
short answer counts more than the words of its question, which cannot be guessed.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from lep.corpus.documents import text_of
from lep.stand_ins.kinds import mixture
from lep.stand_ins.questions import question
from lep.stand_ins.text_pool import TextPool, pick

LONGEST_LINE = 64  # tokens of a repeated line at most
SHORT_ANSWER = 8  # tokens; shorter answers are letters and words
SHORT_WEIGHT = 3.0  # of a token of a short answer; other answers and text have 1
QUESTION_WEIGHT = 0.1  # of a token of a question on a page of the base model
ONE_KIND = 0.8  # share of the pages with questions of one kind, as in exercises


class Row(NamedTuple):
    """One training sequence, or a part of it: token ids and their weights in the loss, both (length,)."""

    ids: np.ndarray
    weights: np.ndarray


Encode = Callable[[str], list[int]]


def join(parts: Sequence[Row], length: int) -> Row:
    """The first `length` tokens of the parts in a row."""
    return Row(*(np.concatenate([part[side] for part in parts])[:length] for side in (0, 1)))


def random_repeats(length: int, stream: np.ndarray, starts: np.ndarray, rng: np.random.Generator) -> Row:
    """Random sequences, each repeated two or three times in a row: they teach induction, copying from the context.

    - Half of the sequences are lines of the token `stream` (`starts` are the positions of lines), half are single
      tokens drawn from the stream, so with its frequencies.
    - Drawn tokens cannot be predicted, so their first occurrence has weight 0.
    - Measured: with these sequences copying is learnt within 600 steps; with tokens drawn uniformly from the
      vocabulary nothing was learnt by then.
    """
    parts: list[Row] = []
    while sum(len(part.ids) for part in parts) < length:
        drawn = rng.random() < 0.5
        if drawn:
            sequence = stream[rng.integers(len(stream), size=rng.integers(8, max(9, length // 3)))]
        else:
            index = int(rng.integers(len(starts) - 1))
            sequence = stream[starts[index] : starts[index + 1]][:LONGEST_LINE]
        ones = np.ones(len(sequence))
        parts += [Row(sequence, 0 * ones if drawn else ones), *[Row(sequence, ones)] * int(rng.integers(1, 3))]
    return join(parts, length)


def page(length: int, pool: TextPool, encode: Encode, rng: np.random.Generator) -> Row:
    """Questions and answers as on a page of exercises: mostly of one kind, an empty line after each answer."""
    kind = kind_of(rng) if rng.random() < ONE_KIND else None
    parts: list[Row] = []
    while sum(len(part.ids) for part in parts) < length:
        asked, answer = question(pool, kind or kind_of(rng), rng)
        parts.append(_answered(encode(f"{asked}\n"), encode(f"{asked}\n{answer}\n\n"), QUESTION_WEIGHT))
    return join(parts, length)


def conversations(
    length: int,
    pool: TextPool,
    turns: tuple[str, str],
    kinds: Sequence[str],
    encode: Encode,
    rng: np.random.Generator,
) -> Row:
    """Packed conversations of one question; `turns` are the texts of both turns with `{}`. Only answers have weight.

    `kinds` are those that questions are drawn from, as often as they stand there (`lep.stand_ins.kinds.mixture`).
    """
    parts: list[Row] = []
    while sum(len(part.ids) for part in parts) < length:
        asked, answer = question(pool, pick(kinds, rng), rng)
        prompt = turns[0].format(asked)
        parts.append(_answered(encode(prompt), encode(prompt + turns[1].format(answer)), 0.0))
    return join(parts, length)


def raw_text(documents: list[dict]) -> list[str]:
    """Documents as plain text."""
    return [text_of(document) for document in documents]


def kind_of(rng: np.random.Generator) -> str:
    """A kind of question, drawn with the shares of `KINDS`."""
    return pick(_DRAWS, rng)


_DRAWS = mixture({})


def _answered(prompt: list[int], whole: list[int], question_weight: float) -> Row:
    """The row of a question with its answer; the prompt is encoded alone as well, to know where the answer begins."""
    answer = len(whole) - len(prompt)
    weight = SHORT_WEIGHT if answer <= SHORT_ANSWER else 1.0
    return Row(np.array(whole), np.array([question_weight] * len(prompt) + [weight] * answer))
