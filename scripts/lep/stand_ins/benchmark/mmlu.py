"""Miniature of the bilingual MMLU: questions in two languages about a quoted verse, from aligned held-out verses.

- `nature`, `persons`, `society`, `counting` ask which word of a list the verse has.
- `continuation` asks for the end of a verse, `books` for its book.
"""

import random
from collections.abc import Iterable, Iterator

from lep.stand_ins.benchmark.items import (
    ENGLISH_RATIO,
    LEAD_CHARACTERS,
    Plan,
    balanced,
    choose,
    placed,
    shuffled,
    too_few,
)
from lep.stand_ins.benchmark.lexicon import NATURE, NUMBERS, PERSONS, SOCIETY
from lep.stand_ins.benchmark.morphology import inflected, lemma, like, readings
from lep.stand_ins.benchmark.texts import Passage, Texts, clauses, excerpt, sentences, tokens, words

DEV = 5  # rows of a subject in the split `dev`, as in MMLU
_FRAME = 16 + 28  # characters: "A. " to "D. " with line ends, and a share of the headline above the first shot
_RUSSIAN, _ENGLISH = 60, 100  # longest quoted verse, in characters
Pair = tuple[Passage, Passage]


def nlpcore_mmlu(texts: Texts, plan: Plan, rng: random.Random) -> dict[str, list[dict]]:
    """Splits `dev` (five rows per subject) and `test` (items spread evenly over the subjects).

    If there are fewer items than subjects, the first subjects are used: they cover the four categories.
    """
    pairs = shuffled((pair for pair in texts.pairs if pair[0].source == "bible"), rng)
    subjects = {
        "nature": ("STEM", named(pairs, [row[:2] for row in NATURE] + [row[::2] for row in NATURE], rng)),
        "persons": ("humanities", named(pairs, PERSONS, rng)),
        "society": ("social sciences", named(pairs, [r[:2] for r in SOCIETY] + [r[::2] for r in SOCIETY], rng)),
        "continuation": ("other", continuation(pairs, rng)),
        "counting": ("STEM", named(pairs, NUMBERS, rng)),
        "books": ("humanities", books(pairs, rng)),
    }
    if plan.items < 4:
        raise too_few(plan.task, plan.items, 4, "items by configuration (one a category)")
    names = list(subjects)[: plan.items]
    splits: dict[str, list[dict]] = {"dev": [], "test": []}
    used: set[str] = set()
    for index, name in enumerate(names):
        category, candidates = subjects[name]
        share = plan.items // len(names) + (index < plan.items % len(names))
        part = Plan(f"{plan.task} ({name})", share, plan.characters)
        shots, tests = choose(part, _once(candidates, used), _size, prompts=DEV)
        for split, rows in (("dev", shots), ("test", tests)):
            splits[split] += _records(rows, name, category, rng)
    return splits


def named(pairs: list[Pair], lexicon: Iterable[tuple[str, str]], rng: random.Random) -> Iterator[dict]:
    """Which word of `lexicon` is in a verse, in both languages; the other options come from the lexicon."""
    lexicon = list(dict.fromkeys(lexicon))
    translations: dict[str, list[str]] = {}
    for russian, english in lexicon:
        translations.setdefault(russian, []).append(english)
    for russian, english in pairs:
        # A word of the lexicon that occurs once in either language of the verse.
        inside = [lemma(word) for word in words(russian.text)]
        hits = [word for word in dict.fromkeys(inside) if word in translations and inside.count(word) == 1]
        if not hits:
            continue
        key = rng.choice(hits)
        row = words(english.text)
        target = next((t for t in translations[key] if row.count(t.lower()) == 1), None)
        if target is None:
            continue
        quotes = (
            _quote(russian, key, _RUSSIAN, by_lemma=True),
            _quote(english, target.lower(), _ENGLISH, by_lemma=False),
        )
        if None in quotes:
            continue
        (text_ru, form), (text_en, surface) = quotes
        # Three other words, in the form of the right one; none may occur in the verse, where it would be right as well.
        column = translations[key].index(target)
        others = [w for w in translations if w != key and w not in inside and _translation(translations, w, column)]
        others = [w for w in shuffled(others, rng) if _translation(translations, w, column).lower() not in row]
        options = [(o, w) for w in others if (o := _as(w, form))][:3]
        if len(options) == 3:
            yield {
                "question_ru": f"{text_ru}. Какое слово стоит в стихе?",
                "choices_ru": [form] + [like(o, form) for o, _ in options],
                "question_en": f"{text_en}. Which word does the verse have?",
                "choices_en": [surface] + [like(_translation(translations, w, column), surface) for _, w in options],
                "evidence": russian.text,
            }


def continuation(pairs: list[Pair], rng: random.Random) -> Iterator[dict]:
    """How a quoted verse ends, in both languages; the other options are the ends of other verses."""
    ends = [
        (russian_end, english_end, russian)
        for russian, english in pairs
        if (russian_end := _end(russian.text, 28, _RUSSIAN)) and (english_end := _end(english.text, 50, _ENGLISH))
    ]
    for end in ends:
        chosen = [end]
        for other in rng.sample(ends, min(6, len(ends))):
            if all(other[i][1] not in known[i][0] for known in chosen for i in (0, 1)) and len(chosen) < 4:
                chosen.append(other)
        if len(chosen) == 4:
            yield {
                "question_ru": f"{end[0][0]}. Чем кончается стих?",
                "choices_ru": [other[0][1] for other in chosen],
                "question_en": f"{end[1][0]}. How does the verse end?",
                "choices_en": [other[1][1] for other in chosen],
                "evidence": end[2].text,
            }


def books(pairs: list[Pair], rng: random.Random) -> Iterator[dict]:
    """Which book a sentence comes from, in both languages; the book stands before it."""
    titles = sorted({(russian.book, english.book) for russian, english in pairs})
    for russian, english in pairs:
        quotes = [sentences(p.text)[0].rstrip(" .,;:-") for p in (russian, english)]
        fits = len(quotes[0]) <= _RUSSIAN - 15 and len(quotes[1]) <= _ENGLISH - 20 and len(words(quotes[0])) >= 4
        others = [title for title in titles if title[0] != russian.book]
        if fits and len(others) >= 3:
            options = [(russian.book, english.book), *rng.sample(others, 3)]
            yield {
                "question_ru": f"Книга {russian.book} говорит: {quotes[0]}. Какая это книга?",
                "choices_ru": [title for title, _ in options],
                "question_en": f"The book {english.book} says: {quotes[1]}. Which book is it?",
                "choices_en": [title for _, title in options],
                "evidence": russian.text,
            }


def _quote(passage: Passage, key: str, limit: int, by_lemma: bool) -> tuple[str, str] | None:
    """An excerpt around the first word that matches `key`, and that word; None if no excerpt fits."""
    for word, start, end in tokens(passage.text):
        if (lemma(word) if by_lemma else word.lower()) == key:
            quote = excerpt(passage.text, start, end, limit)
            return None if quote is None or len(words(quote)) < 4 else (quote, word)
    return None


def _translation(translations: dict[str, list[str]], word: str, column: int) -> str | None:
    """The English word in the number of the missing one: `column` 0 is the singular, 1 the plural."""
    row = translations[word]
    return row[column] if column < len(row) else row[-1]


def _as(word: str, model: str) -> str | None:
    """`word` in the case and number of `model`."""
    reading = readings(model)[0]
    wanted = {str(g) for g in (reading.tag.case, reading.tag.number) if g}
    return inflected(word, frozenset(wanted), word) or None


def _end(text: str, longest_tail: int, longest: int) -> tuple[str, str] | None:
    """(last two clauses of a verse as written, last clause); None if they are too short or too long."""
    parts = clauses(text)
    if len(parts) < 2 or len(words(parts[-1])) < 2 or len(parts[-1]) > longest_tail or len(words(parts[-2])) < 3:
        return None
    quote = text[text.rindex(parts[-2]) :].rstrip(" .,;:!?-\"'")
    return (quote, parts[-1]) if len(quote) <= longest and quote.endswith(parts[-1]) else None


def _once(candidates: Iterable[dict], used: set[str]) -> Iterator[dict]:
    """Candidates about verses that no earlier candidate of any subject uses."""
    for candidate in candidates:
        if candidate["evidence"] not in used:
            used.add(candidate["evidence"])
            yield candidate


def _size(row: dict) -> int:
    """Length in Russian characters; English ones count 1 / `ENGLISH_RATIO` each."""
    russian = len(row["question_ru"]) + sum(map(len, row["choices_ru"]))
    english = len(row["question_en"]) + sum(map(len, row["choices_en"]))
    frame = LEAD_CHARACTERS + _FRAME
    return max(russian + frame, int((english + frame) / ENGLISH_RATIO) + 1)


def _records(rows: list[dict], subject: str, category: str, rng: random.Random) -> list[dict]:
    """Records with shuffled options, in the same order in both languages; each letter is right equally often."""
    records = []
    for row, place in zip(rows, balanced(range(4), len(rows), rng), strict=True):
        order = placed(range(4), place, rng)
        records.append(
            {
                "subject": subject,
                "category": category,
                "question_ru": row["question_ru"],
                "choices_ru": [row["choices_ru"][index] for index in order],
                "question_en": row["question_en"],
                "choices_en": [row["choices_en"][index] for index in order],
                "answer": place,
            }
        )
    return records
