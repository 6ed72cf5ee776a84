"""Miniatures of the knowledge tasks ruMMLU, ruOpenBookQA and ruWorldTree: questions about the training text.

Every answer occurs in the training documents, though not in the wording of the question. Kinds of questions: the word
missing from a verse, the end of a verse, the book of a sentence, who is named together with a person, which adjective
goes with a noun, the Russian translation of an English interface string, and which integration shows a string.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise

from lep.stand_ins.benchmark.items import (
    LEAD_CHARACTERS,
    Plan,
    Question,
    choose,
    interleaved,
    question_records,
    shuffled,
)
from lep.stand_ins.benchmark.lexicon import SOFTWARE, part_of
from lep.stand_ins.benchmark.morphology import adjective, inflected, is_name, lemma, noun
from lep.stand_ins.benchmark.texts import Passage, Texts, clauses, excerpt, sentences, tokens, words

GAP = "___"
_EXCERPT = 62  # longest quoted text, in characters
_OPTION = 26  # longest option
_OPTIONS = "A. {option_a}\nB. {option_b}\nC. {option_c}\nD. {option_d}"
TEMPLATES = {
    "rummlu": (
        "Тема: {subject}. {text}\n" + _OPTIONS,
        "{text} Тема: {subject}.\n" + _OPTIONS,
        "Вопрос ({subject}): {text}\n" + _OPTIONS,
    ),
    "ruopenbookqa": ("{question}\n" + _OPTIONS, "Вопрос: {question}\n" + _OPTIONS, "Ответь: {question}\n" + _OPTIONS),
    "ruworldtree": ("{question}\n" + _OPTIONS, "Вопрос: {question}\n" + _OPTIONS, "Выбери: {question}\n" + _OPTIONS),
}


def rummlu(texts: Texts, plan: Plan, rng: random.Random) -> dict[str, list[dict]]:
    """ruMMLU: missing words, endings, books and interface strings; the subject is the part of the corpus."""
    verses = shuffled(texts.russian("bible"), rng)
    streams = [missing_word(verses, rng), ending(verses, rng), missing_word(verses[::-1], rng)]
    streams += [book(texts, verses, rng), translation(texts, rng)]
    return _splits(interleaved(*streams), plan, "text", TEMPLATES["rummlu"], rng)


def ruopenbookqa(texts: Texts, plan: Plan, rng: random.Random) -> dict[str, list[dict]]:
    """ruOpenBookQA: persons named together, adjectives of nouns, endings."""
    verses = shuffled(texts.russian("bible"), rng)
    streams = [beside(verses, rng), attribute(verses, rng), ending(verses, rng)]
    return _splits(interleaved(*streams), plan, "question", TEMPLATES["ruopenbookqa"], rng)


def ruworldtree(texts: Texts, plan: Plan, rng: random.Random) -> dict[str, list[dict]]:
    """ruWorldTree: interface strings, adjectives of nouns, missing words."""
    verses = shuffled(texts.russian("bible"), rng)
    streams = [translation(texts, rng), integration(texts, rng), attribute(verses, rng), missing_word(verses, rng)]
    return _splits(interleaved(*streams), plan, "question", TEMPLATES["ruworldtree"], rng)


def missing_word(verses: list[Passage], rng: random.Random) -> Iterator[Question]:
    """Which noun is missing from a verse; the other options are nouns of other verses in the same form."""
    pool = _noun_forms(verses)
    for verse in verses:
        places = [(word, start, end) for word, start, end in tokens(verse.text) if len(word) > 3 and noun(word)]
        if not places:
            continue
        word, start, end = rng.choice(places)
        quote = excerpt(verse.text, start, end, _EXCERPT)
        if quote is None or quote.count(word) != 1 or len(words(quote)) < 4:
            continue
        inside = {lemma(other) for other in words(verse.text)}
        same = [w for w in pool[_form(word)] if lemma(w) not in inside and w.istitle() == word.istitle()]
        if len(same) >= 3:
            options = (word, *rng.sample(same, 3))
            yield Question(
                f"Какое слово пропущено: «{quote.replace(word, GAP)}»?", options, part_of(verse.document), quote
            )


def ending(verses: list[Passage], rng: random.Random) -> Iterator[Question]:
    """How a verse ends; the other options are the ends of other verses."""
    ends = [end for verse in verses if (end := _end(verse))]
    last = sorted({end[1] for end in ends})
    for head, tail, verse in ends:
        others = rng.sample(last, min(8, len(last)))
        options = list(dict.fromkeys([tail, *others]))[:4]
        if len(options) == 4:
            yield Question(f"Чем кончается: «{head}…»?", tuple(options), part_of(verse.document), f"{head} {tail}")


def _end(verse: Passage) -> tuple[str, str, Passage] | None:
    """(last clause but one, last clause, verse); None if they are too short or too long."""
    parts = clauses(verse.text)
    if len(parts) < 2 or not 2 <= len(words(parts[-1])) <= 5 or len(parts[-1]) > _OPTION or len(words(parts[-2])) < 3:
        return None
    return (parts[-2], parts[-1], verse) if len(parts[-2]) <= _EXCERPT else None


def book(texts: Texts, verses: list[Passage], rng: random.Random) -> Iterator[Question]:
    """Which book a sentence comes from; only sentences that occur once."""
    titles = sorted({verse.book for verse in verses})
    for verse in verses:
        sentence = sentences(verse.text)[0].rstrip(" .,;:-")
        fits = len(words(sentence)) >= 5 and len(sentence) <= _EXCERPT
        others = [title for title in titles if title != verse.book]
        if fits and len(others) >= 3 and texts.seen.count(words(sentence)) == 1:
            options = (verse.book, *rng.sample(others, 3))
            yield Question(f"В какой книге «{sentence}»?", options, part_of(verse.document), sentence)


def beside(verses: list[Passage], rng: random.Random) -> Iterator[Question]:
    """Who is named in the same verse as a person; the wrong options are never named together with that person."""
    # Count which names share a verse.
    together: dict[str, Counter] = defaultdict(Counter)
    evidence: dict[tuple[str, str], str] = {}
    counts: Counter = Counter()
    for verse in sorted(verses, key=lambda verse: verse.paragraph):
        names = sorted({lemma(word) for word, start, _ in tokens(verse.text) if start and is_name(word)})
        counts.update(names)
        for one in names:
            for other in names:
                if one != other:
                    together[one][other] += 1
                    evidence.setdefault((one, other), verse.text)
    # Ask about the 100 most frequent names and, for each, the three names most often named with it.
    known = sorted(counts, key=lambda name: (-counts[name], name))[:100]
    closest = {one: sorted(together[one], key=lambda name: (-together[one][name], name))[:3] for one in known}
    facts = [(one, other) for one in known for other in closest[one]]
    # Pairs that share two verses or more are asked first: a single verse is hard to remember.
    often = {(one, other) for one, other in facts if together[one][other] > 1}
    for one, other in sorted(shuffled(facts, rng), key=lambda fact: fact not in often):
        strangers = [name for name in known if name != one and name not in together[one]]
        if len(strangers) >= 3:
            options = tuple(name.capitalize() for name in (other, *rng.sample(strangers, 3)))
            yield Question(
                f"Кто назван в одном стихе с именем {one.capitalize()}?", options, "лица", evidence[one, other]
            )


def attribute(verses: list[Passage], rng: random.Random) -> Iterator[Question]:
    """Which adjective the training text uses next to a noun; the wrong options never occur next to it."""
    # Collect neighbouring pairs of adjective and noun, in either order.
    beside_noun: dict[str, set[str]] = defaultdict(set)
    forms: dict[str, set[str]] = defaultdict(set)
    found: dict[tuple[str, str], str] = {}
    for verse in sorted(verses, key=lambda verse: verse.paragraph):
        row = [word for word, _, _ in tokens(verse.text)]
        for left, right in pairwise(row):
            for quality, thing in ((left, right), (right, left)):
                if adjective(quality) and (reading := noun(thing)):
                    name = reading.normal_form
                    # Options are in the nominative singular, so that the form gives no hint.
                    beside_noun[name].add(lemma(quality))
                    form = inflected(lemma(quality), frozenset({"nomn", "sing", reading.tag.gender}))
                    if form and len(form) > 4 and quality.islower() and thing.islower():
                        forms[reading.tag.gender].add(form)
                        found.setdefault((name, form), f"{left} {right}")
    for (name, form), evidence in shuffled(sorted(found.items()), rng):
        gender = noun(name).tag.gender if noun(name) else None
        others = [other for other in sorted(forms[gender]) if lemma(other) not in beside_noun[name]] if gender else []
        if form in forms.get(gender, ()) and len(others) >= 3:
            options = (form, *rng.sample(others, 3))
            yield Question(f"Какое слово говорят о слове «{name}»?", options, "слова", evidence)


def translation(texts: Texts, rng: random.Random) -> Iterator[Question]:
    """The Russian translation of an English interface string."""
    rows = [(r, e) for r, e in texts.pairs if r.source == "home_assistant"]
    rows = [(r, e) for r, e in rows if len(r.text) <= _OPTION and len(e.text) <= _OPTION and r.text != e.text]
    meanings: dict[str, set[str]] = defaultdict(set)
    for russian, english in rows:
        meanings[english.text.casefold()].add(russian.text)
    every = sorted({russian.text for russian, _ in rows})
    for russian, english in shuffled(rows, rng):
        drawn = rng.sample(every, min(8, len(every)))
        others = [text for text in drawn if text not in meanings[english.text.casefold()]]
        if len(others) >= 3:
            options = (russian.text, *others[:3])
            yield Question(f"Как по-русски «{english.text}»?", options, SOFTWARE, russian.text)


def integration(texts: Texts, rng: random.Random) -> Iterator[Question]:
    """Which integration shows an interface string that occurs once."""
    strings = [p for p in texts.russian("home_assistant") if len(p.text) <= _EXCERPT - 20]
    titles = sorted({p.title for p in strings if len(p.title) <= _OPTION})
    for passage in shuffled(strings, rng):
        others = [title for title in titles if title != passage.title]
        fits = len(passage.title) <= _OPTION and passage.title.casefold() not in passage.text.casefold()
        if fits and len(others) >= 3 and texts.seen.count(words(passage.text)) == 1:
            options = (passage.title, *rng.sample(others, 3))
            yield Question(f"Где есть надпись «{passage.text}»?", options, SOFTWARE, passage.text)


def _form(word: str) -> tuple:
    tag = noun(word).tag
    return (tag.gender, tag.case, tag.animacy)


def _noun_forms(verses: list[Passage]) -> dict[tuple, list[str]]:
    """Unambiguous nouns of the verses by form, most frequent first, at most 60 per form."""
    counts = Counter(word for verse in verses for word, _, _ in tokens(verse.text) if len(word) > 3)
    forms: dict[tuple, list[str]] = defaultdict(list)
    for word, count in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])):
        if count > 1 and noun(word) and len(forms[_form(word)]) < 60:
            forms[_form(word)].append(word)
    return forms


def _splits(
    questions: Iterator[Question], plan: Plan, key: str, templates: tuple[str, ...], rng: random.Random
) -> dict[str, list[dict]]:
    """Prompt and test records of the first questions that fit; no question and no evidence is used twice."""

    def distinct() -> Iterator[Question]:
        asked: set[str] = set()
        for question in questions:
            if question.text not in asked and question.evidence not in asked:
                asked.update((question.text, question.evidence))
                yield question

    longest = max(templates, key=len)

    def size(question: Question) -> int:
        frame = longest.format_map(defaultdict(str))
        filled = len(frame) + len(question.text) + len(question.domain) + sum(map(len, question.options))
        return filled + LEAD_CHARACTERS + 1

    shots, tests = choose(plan, distinct(), size)
    return {
        "prompt": question_records(shots, key, templates, rng, 0),
        "test": question_records(tests, key, templates, rng, len(shots)),
    }
