"""Shared by all miniature tasks: character budgets, choice of items that fit, balanced answers, records."""

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from lep.config import UserError
from lep.stand_ins.choices import LETTERS

PROMPTS = 10  # rows of the prompt split, as in Darumeru
LEAD_CHARACTERS = len("\nОтвет: ") + 4  # 4 = newlines between turns
# Characters of English text that fit into the context for one of Russian: 2.5 / 1.4 characters per token with the
# coarsest tokenizers, rounded down.
ENGLISH_RATIO = 1.7
_SHOT_SHARE = 0.155  # of the budget for one shot: five take 77.5 %, the test item the rest


@dataclass(frozen=True)
class Plan:
    """Size of a task: number and length of its items. Lengths are in characters of the filled prompt."""

    task: str
    items: int  # number of test items
    characters: int  # longest prompt: five of the longest shots and the longest test item stay below

    @property
    def shot(self) -> int:
        """Longest prompt row."""
        return int(self.characters * _SHOT_SHARE)

    @property
    def test(self) -> int:
        """Longest test item."""
        return self.characters - 5 * self.shot


def generator(seed: int, task: str) -> random.Random:
    """Random numbers of one task, independent of the items of other tasks."""
    return random.Random(f"{seed}/{task}")


def too_few(task: str, found: int, needed: int, what: str = "items that fit") -> UserError:
    """The error for a corpus that is too small for a task."""
    return UserError(
        f"benchmark task {task}: the corpus gives {found} {what}, but {needed} are needed; "
        f"add text to the corpus, raise its benchmark fraction, or lower the number of items of {task}"
    )


def choose(
    plan: Plan,
    candidates: Iterable,
    size: Callable[[Any], int],
    prompts: int = PROMPTS,
    what: str = "items that fit",
) -> tuple[list, list]:
    """(prompt rows, test items): the first candidates that fit. Short ones fill the prompt rows first.

    Raises `UserError` if there are too few candidates.
    """
    shots: list = []
    tests: list = []
    for candidate in candidates:
        length = size(candidate)
        if len(shots) < prompts and length <= plan.shot:
            shots.append(candidate)
        elif len(tests) < plan.items and length <= plan.test:
            tests.append(candidate)
        if len(shots) == prompts and len(tests) == plan.items:
            return shots, tests
    raise too_few(plan.task, len(shots) + len(tests), prompts + plan.items, what)


def filled(record: dict) -> int:
    """Characters of a record's filled prompt with its answer."""
    answer = record["outputs"] if isinstance(record["outputs"], str) else max(record["outputs"], key=len)
    return len(record["instruction"].format(**record["inputs"])) + LEAD_CHARACTERS + len(answer)


def balanced(values: Sequence, count: int, rng: random.Random) -> list:
    """`count` values in random order; all occur equally often, up to a difference of one."""
    result = [values[index % len(values)] for index in range(count)]
    rng.shuffle(result)
    return result


def shuffled(values: Iterable, rng: random.Random) -> list:
    """A shuffled copy."""
    result = list(values)
    rng.shuffle(result)
    return result


def interleaved(*streams: Iterable) -> Iterator:
    """One candidate of each stream in turn, until all streams have ended."""
    active = [iter(stream) for stream in streams]
    while active:
        for stream in list(active):
            try:
                yield next(stream)
            except StopIteration:
                active.remove(stream)


@dataclass(frozen=True)
class Question:
    """A multiple-choice question."""

    text: str
    options: tuple[str, ...]  # four, the right one first
    domain: str  # part of the corpus that it is about
    evidence: str  # training text that answers it


def question_records(
    questions: list[Question], key: str, templates: Sequence[str], rng: random.Random, first: int
) -> list[dict]:
    """Records of questions: the text is the input `key`, ids begin with `first`, letters are right equally often."""
    records = []
    for index, (question, place) in enumerate(zip(questions, balanced(range(4), len(questions), rng), strict=True)):
        options = placed(question.options, place, rng)
        inputs = {key: question.text}
        inputs |= {f"option_{letter.lower()}": option for letter, option in zip(LETTERS, options, strict=True)}
        meta: dict = {"id": first + index}
        if key == "text":
            inputs["subject"] = question.domain
            meta["domain"] = question.domain
        record = {"instruction": rng.choice(templates), "inputs": inputs, "outputs": LETTERS[place], "meta": meta}
        records.append(record)
    return records


def placed(options: Sequence, place: int, rng: random.Random) -> list:
    """Shuffled options with the first one, which is right, at index `place`."""
    others = shuffled(options[1:], rng)
    return [*others[:place], options[0], *others[place:]]


def numbered(shots: list[dict], tests: list[dict]) -> dict[str, list[dict]]:
    """Both splits, with ids that count from the first prompt row to the last test item."""
    for index, record in enumerate(shots + tests):
        record["meta"] = {"id": index} | record.get("meta", {})
    return {"prompt": shots, "test": tests}
