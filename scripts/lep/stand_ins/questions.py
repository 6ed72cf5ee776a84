"""Questions that the text in front of them answers, made from the training split for the stand-ins.

A model of a few million parameters learns to look things up in its context long before it learns facts. Each kind
trains one such skill that the tasks of the benchmark use: copying, a word that occurs again, its neighbour, a pair, a
contradicted or a misbuilt sentence. Labels are right by construction.
"""

import re
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from lep.stand_ins.choices import LEADS, LETTERS, letter_answer, list_options, split_words
from lep.stand_ins.text_pool import TextPool, inner_words, pick, split_clauses, strangers
from lep.stand_ins.wordings import SPECIAL_LEADS, WORDINGS

Answered = tuple[dict[str, str], str]  # values of the wording's fields, and the answer without its lead
YES_NO = {"en": ("Yes", "No"), "ru": ("Да", "Нет")}
PREPOSITIONS = {
    "en": {"to", "of", "in", "from", "with", "for", "by", "into", "upon", "on", "at", "before", "against", "among"},
    "ru": {
        "в",
        "на",
        "к",
        "с",
        "от",
        "из",
        "за",
        "по",
        "для",
        "у",
        "о",
        "до",
        "без",
        "пред",
        "над",
        "под",
        "при",
        "во",
    },
}
# Words that a negation stands beside: English after an auxiliary, Russian before a verb (by its ending).
_AUXILIARY = {"is", "are", "was", "were", "shall", "will", "has", "have", "had", "did", "does", "can", "may"}
_VERB = re.compile(r".{2,}(?:ал|ил|ел|ло|ла|ли|ет|ит|ут|ют|ят|ат|ешь|ишь|ться|тся|лся|лось|ем|им)$")


def question(pool: TextPool, kind: str, rng: np.random.Generator) -> tuple[str, str]:
    """A question and its answer with the lead."""
    while (made := MAKERS[kind](pool, rng)) is None:
        pass  # the drawn text was unfit
    fields, answer = made
    lead = SPECIAL_LEADS.get(kind, LEADS)[pool.language]
    return pick(WORDINGS[pool.language][kind], rng).format(**fields), f"{lead} {answer}".strip()


def _lettered(right: str, wrong: Sequence[str], pool: TextPool, rng: np.random.Generator) -> tuple[str, str]:
    """Lines of options in random order, and the letter of the right one."""
    place = int(rng.integers(len(LETTERS)))
    options = [*wrong[:place], right, *wrong[place:]]
    return list_options(options), letter_answer(place, pool.language).removeprefix(f"{LEADS[pool.language]} ")


def _copy(pool: TextPool, rng: np.random.Generator) -> Answered:
    draw = rng.random()
    if draw < 0.3:  # random words, which cannot be guessed: the model must copy them
        text = " ".join(pick(pool.words if rng.random() < 0.8 else pool.names, rng) for _ in range(rng.integers(3, 12)))
    elif draw < 0.5:
        text = pick(pool.texts, rng)
    else:
        text = pick(pool.lines, rng)
    return {"text": text}, text


def _named(pool: TextPool, rng: np.random.Generator) -> Answered | None:
    text = pick(pool.texts, rng)
    if not (found := inner_words(text)):
        return None
    right = pick(found, rng)
    options, answer = _lettered(right, strangers(pool, text, right, 3, rng), pool, rng)
    return {"text": text, "options": options}, answer


def _neighbours(text: str, rng: np.random.Generator) -> tuple[str, str] | None:
    """A word of the text that occurs once, and the word right after it without punctuation between."""
    row = text.split()
    pairs = [
        (a, b.strip(".,:;!?"))
        for a, b in pairwise(row)
        if a.isalpha() and len(a) > 2 and row.count(a) == 1 and b.strip(".,:;!?").isalpha()
    ]
    return pick(pairs, rng) if pairs else None


def _next(pool: TextPool, rng: np.random.Generator) -> Answered | None:
    text = pick(pool.texts, rng)
    if not (pair := _neighbours(text, rng)):
        return None
    word, right = pair
    others = [other for other in inner_words(text) if other not in pair]
    wrong = [pick(others, rng)] if others and rng.random() < 0.5 else []
    wrong += strangers(pool, text, right, 3 - len(wrong), rng)
    options, answer = _lettered(right, [wrong[i] for i in rng.permutation(3)], pool, rng)
    return {"text": text, "word": word, "options": options}, answer


def _ending(pool: TextPool, rng: np.random.Generator) -> Answered | None:
    text = pick(pool.texts, rng)
    parts = split_clauses(text)
    if len(parts) < 2 or not 2 <= len(parts[-1].split()) <= 7:
        return None
    wrong = {" ".join(pick(pool.clauses, rng).split()[:5]): None for _ in range(3)}
    if len(wrong) < 3 or any(words in text for words in wrong):
        return None
    options, answer = _lettered(parts[-1], list(wrong), pool, rng)
    return {"text": text, "head": parts[-2], "options": options}, answer


def _pairs(pool: TextPool, rng: np.random.Generator) -> Answered:
    """Two or three pairs of a key and a value; the wrong options are another value and strangers."""
    keys = [pick(pool.clauses, rng) if rng.random() < 0.3 else pick(pool.words, rng) for _ in range(rng.integers(2, 4))]
    values = [pick(pool.names if rng.random() < 0.5 else pool.words, rng) for _ in keys]
    text = "; ".join(f"{key} - {value}" for key, value in zip(keys, values, strict=True))
    place = int(rng.integers(len(keys)))
    wrong = [value for i, value in enumerate(values) if i != place and value != values[place]][:1]
    wrong += strangers(pool, text, values[place], 3 - len(wrong), rng)
    options, answer = _lettered(values[place], [wrong[i] for i in rng.permutation(3)], pool, rng)
    return {"text": f"{text}.", "word": keys[place], "options": options}, answer


def _gap(pool: TextPool, rng: np.random.Generator) -> Answered | None:
    """The missing word of a clause of the text."""
    text = pick(pool.texts, rng)
    clause = pick(split_clauses(text), rng)
    found = [word for word in inner_words(text) if clause.split().count(word) == 1]
    if not found or len(clause.split()) > 8:
        return None
    right = pick(found, rng)
    options, answer = _lettered(right, strangers(pool, text, right, 3, rng), pool, rng)
    return {
        "text": text,
        "gap": " ".join("___" if w == right else w for w in clause.split()),
        "options": options,
    }, answer


def _cause(pool: TextPool, rng: np.random.Generator) -> Answered | None:
    """Which of two statements the text contains."""
    text = pick(pool.texts, rng)
    parts = [part for part in split_clauses(text) if len(part.split()) >= 3]
    other = pick(pool.clauses, rng)
    if not parts or other in text:
        return None
    part = pick(parts, rng)
    one, two = map(_capitalised, (part, other) if (first := rng.random() < 0.5) else (other, part))
    return {"text": text, "one": one, "two": two}, "1" if first else "2"


def _entailment(pool: TextPool, rng: np.random.Generator) -> Answered:
    """A clause of the text (1), the clause negated (2), or a clause of another text (3); a third each."""
    label = int(rng.integers(1, 4))
    while True:
        text = pick(pool.texts, rng)
        parts = [part for part in split_clauses(text) if len(part.split()) >= 3]
        claim = pick(pool.clauses, rng) if label == 3 else pick(parts, rng) if parts else None
        claim = _negated(claim, pool.language) if label == 2 and claim else claim
        if claim and (claim in text) == (label == 1):
            return {"text": text, "claim": _capitalised(claim)}, str(label)


def _negated(clause: str, language: str) -> str | None:
    row = clause.split()
    for index, word in enumerate(row):
        if language == "ru" and _VERB.match(word) and "не" not in row:
            return " ".join([*row[:index], "не", word.lower(), *row[index + 1 :]])
        if language == "en" and word in _AUXILIARY and "not" not in row:
            return " ".join([*row[: index + 1], "not", *row[index + 1 :]])
    return None


def _refers(pool: TextPool, rng: np.random.Generator) -> Answered | None:
    text = pick(pool.texts, rng)
    if not (found := inner_words(text)):
        return None
    word, right = pick(found, rng), rng.random() < 0.5
    yes, no = YES_NO[pool.language]
    return {"text": text, "word": word if right else strangers(pool, text, word, 1, rng)[0]}, yes if right else no


def _order(pool: TextPool, rng: np.random.Generator) -> Answered | None:
    """A clause (1), or its words in another order with a preposition at the end (0)."""
    row = pick(pool.clauses, rng).split()
    found = [word for word in row[:-1] if word in PREPOSITIONS[pool.language]]
    if len(row) < 4 or not found or row[-1] in PREPOSITIONS[pool.language]:
        return None
    right = rng.random() < 0.5
    if not right:
        last = pick(found, rng)
        row.remove(last)
        row = [*(row[i] for i in rng.permutation(len(row))), last]
    return {"text": f"{_capitalised(' '.join(row))}."}, "1" if right else "0"


def _following(pool: TextPool, rng: np.random.Generator) -> Answered | None:
    text = pick(pool.texts, rng)
    pair = _neighbours(text, rng)
    return ({"text": text, "word": pair[0]}, pair[1]) if pair else None


def _exam_word(last: bool) -> Callable[[TextPool, np.random.Generator], Answered | None]:
    def make(pool: TextPool, rng: np.random.Generator) -> Answered | None:
        clause = pick(pool.clauses, rng)
        row = split_words(clause)
        return ({"text": f"{_capitalised(clause)}."}, row[-1 if last else 0].lower()) if len(row) > 2 else None

    return make


def _exam_number(pool: TextPool, rng: np.random.Generator) -> Answered | None:
    """Number of the one of three or four short stretches that has a word."""
    rows = [" ".join(pick(pool.clauses, rng).split()[: rng.integers(2, 4)]) for _ in range(rng.integers(3, 5))]
    place = int(rng.integers(len(rows)))
    found = [word for word in split_words(rows[place]) if len(word) > 3 and sum(word in row for row in rows) == 1]
    if not found:
        return None
    options = " ".join(f"{i}) {row}" for i, row in enumerate(rows, start=1))
    return {"word": pick(found, rng), "options": options}, str(place + 1)


def _exam_matching(pool: TextPool, rng: np.random.Generator) -> Answered:
    """Three to five words with letters, and the same words with numbers in another order."""
    row = list(dict.fromkeys(pick(pool.words, rng) for _ in range(rng.integers(3, 6))))
    order = [row[i] for i in rng.permutation(len(row))]
    letters = "ABCDE" if pool.language == "en" else "АБВГД"
    text = " ".join(f"{letter}) {word}" for letter, word in zip(letters, row, strict=False))
    options = " ".join(f"{i}) {word}" for i, word in enumerate(order, start=1))
    return {"text": text, "options": options}, ",".join(str(order.index(word) + 1) for word in row)


def _several(pool: TextPool, rng: np.random.Generator) -> list[str]:
    """Three or four sentences."""
    return [f"{_capitalised(pick(pool.clauses, rng))}." for _ in range(rng.integers(3, 5))]


def _summary(pool: TextPool, rng: np.random.Generator) -> Answered:
    """The first sentence tells what a text is about, as in news."""
    rows = _several(pool, rng)
    return {"text": " ".join(rows)}, rows[0].rstrip(".")


def _important(pool: TextPool, rng: np.random.Generator) -> Answered:
    rows = _several(pool, rng)
    return {"text": " ".join(rows)}, rows[0]


def _capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]


MAKERS: dict[str, Callable[[TextPool, np.random.Generator], Answered | None]] = {
    "copy": _copy,
    "named": _named,
    "next": _next,
    "ending": _ending,
    "pairs": _pairs,
    "gap": _gap,
    "cause": _cause,
    "entailment": _entailment,
    "refers": _refers,
    "order": _order,
    "following": _following,
    "exam_last": _exam_word(last=True),
    "exam_first": _exam_word(last=False),
    "exam_number": _exam_number,
    "exam_matching": _exam_matching,
    "summary": _summary,
    "important": _important,
}
