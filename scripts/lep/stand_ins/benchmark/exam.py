"""Miniature of the unified state exam (USE): variants of 26 tasks worth 34 points, from held-out text.

Types of answers, as in the exam: one word (`text`), numbers of the right options (`choice`), numbers matched to
letters (`matching`). Points:

- task 8, matching, 5 points: equal words
- task 16, choice, 2 points: the two lines that have a word
- task 26, matching, 4 points: equal pairs of words
- the 23 other tasks: 1 point each
"""

import random
from collections import defaultdict
from collections.abc import Callable

from lep.stand_ins.benchmark.items import PROMPTS, Plan, filled, shuffled, too_few
from lep.stand_ins.benchmark.texts import Texts, capitalised, clauses, words

TASKS = 26
POINTS = {8: 5, 16: 2, 26: 4}  # by task; 1 for the others
TEMPLATES = {"text": "{task}: {text}", "choice": "{task}: {choices}", "matching": "{task}. {text} | {choices}"}
_CYRILLIC = "АБВГД"


class _Pool:
    """Held-out clauses in random order, and those that have a word."""

    def __init__(self, texts: Texts, rng: random.Random):
        self.rng = rng
        self.used: set[str] = set()  # inputs of the tasks so far
        passages = texts.russian("bible")
        found = dict.fromkeys(c for p in passages for c in clauses(p.text) if 3 <= len(words(c)) <= 7 and len(c) <= 50)
        self.clauses = shuffled((clause for clause in found if clause.islower() and texts.unseen(clause)), rng)
        self.holding: dict[str, list[str]] = defaultdict(list)
        for clause in self.clauses:
            for word in clause.split():
                if len(word) > 3:
                    self.holding[word].append(clause)
        self.words = sorted(self.holding)
        self.repeated = sorted(word for word, rows in self.holding.items() if len(rows) > 1)


Made = tuple[str, dict, str] | None  # (type, inputs, answer); None if the drawn text is unfit


def use(texts: Texts, plan: Plan, rng: random.Random) -> dict[str, list[dict]]:
    """Splits of the exam: the test has `plan.items` / 26 whole variants (rounded, at least one).

    The prompt rows are short tasks of one more variant, always with tasks 8, 16 and 26.
    """
    pool = _Pool(texts, rng)
    variants = max(1, round(plan.items / TASKS))
    places = [(variant, number) for variant in range(1, variants + 1) for number in range(1, TASKS + 1)]
    tests = [_task(pool, plan, number, variant, plan.test) for variant, number in places]
    numbers = sorted([8, 16, 26, *rng.sample([n for n in range(1, TASKS) if n not in POINTS], PROMPTS - len(POINTS))])
    shots = [_task(pool, plan, number, 0, plan.shot) for number in numbers]
    for index, record in enumerate(shots + tests):
        record["meta"] = {"id": index} | record["meta"]
    return {"prompt": shots, "test": tests}


def _task(pool: _Pool, plan: Plan, number: int, variant: int, limit: int) -> dict:
    """One task with at most `limit` characters; its number decides its maker. `UserError` after 400 failed tries."""
    maker = _SPECIAL.get(number) or _MAKERS[number % len(_MAKERS)]
    for _ in range(400):
        made = maker(pool)
        if made is None:
            continue
        kind, inputs, answer = made
        record = {"instruction": TEMPLATES[kind], "inputs": inputs, "outputs": answer}
        if filled(record) <= limit and str(inputs) not in pool.used:
            pool.used.add(str(inputs))
            points = POINTS.get(number, 1)
            record["meta"] = {"id_task": str(number), "variant": variant, "type": kind, "score": points}
            return record
    raise too_few(f"{plan.task} (task {number})", 0, 1, "sentences that fit")


def _inputs(task: str, text: str = "", choices: str = "") -> dict:
    return {"task": task, "text": text, "choices": choices, "additional_text": ""}


def _numbered(options: list[str]) -> str:
    return " ".join(f"{number}) {option}" for number, option in enumerate(options, start=1))


def _word(task: str, place: int) -> Callable[[_Pool], Made]:
    """Maker of a `text` task: the first or last word of a sentence."""

    def make(pool: _Pool) -> Made:
        clause = pool.rng.choice(pool.clauses) if pool.clauses else "-"
        answer = clause.split()[place]
        return (
            ("text", _inputs(task, f"{capitalised(clause)}."), answer) if len(answer) > 2 and answer.isalpha() else None
        )

    return make


def _after(pool: _Pool) -> Made:
    """Text: the word after a word of a sentence."""
    row = pool.rng.choice(pool.clauses).split() if pool.clauses else []
    places = [
        i for i, word in enumerate(row[1:-1], start=1) if row.count(word) == 1 and min(map(len, row[i : i + 2])) > 2
    ]
    if not places or not all(word.isalpha() for word in row):
        return None
    place = pool.rng.choice(places)
    task = f"Выпиши слово за словом {row[place]}"
    return "text", _inputs(task, f"{capitalised(' '.join(row))}."), row[place + 1]


def _lines(right: int) -> Callable[[_Pool], Made]:
    """Maker of a `choice` task: numbers of the lines, `right` out of four, that have a word."""

    def make(pool: _Pool) -> Made:
        source = pool.repeated if right > 1 else pool.words
        word = pool.rng.choice(source) if source else ""
        own = pool.holding[word]
        rest = [clause for clause in pool.rng.sample(pool.clauses, min(8, len(pool.clauses))) if word not in clause]
        if len(own) < right or len(rest) < 4 - right:
            return None
        rows = [_around(clause, word) for clause in pool.rng.sample(own, right)]
        rows += [" ".join(clause.split()[:3]) for clause in rest[: 4 - right]]
        order = shuffled(rows, pool.rng)
        if len(set(order)) != 4:
            return None
        answer = ",".join(str(number) for number, row in enumerate(order, start=1) if word in row.split())
        return "choice", _inputs(f"Номера строк, где есть {word}", choices=_numbered(order)), answer

    return make


def _around(clause: str, word: str) -> str:
    """At most three words of the clause, one of which is `word`."""
    row = clause.split()
    start = max(0, row.index(word) - 1)
    return " ".join(row[start : start + 3])


def _equal(count: int, length: int) -> Callable[[_Pool], Made]:
    """Maker of a `matching` task: `count` stretches of `length` words with letters, the same ones with numbers."""

    def make(pool: _Pool) -> Made:
        drawn = pool.rng.sample(pool.clauses, min(count, len(pool.clauses)))
        rows = [
            " ".join(sorted(clause.split(), key=len)[-1:] if length == 1 else clause.split()[:length])
            for clause in drawn
        ]
        if len(set(rows)) != count:
            return None
        order = shuffled(rows, pool.rng)
        text = " ".join(f"{letter}) {row}" for letter, row in zip(_CYRILLIC, rows, strict=False))
        answer = ",".join(str(order.index(row) + 1) for row in rows)
        return "matching", _inputs("Что с чем совпадает", text, _numbered(order)), answer

    return make


_SPECIAL = {8: _equal(5, 1), 16: _lines(2), 26: _equal(4, 2)}
_MAKERS = (
    _after,
    _lines(1),
    _word("Выпиши слово, последнее в строке", -1),
    _lines(1),
    _word("Выпиши слово, первое в строке", 0),
)
