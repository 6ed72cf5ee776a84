"""Miniatures of RWSD (whom a pronoun means) and RuCoLA (acceptability), from held-out text."""

import random
from collections.abc import Iterator

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
from lep.stand_ins.benchmark.morphology import could_be_singular, is_name, lemma, part_of_speech, person
from lep.stand_ins.benchmark.texts import Texts, capitalised, clauses, tokens, words

_TEMPLATES = (
    "{text} Слово {span2_text} - это {span1_text}? Да или Нет",
    "Текст: {text} Относится ли {span2_text} к слову {span1_text}? (Да/Нет)",
)
_DEPENDENT = RELATIVE | {"потому", "ибо", "так", "то", "когда", "пока", "прежде", "хотя", "за", "как", "и", "а", "но"}
_THIRD = frozenset(
    ("он", "она", "оно", "они", "его", "ее", "ему", "ей", "им", "ими", "их", "него", "нее", "нему", "ней", "ним", "них")
)
_REUSE = 4  # times that a clause with a woman or a pronoun may be used
_COLA = 110  # characters of the acceptability prompt around a sentence


def rwsd(texts: Texts, plan: Plan, rng: random.Random) -> dict[str, list[dict]]:
    """Whether a pronoun means a person: one of the text (`Да`), or one of another text (`Нет`), half and half.

    A text has two held-out clauses: one names a person and nobody else of that gender, one has the pronoun.
    """
    ready = list(_composed(texts, rng))
    candidates = (
        {
            "instruction": rng.choice(_TEMPLATES),
            "inputs": {"text": text, "span1_text": named, "span2_text": pronoun},
            "outputs": "Нет",
            "meta": {},
        }
        for text, named, pronoun in ready
    )
    shots, tests = choose(plan, candidates, lambda record: filled(record) + 3)
    strangers = {pronoun: sorted({named for _, named, p in ready if p == pronoun}) for pronoun in ("он", "она")}
    for rows in (shots, tests):
        for record, answer in zip(rows, balanced(("Да", "Нет"), len(rows), rng), strict=True):
            record["outputs"] = answer
            if answer == "Нет":
                inputs = record["inputs"]
                inside = {lemma(word) for word in words(inputs["text"])}
                inputs["span1_text"] = rng.choice(
                    [s for s in strangers[inputs["span2_text"]] if lemma(s) not in inside]
                )
    return numbered(shots, tests)


def _pronoun(text: str) -> str | None:
    found = [word for word, _, _ in tokens(text) if word.lower() in ("он", "она")]
    return found[0] if len(found) == 1 else None


def _composed(texts: Texts, rng: random.Random) -> Iterator[tuple[str, str, str]]:
    """(text, person, pronoun): a clause with a person, then one with the pronoun.

    A clause with a person is used once; those with a pronoun are rare and used up to `_REUSE` times.
    """
    persons: dict[str, list[tuple[str, str]]] = {"он": [], "она": []}
    pronouns: dict[str, list[str]] = {"он": [], "она": []}
    for passage in shuffled(texts.russian("bible"), rng):
        for clause in map(without_conjunction, clauses(passage.text)):
            fits = len(words(clause)) >= 3 and len(clause) <= 40 and lemma(words(clause)[0]) not in RELATIVE
            if not fits or not texts.unseen(clause):
                continue
            masculine, feminine = (_only(clause, gender) for gender in ("masc", "femn"))
            third = _THIRD & set(words(clause))
            if (pronoun := _pronoun(clause)) and masculine == feminine == "" and len(third) == 1:
                pronouns[pronoun.lower()].append(clause)
            elif not third and masculine and feminine == "":
                persons["он"].append((clause, masculine))
            elif not third and feminine and masculine == "":
                persons["она"].append((clause, feminine))
    streams = [
        [(*one, pronoun, clause) for one, clause in zip(persons[pronoun], again, strict=False)]
        for pronoun in ("он", "она")
        for again in [shuffled(pronouns[pronoun], rng) * _REUSE]
    ]
    for first, named, pronoun, second in interleaved(*streams):
        text = f"{capitalised(first)}. {capitalised(second)}."
        if named in text:  # not with another capital
            yield text, named, pronoun


def _only(clause: str, gender: str) -> str | None:
    """The only person of that gender in the clause; "" if no noun can have that gender; else None."""
    candidates = [word for word, _, _ in tokens(clause) if could_be_singular(word, gender)]
    if not candidates:
        return ""
    return candidates[0] if len(candidates) == 1 and person(candidates[0]) == gender else None


def rucola(texts: Texts, plan: Plan, rng: random.Random) -> dict[str, list[dict]]:
    """Acceptable held-out clauses and corrupted ones, half and half; `detailed_source` names the paragraph.

    The words of a corrupted one are shuffled so that a preposition ends the sentence.
    """
    # Complete clauses that do not depend on another one.
    found = {}
    for passage in texts.russian("bible"):
        for clause in clauses(passage.text):
            row = words(clause)
            fits = 24 <= len(clause) <= 50 and len(row) >= 4 and not UNREAL & set(row) and may_state(clause)
            if fits and lemma(row[0]) not in _DEPENDENT and texts.unseen(clause):
                found[clause] = passage.paragraph
    found = shuffled(found.items(), rng)

    def candidates(label: int) -> Iterator[dict]:
        for clause, source in found[label::2]:
            text = clause if label else _scrambled(clause, rng)
            if text:
                row = {"sentence": f"{capitalised(text)}.", "acceptable": label}
                yield row | {"error_type": "0" if label else "Syntax", "detailed_source": source}

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
