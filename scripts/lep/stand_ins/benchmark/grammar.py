"""Miniatures of two tasks that grammar decides, from held-out text: RWSD (gender) and RuCoLA (acceptability)."""

import random
import re
from collections.abc import Iterator
from itertools import pairwise

from lep.stand_ins.benchmark.comprehension import RELATIVE, UNREAL, may_state, without_conjunction
from lep.stand_ins.benchmark.items import (
    LEAD_CHARACTERS,
    PROMPTS,
    Plan,
    balanced,
    choose,
    filled,
    interleaved,
    numbered,
    shuffled,
)
from lep.stand_ins.benchmark.morphology import (
    could_be_singular,
    inflected,
    is_name,
    lemma,
    like,
    noun,
    part_of_speech,
    person,
    readings,
)
from lep.stand_ins.benchmark.texts import Texts, capitalised, clauses, sentences, tokens, words

_TEMPLATES = (
    "{text} «{span2_text}» - это «{span1_text}»? Да или Нет",
    "Текст: {text} Относится ли «{span2_text}» к «{span1_text}»? (Да/Нет)",
)
_DEPENDENT = RELATIVE | {"потому", "ибо", "так", "то", "когда", "пока", "прежде", "хотя", "за", "как", "и", "а", "но"}
_THIRD = frozenset(
    ("он", "она", "оно", "они", "его", "ее", "ему", "ей", "им", "ими", "их", "него", "нее", "нему", "ней", "ним", "них")
)
_REUSE = 4  # times that a clause with a woman or a pronoun may be used
_COLA = 110  # characters of the acceptability prompt around a sentence


def rwsd(texts: Texts, plan: Plan, rng: random.Random) -> dict[str, list[dict]]:
    """Whether a pronoun means a person; gender decides: one man and one woman, then `он` or `она`.

    Sentences with all three alternate with texts composed of three clauses (a man, a woman, the pronoun), as such
    sentences are few. Half of the answers are `Да`.
    """
    found = [s for p in texts.russian(held_out=True) for s in sentences(p.text) if texts.unseen(s)]
    natural = (s for s in shuffled(found, rng) if _persons(s) and _pronoun(s))
    ready = interleaved((text for text in natural if _resolved(text)), _composed(texts, rng))

    def candidates() -> Iterator[dict]:
        for text in ready:
            persons, pronoun = _persons(text), _pronoun(text)
            yield {
                "instruction": rng.choice(_TEMPLATES),
                "inputs": {"text": text, "span1_text": "", "span2_text": pronoun},
                "outputs": "Нет",
                "meta": {},
                "persons": persons,
            }

    shots, tests = choose(plan, candidates(), lambda record: filled(record) + max(map(len, record["persons"].values())))
    for rows in (shots, tests):
        for record, answer in zip(rows, balanced(("Да", "Нет"), len(rows), rng), strict=True):
            persons = record.pop("persons")
            meant, other = ("masc", "femn") if record["inputs"]["span2_text"].lower() == "он" else ("femn", "masc")
            record["outputs"] = answer
            record["inputs"]["span1_text"] = persons[meant if answer == "Да" else other]
    return numbered(shots, tests)


def _persons(text: str) -> dict[str, str] | None:
    """The one man and the one woman of a text by gender; None if another noun could have the same gender."""
    found: dict[str, str] = {}
    for gender in ("masc", "femn"):
        candidates = [word for word, _, _ in tokens(text) if could_be_singular(word, gender)]
        if len(candidates) != 1 or person(candidates[0]) != gender:
            return None
        found[gender] = candidates[0]
    return found


def _pronoun(text: str) -> str | None:
    found = [word for word, _, _ in tokens(text) if word.lower() in ("он", "она")]
    return found[0] if len(found) == 1 else None


def _resolved(text: str) -> bool:
    """Whether the pronoun comes after both persons."""
    persons, pronoun = _persons(text), _pronoun(text)
    return bool(persons and pronoun) and all(
        text.index(person) < re.search(rf"\b{pronoun}\b", text).start() for person in persons.values()
    )


def _composed(texts: Texts, rng: random.Random) -> Iterator[str]:
    """Texts of three held-out clauses: one with a man, one with a woman, one with a pronoun.

    A clause with a man is used once; those with a woman or a pronoun are rare and used up to `_REUSE` times.
    """
    men, women, pronouns = [], [], []
    for passage in shuffled(texts.russian("bible", held_out=True), rng):
        for clause in map(without_conjunction, clauses(passage.text)):
            fits = len(words(clause)) >= 3 and len(clause) <= 40 and lemma(words(clause)[0]) not in RELATIVE
            if not fits or not texts.unseen(clause):
                continue
            masculine, feminine = (_only(clause, gender) for gender in ("masc", "femn"))
            third = _THIRD & set(words(clause))
            # Each clause must name one man, or one woman, or nobody but the pronoun.
            if _pronoun(clause) and masculine == feminine == "" and len(third) == 1:
                pronouns.append(clause)
            elif masculine and feminine == "" and not _pronoun(clause):
                men.append(clause)
            elif feminine and masculine == "" and not _pronoun(clause):
                women.append(clause)
    pronouns = {p: [c for c in pronouns if _pronoun(c).lower() == p] for p in ("он", "она")}
    again = [shuffled(group, rng) * _REUSE for group in (women, *pronouns.values())]
    for man, woman, pronoun in zip(men, again[0], interleaved(*again[1:]), strict=False):
        first, second = shuffled((man, woman), rng)
        text = " ".join(f"{capitalised(clause)}." for clause in (first, second, pronoun))
        if _resolved(text):
            yield text


def _only(clause: str, gender: str) -> str | None:
    """The only person of that gender in the clause; "" if no noun can have that gender; else None."""
    candidates = [word for word, _, _ in tokens(clause) if could_be_singular(word, gender)]
    if not candidates:
        return ""
    return candidates[0] if len(candidates) == 1 and person(candidates[0]) == gender else None


def rucola(texts: Texts, plan: Plan, rng: random.Random) -> dict[str, list[dict]]:
    """Acceptable held-out clauses and corrupted ones, half and half; `detailed_source` names the paragraph.

    - `Syntax`: words are shuffled so that a preposition ends the sentence.
    - `Morphology`: the noun after a preposition is put into the nominative, or a past verb next to its subject into
      the plural.
    """
    # Complete clauses that do not depend on another one.
    found = {}
    for passage in texts.russian("bible", held_out=True):
        for clause in clauses(passage.text):
            row = words(clause)
            fits = 24 <= len(clause) <= 50 and len(row) >= 4 and not UNREAL & set(row) and may_state(clause)
            if fits and lemma(row[0]) not in _DEPENDENT and texts.unseen(clause):
                found[clause] = passage.paragraph
    found = shuffled(found.items(), rng)

    def candidates(label: int) -> Iterator[dict]:
        for clause, source in found[label::2]:
            spoilt = {"Syntax": _scrambled(clause, rng), "Morphology": _disagreeing(clause)}
            ways = [("0", clause)] if label else [(kind, text) for kind, text in spoilt.items() if text]
            if ways:
                kind, text = ways[-1]
                row = {"sentence": f"{capitalised(text)}.", "acceptable": label}
                yield row | {"error_type": kind, "detailed_source": source}

    splits: tuple[list, list] = [], []
    for label in (1, 0):
        share = Plan(plan.task, (plan.items + label) // 2, plan.characters)
        part = choose(
            share, candidates(label), lambda row: len(row["sentence"]) + _COLA + LEAD_CHARACTERS, PROMPTS // 2
        )
        for split, rows in zip(splits, part, strict=True):
            split.extend(rows)
    rows = [shuffled(split, rng) for split in splits]
    numbered = iter(range(len(rows[0]) + len(rows[1])))
    train, validation = ([{"id": next(numbered)} | row for row in split] for split in rows)
    return {"train": train, "validation": validation}


def _scrambled(clause: str, rng: random.Random) -> str | None:
    """The words in another order with the first preposition at the end; None without a preposition."""
    row = [word for word, _, _ in tokens(clause)]
    prepositions = [word for word in row[:-1] if part_of_speech(word) == "PREP"]
    if not prepositions:
        return None
    rest = [row[0] if is_name(row[0]) else row[0].lower(), *row[1:]]
    rest.remove(prepositions[0] if prepositions[0] in rest else prepositions[0].lower())
    before = list(rest)
    rng.shuffle(rest)
    return " ".join([*(rest if rest != before else rest[::-1]), prepositions[0].lower()])


def _disagreeing(clause: str) -> str | None:
    """The clause with one wrong case or number; None if no word can be changed so that it is surely wrong."""
    row = tokens(clause)
    for (left, _, _), (right, start, end) in pairwise(row):
        reading = noun(right)
        form = None
        if part_of_speech(left) == "PREP" and reading and reading.tag.case not in ("nomn", "accs"):
            form = inflected(right, frozenset({"nomn"}))
            form = None if form == inflected(right, frozenset({"accs"})) else form  # "на дом" could be right
        elif person(right) and reading.tag.case == "nomn" and _past(left) == reading.tag.gender:
            start, end = next((s, e) for word, s, e in row if word == left)
            form = inflected(left, frozenset({"plur"}))
        if form and form != clause[start:end].lower():
            return clause[:start] + like(form, clause[start:end]) + clause[end:]
    return None


def _past(word: str) -> str | None:
    """Gender of a singular verb in the past tense, else None."""
    tag = readings(word)[0].tag
    return tag.gender if tag.POS == "VERB" and tag.tense == "past" and tag.number == "sing" else None
