"""What all miniatures share: budgets of characters, the choice of items that fit, balanced answers, records."""

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from lep.config import UserError
from lep.stand_ins.choices import LETTERS

PROMPTS = 10  # rows of the prompt split, as in Darumeru
LEAD = len("\nОтвет: ") + 4  # the lead-in, the separators of turns
# How many more English characters than Russian ones fit into one context: 2.5 to 1.4 characters per token
# with the coarsest tokenizers, rounded down.
ENGLISH_RATIO = 1.7
_SHOT_SHARE = 0.155  # five shots take 77.5 % of the budget, the test item the rest


@dataclass(frozen=True)
class Plan:
    """How many test items a task gets and how long its items may be, in characters of the filled prompt.

    Five of the longest shots and the longest test item stay under `characters`.
    """

    task: str
    items: int
    characters: int

    @property
    def shot(self) -> int:
        """Longest prompt row."""
        return int(self.characters * _SHOT_SHARE)

    @property
    def test(self) -> int:
        """Longest test item."""
        return self.characters - 5 * self.shot


def generator(seed: int, task: str) -> random.Random:
    """The random numbers of one task; other tasks' items do not move them."""
    return random.Random(f"{seed}/{task}")


def too_few(task: str, found: int, needed: int, what: str = "items that fit") -> UserError:
    """The error of a corpus too small for a task."""
    return UserError(
        f"benchmark task {task}: the corpus gives {found} {what}, {needed} are needed; "
        f"add text to the corpus, raise its benchmark fraction, or lower the number of items of {task}"
    )


def choose(
    plan: Plan,
    candidates: Iterable,
    size: Callable[[Any], int],
    prompts: int = PROMPTS,
    what: str = "items that fit",
) -> tuple[list, list]:
    """The first candidates that fit: short ones fill the prompt rows, the others the test.

    Candidates are taken in their order until both are full; `UserError` if they end before.
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
    """Length of a record's filled prompt with its answer."""
    answer = record["outputs"] if isinstance(record["outputs"], str) else max(record["outputs"], key=len)
    return len(record["instruction"].format(**record["inputs"])) + LEAD + len(answer)


def balanced(values: Sequence, count: int, rng: random.Random) -> list:
    """`count` values, each as often as the others (one apart at most), in random order."""
    result = [values[index % len(values)] for index in range(count)]
    rng.shuffle(result)
    return result


def shuffled(values: Iterable, rng: random.Random) -> list:
    """A shuffled copy."""
    result = list(values)
    rng.shuffle(result)
    return result


def interleaved(*streams: Iterable) -> Iterator:
    """One candidate of each stream in turn; a stream that ends is left out."""
    active = [iter(stream) for stream in streams]
    while active:
        for stream in list(active):
            try:
                yield next(stream)
            except StopIteration:
                active.remove(stream)


@dataclass(frozen=True)
class Question:
    """A question with four options, the right one first. `evidence` is the training text that answers it."""

    text: str
    options: tuple[str, ...]
    domain: str
    evidence: str


def question_records(
    questions: list[Question], key: str, templates: Sequence[str], rng: random.Random, first: int
) -> list[dict]:
    """Records of questions under the input name `key`, the right options spread evenly over the letters."""
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
    """The options with the first one moved to `place` and the others shuffled."""
    others = shuffled(options[1:], rng)
    return [*others[:place], options[0], *others[place:]]


def numbered(shots: list[dict], tests: list[dict]) -> dict[str, list[dict]]:
    """Both splits, with ids that count through them."""
    for index, record in enumerate(shots + tests):
        record["meta"] = {"id": index} | record.get("meta", {})
    return {"prompt": shots, "test": tests}
