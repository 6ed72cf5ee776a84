"""Miniatures of the tasks ruMMLU, ruOpenBookQA and ruWorldTree: questions that the quoted text answers.

A model of a few million parameters learns facts only from text that repeats them very often, but it can look an answer
up. So each question quotes a held-out verse, or pairs of interface strings, and asks what is named in it, how it ends,
which book it is from, who is named together with whom, which word stands beside which, or what belongs together.
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
from lep.stand_ins.benchmark.morphology import adjective, is_name, lemma, noun
from lep.stand_ins.benchmark.texts import Passage, Texts, clauses, excerpt, sentences, tokens, words

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
    """ruMMLU: nouns of a verse, endings, books and pairs of strings; the subject is the part of the corpus."""
    verses = shuffled(texts.russian("bible"), rng)
    streams = [named(verses, rng), ending(verses, rng), named(verses[::-1], rng), book(verses, rng)]
    return _splits(interleaved(*streams, translation(texts, rng)), plan, "text", TEMPLATES["rummlu"], rng)


def ruopenbookqa(texts: Texts, plan: Plan, rng: random.Random) -> dict[str, list[dict]]:
    """ruOpenBookQA: persons named together, neighbours of nouns, endings."""
    verses = shuffled(texts.russian("bible"), rng)
    streams = [beside(verses, rng), attribute(verses, rng), ending(verses, rng)]
    return _splits(interleaved(*streams), plan, "question", TEMPLATES["ruopenbookqa"], rng)


def ruworldtree(texts: Texts, plan: Plan, rng: random.Random) -> dict[str, list[dict]]:
    """ruWorldTree: pairs of interface strings, neighbours of nouns, nouns of a verse."""
    verses = shuffled(texts.russian("bible"), rng)
    streams = [translation(texts, rng), integration(texts, rng), attribute(verses, rng), named(verses, rng)]
    return _splits(interleaved(*streams), plan, "question", TEMPLATES["ruworldtree"], rng)


def named(verses: list[Passage], rng: random.Random) -> Iterator[Question]:
    """Which noun stands in a verse; the other options are nouns of other verses in the same form."""
    pool = _noun_forms(verses)
    for verse in verses:
        places = [(word, start, end) for word, start, end in tokens(verse.text) if len(word) > 3 and noun(word)]
        if not places:
            continue
        word, start, end = rng.choice(places)
        quote = excerpt(verse.text, start, end, _EXCERPT)
        if quote is None or quote.count(word) != 1 or len(words(quote)) < 4:
            continue
        inside = {lemma(other) for other in words(quote)}
        same = [w for w in pool[_form(word)] if lemma(w) not in inside and w.istitle() == word.istitle()]
        if len(same) >= 3:
            options = (word, *rng.sample(same, 3))
            yield Question(f"{quote}. Какое слово стоит в стихе?", options, part_of(verse.document), quote)


def ending(verses: list[Passage], rng: random.Random) -> Iterator[Question]:
    """How the last two clauses of a verse end; the other options are the ends of other verses."""
    ends = [end for verse in verses if (end := _end(verse))]
    last = sorted({end[1] for end in ends})
    for quote, tail, verse in ends:
        others = [text for text in rng.sample(last, min(8, len(last))) if text not in quote]
        options = list(dict.fromkeys([tail, *others]))[:4]
        if len(options) == 4:
            yield Question(f"{quote}. Чем кончается стих?", tuple(options), part_of(verse.document), quote)


def _end(verse: Passage) -> tuple[str, str, Passage] | None:
    """(last two clauses as in the verse, last clause, verse); None if they are too short or too long."""
    parts = clauses(verse.text)
    if len(parts) < 2 or not 2 <= len(words(parts[-1])) <= 5 or len(parts[-1]) > _OPTION or len(words(parts[-2])) < 3:
        return None
    quote = verse.text[verse.text.rindex(parts[-2]) :].rstrip(" .,;:!?-")
    return (quote, parts[-1], verse) if len(quote) <= _EXCERPT and quote.endswith(parts[-1]) else None


def book(verses: list[Passage], rng: random.Random) -> Iterator[Question]:
    """Which book a sentence comes from; the book stands before it."""
    titles = sorted({verse.book for verse in verses})
    for verse in verses:
        sentence = sentences(verse.text)[0].rstrip(" .,;:-")
        others = [title for title in titles if title != verse.book]
        if len(words(sentence)) >= 4 and len(sentence) <= _EXCERPT - 20 and len(others) >= 3:
            options = (verse.book, *rng.sample(others, 3))
            text = f"Книга {verse.book} говорит: {sentence}. Какая это книга?"
            yield Question(text, options, part_of(verse.document), sentence)


def beside(verses: list[Passage], rng: random.Random) -> Iterator[Question]:
    """Who is named together with a person; the wrong options are not in the verse."""
    row_of = {verse.paragraph: _names(verse.text) for verse in verses}
    known = sorted({name for row in row_of.values() for name in row})
    for verse in verses:
        for one, other in pairwise(row_of[verse.paragraph]):
            quote = excerpt(verse.text, verse.text.index(one), verse.text.index(other) + len(other), _EXCERPT)
            inside = {lemma(word) for word in words(verse.text)}
            strangers = [name for name in known if lemma(name) not in inside]
            if quote and one != other and len(strangers) >= 3:
                options = (other, *rng.sample(strangers, 3))
                yield Question(f"{quote}. Кто назван рядом с именем {one}?", options, "лица", quote)
                break


def _names(text: str) -> list[str]:
    return [word for word, start, _ in tokens(text) if start and is_name(word)]


def attribute(verses: list[Passage], rng: random.Random) -> Iterator[Question]:
    """Which adjective stands beside a noun of a verse; one wrong option stands elsewhere in the verse."""
    found = [(verse, pair) for verse in verses for pair in _qualities(verse.text)]
    every = sorted({quality for _, (quality, _) in found})
    for verse, (quality, thing) in found:
        start, end = sorted((verse.text.index(quality), verse.text.index(thing)))
        quote = excerpt(verse.text, start, end + len(thing if end == verse.text.index(thing) else quality), _EXCERPT)
        if quote is None:
            continue
        near = [w for w, _, _ in tokens(quote) if len(w) > 3 and w not in (quality, thing) and quote.count(w) == 1]
        strangers = [other for other in every if lemma(other) not in {lemma(word) for word in words(quote)}]
        if near and len(strangers) >= 2:
            options = (quality, rng.choice(near), *rng.sample(strangers, 2))
            yield Question(f"{quote}. Какое слово говорят о слове {thing}?", options, "слова", quote)


def _qualities(text: str) -> list[tuple[str, str]]:
    """(adjective, noun) of neighbouring words without punctuation between, each once in the text."""
    row = tokens(text)
    found = []
    for (left, _, end), (right, start, _) in pairwise(row):
        for quality, thing in ((left, right), (right, left)):
            lower = quality.islower() and thing.islower() and text[end:start] == " "
            if lower and adjective(quality) and noun(thing) and text.count(quality) == text.count(thing) == 1:
                found.append((quality, thing))
    return found


def translation(texts: Texts, rng: random.Random) -> Iterator[Question]:
    """The Russian translation of an English interface string, in a list of two; the other one is a wrong option."""
    rows = [(r.text, e.text) for r, e in texts.pairs if r.source == "home_assistant"]
    rows = [row for row in rows if max(map(len, row)) <= _OPTION - 6 and row[0] != row[1]]
    meanings: dict[str, set[str]] = defaultdict(set)
    for russian, english in rows:
        meanings[english.casefold()].add(russian)
    every = sorted({russian for russian, _ in rows})
    for russian, english in shuffled(rows, rng):
        second, foreign = rng.choice(rows)
        others = [t for t in rng.sample(every, min(8, len(every))) if t not in {*meanings[english.casefold()], second}]
        if len(others) >= 2 and second not in meanings[english.casefold()]:
            pairs = "; ".join(f"{a} - {b}" for a, b in shuffled(((english, russian), (foreign, second)), rng))
            options = (russian, second, *others[:2])
            yield Question(f"{pairs}. Как по-русски {english}?", options, SOFTWARE, russian)


def integration(texts: Texts, rng: random.Random) -> Iterator[Question]:
    """Which integration shows an interface string, in a list of two."""
    strings = [p for p in texts.russian("home_assistant") if len(p.text) <= _OPTION and len(p.title) <= _OPTION]
    strings = [p for p in strings if p.title.casefold() not in p.text.casefold()]
    titles = sorted({p.title for p in strings})
    for passage in shuffled(strings, rng):
        other = rng.choice(strings)
        others = [title for title in titles if title not in (passage.title, other.title)]
        if len(others) >= 2 and other.title != passage.title and other.text != passage.text:
            pairs = "; ".join(f"{p.text} - {p.title}" for p in shuffled((passage, other), rng))
            options = (passage.title, other.title, *rng.sample(others, 2))
            yield Question(f"{pairs}. Где есть {passage.text}?", options, SOFTWARE, passage.text)


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
