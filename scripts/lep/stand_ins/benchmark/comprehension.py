"""Miniatures of the comprehension tasks MultiQ, PARus and RCB, from held-out text (RWSD and RuCoLA: `grammar`).

Labels are correct by construction: the word after a word is that of the text; a connective marks cause and effect; a
sentence entails its own clause and contradicts the negated clause. The premise of PARus states both, so that the text
decides and not knowledge.
"""

import random
import re
from collections.abc import Iterator
from itertools import pairwise

from lep.stand_ins.benchmark.items import PROMPTS, Plan, balanced, choose, filled, numbered, shuffled
from lep.stand_ins.benchmark.morphology import lemma, part_of_speech, readings
from lep.stand_ins.benchmark.texts import Passage, Texts, capitalised, clauses, excerpt, sentences, tokens, words

TEMPLATES = {
    "multiq": (
        "Текст 1: {support_text}.\nТекст 2: {text}.\n{question}",
        "Даны два текста. {support_text}. / {text}.\n{question}",
    ),
    "cause": (
        "{premise}. Какова причина?\n1. {choice1}\n2. {choice2}",
        "Ситуация: {premise}. Выбери причину.\n1. {choice1}\n2. {choice2}",
    ),
    "effect": (
        "{premise}. Каково следствие?\n1. {choice1}\n2. {choice2}",
        "Ситуация: {premise}. Выбери следствие.\n1. {choice1}\n2. {choice2}",
    ),
    "rcb": (
        "{premise}. Гипотеза: {hypothesis}. 1 - верно, 2 - неверно, 3 - неизвестно",
        "Текст: {premise}. Утверждение: {hypothesis}. Следует (1), противоречит (2) или неясно (3)?",
    ),
}
_CAUSAL = re.compile(
    r"(?P<effect>[^.;:!?]+)[.,;:!]\s+(?:[Ии]бо|[Пп]отому что|[Тт]ак как|поскольку|за то, что)\s+(?P<cause>[^.!?;:]+)"
)
_CONSECUTIVE = re.compile(
    r"(?P<cause>[^.;:!?]+)[.,;:!]\s+(?:[Пп]осему|[Пп]оэтому|[Пп]отому|и потому|так что|[Оо]ттого)\s+"
    r"(?P<effect>[^.!?;:]+)"
)
_CONDITIONAL = re.compile(r"\b(?:[Ее]сли|[Кк]огда)\s+(?P<cause>[^.!?;:,]+),\s+(?:то\s+)?(?P<effect>[^.!?;:,]+)")
UNREAL = {"если", "ли", "или", "да", "чтобы", "чтоб", "дабы", "бы", "пусть", "когда", "ни", "как", "разве", "нет"}
RELATIVE = {"который", "кто", "что", "какой", "чей", "где", "куда", "откуда", "кой", "каков"}
_UNASSERTED = {"бы", "чтобы", "чтоб", "дабы", "или", "ли", "если", "как"}


def multiq(texts: Texts, plan: Plan, rng: random.Random) -> dict[str, list[dict]]:
    """Two texts; the question asks for the word after a word that only one of them has."""
    return numbered(*choose(plan, _neighbours(texts, rng), filled))


def _neighbours(texts: Texts, rng: random.Random) -> Iterator[dict]:
    stretches = [c for p in texts.russian() for c in clauses(p.text) if 4 <= len(words(c)) <= 7]
    stretches = shuffled(dict.fromkeys(c for c in stretches if len(c) <= 45 and texts.unseen(c)), rng)
    for holder, other in zip(stretches[::2], stretches[1::2], strict=False):
        row = words(holder)
        pairs = [(a, b) for a, b in pairwise(row[1:]) if len(a) > 3 and len(b) > 2 and f"{a} {b}" in holder]
        pairs = [(a, b) for a, b in pairs if row.count(a) == 1 and a not in words(other)]
        if pairs:
            key, answer = rng.choice(pairs)
            first, second = shuffled((holder, other), rng)
            yield {
                "instruction": rng.choice(TEMPLATES["multiq"]),
                "inputs": {
                    "support_text": capitalised(first),
                    "text": capitalised(second),
                    "question": f"Какое слово стоит за словом {key}?",
                },
                "outputs": [answer, f"{key} {answer}"],
            }


def parus(texts: Texts, plan: Plan, rng: random.Random) -> dict[str, list[dict]]:
    """Cause or effect, which the premise states; the wrong choice is that of another document."""
    facts = []
    for passage in texts.russian():
        for pattern in (_CAUSAL, _CONSECUTIVE, _CONDITIONAL):
            for match in pattern.finditer(passage.text):
                if fact := _fact(match, passage, texts):
                    facts.append(fact)
    facts = shuffled({fact["cause"]: fact for fact in facts}.values(), rng)
    kinds = balanced(("cause", "effect"), len(facts), rng)

    def candidates() -> Iterator[dict]:
        for fact, kind in zip(facts, kinds, strict=True):
            distant = [other for other in facts if other["document"] != fact["document"]]
            if not distant:
                continue
            other = rng.choice(distant)
            yield {
                "instruction": rng.choice(TEMPLATES[kind]),
                "inputs": {
                    "premise": fact["statement"],
                    "choice1": fact[kind],
                    "choice2": other[kind],
                },
                "outputs": "1",
                "meta": {"task": kind},
            }

    return numbered(*(_swapped(rows, rng) for rows in choose(plan, candidates(), filled)))


def _fact(match: re.Match, passage: Passage, texts: Texts) -> dict | None:
    """Cause and effect of a match: the clause of each that is next to the connective. None if one is unfit."""
    names = sorted(("cause", "effect"), key=match.start)
    sides = {names[0]: clauses(match[names[0]])[-1:], names[1]: clauses(match[names[1]])[:1]}
    if not all(sides.values()):
        return None
    fact = {name: without_conjunction(side[0]) for name, side in sides.items()}
    fits = all(len(t) <= 55 and may_state(t) and texts.unseen(t) for t in fact.values())
    first, last = fact[names[0]], fact[names[1]]
    statement = match[0][match[0].rindex(first, 0, match.start(names[1]) - match.start()) :]
    statement = statement[: statement.index(last, len(first)) + len(last)]
    texts_of = {**fact, "statement": statement}
    made = {name: capitalised(text) for name, text in texts_of.items()} | {"document": passage.document}
    return made if fits and len(statement) <= 115 else None


def may_state(text: str) -> bool:
    """Whether a clause has three words or more, a possible predicate, and no relative pronoun."""
    kinds = {str(reading.tag.POS) for word in words(text) for reading in readings(word)}
    bare = not RELATIVE & {lemma(word) for word in words(text)[:2]} and not _UNASSERTED & set(words(text))
    return bare and len(words(text)) >= 3 and bool(kinds & {"VERB", "INFN", "ADJS", "PRTS", "PRED"})


def without_conjunction(clause: str) -> str:
    """The clause without its leading conjunction."""
    first, _, rest = clause.partition(" ")
    return rest if first.lower() in ("и", "а", "но", "ибо", "то", "же") else clause


def _swapped(records: list[dict], rng: random.Random) -> list[dict]:
    """PARus records; the right choice is the second one in half of them."""
    for record, answer in zip(records, balanced("12", len(records), rng), strict=True):
        if answer == "2":
            inputs = record["inputs"]
            inputs["choice1"], inputs["choice2"] = inputs["choice2"], inputs["choice1"]
            record["outputs"] = "2"
    return records


def rcb(texts: Texts, plan: Plan, rng: random.Random) -> dict[str, list[dict]]:
    """The hypothesis is a clause of the premise (1), that clause negated (2), or a clause of another text (3).

    Each label has a third of the records.
    """
    passages = shuffled(texts.russian("bible"), rng)
    strangers = [c for p in passages for c in clauses(p.text) if _plain(c) and len(c) <= 32 and texts.unseen(c)]

    def candidates(label: str, start: int) -> Iterator[dict]:
        for passage in passages[start::3]:
            record = _inference(passage.text, label, strangers, texts, rng)
            if record:
                yield record

    streams = {label: candidates(label, start) for start, label in enumerate("123")}
    splits: tuple[list, list] = [], []
    for index, label in enumerate("123"):
        shots = PROMPTS // 3 + (index < PROMPTS % 3)
        share = Plan(plan.task, plan.items // 3 + (index < plan.items % 3), plan.characters)
        for split, rows in zip(splits, choose(share, streams[label], filled, prompts=shots), strict=True):
            split.extend(rows)
    return numbered(*(shuffled(split, rng) for split in splits))


def _inference(text: str, label: str, strangers: list[str], texts: Texts, rng: random.Random) -> dict | None:
    """A record with this label from the first usable sentence of `text`; None if there is none."""
    for sentence in sentences(text):
        parts = [part for part in clauses(sentence) if _plain(part) and len(part) <= 36]
        if len(clauses(sentence)) < 2 or not parts or "?" in sentence or UNREAL & set(words(sentence)):
            continue
        part = rng.choice(parts)
        place = sentence.index(part)
        premise = excerpt(sentence, place, place + len(part), 75)
        hypothesis = {"1": part, "2": _denied(part), "3": _unrelated(sentence, strangers, rng)}[label]
        fits = premise and hypothesis and len(clauses(premise)) > 1 and texts.unseen(premise)
        if fits and lemma(words(premise)[0]) not in RELATIVE:
            hypothesis = capitalised(without_conjunction(hypothesis))
            return {
                "instruction": rng.choice(TEMPLATES["rcb"]),
                "inputs": {"premise": capitalised(premise), "hypothesis": hypothesis},
                "outputs": label,
            }
    return None


def _plain(clause: str) -> bool:
    """Whether a clause is a plain statement: one indicative verb, no `не`, nothing relative or unreal."""
    row = words(without_conjunction(clause))
    verbs = [index for index, word in enumerate(row) if part_of_speech(word) == "VERB"]
    if len(row) < 3 or len(verbs) != 1 or readings(row[verbs[0]])[0].tag.mood != "indc":
        return False
    return not ({"не"} | UNREAL | RELATIVE) & {*row, lemma(row[0])}


def _denied(clause: str) -> str:
    """The negation of a plain clause: `не` before its verb."""
    start = next(start for word, start, _ in tokens(clause) if part_of_speech(word) == "VERB")
    return f"{clause[:start]}не {clause[start].lower()}{clause[start + 1 :]}"


def _unrelated(sentence: str, strangers: list[str], rng: random.Random) -> str | None:
    """A clause that shares no longer word with the sentence; None if ten drawn ones do."""
    inside = {lemma(word) for word in words(sentence) if len(word) > 2}
    for clause in rng.sample(strangers, min(10, len(strangers))):
        if not inside & {lemma(word) for word in words(clause) if len(word) > 2}:
            return clause
    return None
