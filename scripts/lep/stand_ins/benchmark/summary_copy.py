"""Miniatures of the summary task treeway (abstractive, extractive) and of the four copy tasks, from held-out text."""

import random
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial

from lep.stand_ins.benchmark.items import (
    ENGLISH_RATIO,
    LEAD_CHARACTERS,
    PROMPTS,
    Plan,
    choose,
    filled,
    interleaved,
    numbered,
    shuffled,
)
from lep.stand_ins.benchmark.morphology import lemma, part_of_speech
from lep.stand_ins.benchmark.texts import Passage, Texts, capitalised, clauses, sentences, words

COPY_TEMPLATES = {"ru": ("Повтори: {text}", "Скопируй: {text}"), "en": ("Repeat the text: {text}", "Copy: {text}")}
_SENTENCE = (25, 60)  # shortest and longest sentence to copy, in characters
_PARAGRAPH = (80, 120)  # shortest and longest paragraph to copy
_SHORT_PARAGRAPH = 36  # shortest one for prompt rows whose budget is below a normal paragraph
_SUMMARY_FRAME = 55  # characters of the summary prompt around the text
_TITLES = ("title", "name")  # last part of the keys of interface titles
_PERIOD = re.compile(r"(?<=[.!?;:])\s+")  # long verses consist of short parts that end in ; or :


def treeway(texts: Texts, plan: Plan, rng: random.Random) -> dict[str, list[dict]]:
    """Documents of four to six sentences with a summary; extractive labels come from a greedy ROUGE oracle on lemmas.

    The sentence that the summary is made from comes first, as in news.

    - Interface strings: the title of a step is the summary, its description stands before other strings of the same
      integration.
    - Bible chapters, as interface strings are few: a clause of one of four neighbouring sentences is the summary.
    """
    candidates = interleaved(_titled(texts, rng), _condensed(texts, 27, rng), _condensed(texts, 45, rng))

    def size(record: dict) -> int:
        return sum(len(s) + 1 for s in record["src_sents"]) + sum(map(len, record["summary_sents"])) + _SUMMARY_FRAME

    shots, tests = choose(plan, candidates, size, what="documents with a summary that fit")
    return {"prompt": shots, "test": tests}


def oracle(source: list[str], summary: str, at_most: int = 2) -> list[int]:
    """Indices of at most `at_most` sentences. Greedy: each raises ROUGE-1 + ROUGE-2 (F-measure, lemmas) the most."""
    target = _lemmas(summary)
    chosen: list[int] = []
    best = 0.0
    while len(chosen) < min(at_most, len(source)):
        scores = {}
        for index in sorted(set(range(len(source))) - set(chosen)):
            row = [w for i in sorted([*chosen, index]) for w in _lemmas(source[i])]
            scores[index] = sum(_rouge(row, target, n) for n in (1, 2))
        index = max(scores, key=lambda i: (scores[i], -i))
        if scores[index] <= best:
            break
        best = scores[index]
        chosen.append(index)
    return sorted(chosen)


def _rouge(prediction: list[str], target: list[str], n: int) -> float:
    """ROUGE-n F-measure of two word lists."""
    counts = [defaultdict(int), defaultdict(int)]
    for count, row in zip(counts, (prediction, target), strict=True):
        for start in range(len(row) - n + 1):
            count[tuple(row[start : start + n])] += 1
    shared = sum(min(value, counts[1][gram]) for gram, value in counts[0].items() if gram in counts[1])
    total = sum(counts[0].values()) + sum(counts[1].values())
    return 2 * shared / total if total else 0.0


def _lemmas(text: str) -> list[str]:
    return [lemma(word) for word in words(text)]


def _titled(texts: Texts, rng: random.Random) -> Iterator[dict]:
    """Documents from interface strings: a title, its description, and other short strings of the integration."""
    strings: dict[str, dict[str, Passage]] = defaultdict(dict)
    for passage in texts.russian("home_assistant"):
        strings[passage.document][passage.paragraph] = passage
    found = []
    for rows in strings.values():
        for key, passage in rows.items():
            stem, _, last = key.rpartition(".")
            if last in _TITLES and (body := rows.get(f"{stem}.description")):
                found.append((passage.text, body.text, rows))
    for title, body, rows in shuffled(found, rng):
        own = sentences(body)
        others = [p.text for p in rows.values() if p.text not in (title, body) and len(p.text) <= 30]
        if len(own) <= 2:
            distinct = [text for text in others if not set(_content(title)) & set(_content(text))]
            short = sorted(distinct, key=len)[:6]
            yield from _document(own, rng.sample(short, min(rng.choice((3, 4)), len(short))), title)


def _condensed(texts: Texts, longest: int, rng: random.Random) -> Iterator[dict]:
    """Documents from four neighbouring sentences of a chapter, each of at most `longest` characters."""
    chapters: dict[str, list[str]] = defaultdict(list)
    for passage in texts.russian("bible"):
        periods = (s for s in _PERIOD.split(passage.text) if 10 <= len(s) <= longest and words(s))
        chapters[passage.document] += [s for s in periods if texts.unseen(s)]
    groups = [rows[start : start + 4] for rows in chapters.values() for start in range(0, len(rows) - 3, 4)]
    for group in shuffled(groups, rng):
        for first in shuffled(group, rng):
            parts = [c for c in clauses(first) if len(words(c)) > 2 and "VERB" in map(part_of_speech, words(c))]
            found = parts and len(words(parts[0])) < len(words(first))
            others = [sentence for sentence in group if sentence != first]
            if found and (made := list(_document([first], others, capitalised(parts[0])))):
                yield from made
                break


def _document(own: list[str], others: list[str], summary: str) -> Iterator[dict]:
    """The record, if the oracle finds only sentences that the summary was made from (`own`)."""
    source = own + others
    labels = oracle(source, summary) if own else []
    if 4 <= len(source) <= 6 and labels and all(source[index] in own for index in labels):
        yield {"src_sents": source, "summary_sents": [summary], "extractive_summary": labels}


def _content(text: str) -> list[str]:
    return [lemma(word) for word in words(text) if len(word) > 3]


def copying(language: str, unit: str) -> Callable[[Texts, Plan, random.Random], dict[str, list[dict]]]:
    """The copy task of a language (`ru`, `en`) and a unit (`sent`, `para`)."""
    return partial(_copies, language, unit)


def _copies(language: str, unit: str, texts: Texts, plan: Plan, rng: random.Random) -> dict[str, list[dict]]:
    if language == "en":
        plan = Plan(plan.task, plan.items, int(plan.characters * ENGLISH_RATIO))
    passages = texts.russian() if language == "ru" else texts.english()
    found = _sentences(passages) if unit == "sent" else _paragraphs(passages, plan, language)
    rows = shuffled(dict.fromkeys(text for text in found if "\n" not in text and texts.unseen(text)), rng)

    if unit == "para":  # short paragraphs for the prompt rows, long ones for the test
        rows = [t for t in rows if len(t) < _PARAGRAPH[0]][:PROMPTS] + [t for t in rows if len(t) >= _PARAGRAPH[0]]

    def candidates() -> Iterator[dict]:
        for text in rows:
            yield {"instruction": rng.choice(COPY_TEMPLATES[language]), "inputs": {"text": text}, "outputs": text}

    shots, tests = choose(plan, candidates(), filled)
    return numbered(shots, tests)


def _sentences(passages: list[Passage]) -> list[str]:
    return [s for p in passages for s in sentences(p.text) if _SENTENCE[0] <= len(s) <= _SENTENCE[1] and _whole(s)]


def _whole(sentence: str) -> bool:
    return sentence[0].isupper() and sentence[-1] in ".!?" and sentence.count('"') % 2 == 0


def _paragraphs(passages: list[Passage], plan: Plan, language: str) -> list[str]:
    """Paragraphs of one to three consecutive sentences on one line; no sentence is used twice.

    A paragraph has at least two parts that end in .!?;: and 80 to 120 characters. A copy task shows its text twice
    (prompt and answer), so Russian paragraphs of prompt rows are shorter.
    """
    frame = len(max(COPY_TEMPLATES[language], key=len)) + LEAD_CHARACTERS
    longest = min(_PARAGRAPH[1], (plan.test - frame) // 2)
    shot = min(_PARAGRAPH[1], (plan.shot - frame) // 2)
    shortest = _SHORT_PARAGRAPH if shot < _PARAGRAPH[0] else _PARAGRAPH[0]
    found = []
    for row in _runs(passages):
        start = 0
        while start < len(row):
            texts = [" ".join(row[start : start + count]) for count in (1, 2, 3) if start + count <= len(row)]
            fits = [t for t in texts if shortest <= len(t) <= shot or _PARAGRAPH[0] <= len(t) <= longest]
            fits = [t for t in fits if len(_PERIOD.split(t)) > 1]
            found += fits[:1]
            start += texts.index(fits[0]) + 1 if fits else 1
    return found


def _runs(passages: list[Passage]) -> Iterator[list[str]]:
    """Runs of consecutive whole sentences: within an interface string, or across neighbouring verses."""
    run: list[str] = []
    previous = None
    for passage in passages:
        verse = passage.paragraph.rpartition("/")[2]
        follows = passage.source == "bible" and previous == (passage.document, int(verse) - 1)
        previous = (passage.document, int(verse)) if passage.source == "bible" else None
        if not follows:
            yield run
            run = []
        for sentence in sentences(passage.text):
            if _whole(sentence):
                run.append(sentence)
            else:
                yield run
                run = []
    yield run
