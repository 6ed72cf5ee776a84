"""Miniature of the bilingual MMLU: questions in two languages about aligned verses of the training text.

- `nature`, `persons`, `society`, `counting` ask for a missing word, which a small model can learn.
- `continuation` asks for the end of a verse, `books` for its book; both are harder.
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
from lep.stand_ins.benchmark.knowledge import GAP
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
        "nature": ("STEM", missing(pairs, [row[:2] for row in NATURE] + [row[::2] for row in NATURE], rng)),
        "persons": ("humanities", missing(pairs, PERSONS, rng)),
        "society": ("social sciences", missing(pairs, [r[:2] for r in SOCIETY] + [r[::2] for r in SOCIETY], rng)),
        "continuation": ("other", continuation(pairs, rng)),
        "counting": ("STEM", missing(pairs, NUMBERS, rng)),
        "books": ("humanities", books(texts, pairs, rng)),
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


def missing(pairs: list[Pair], lexicon: Iterable[tuple[str, str]], rng: random.Random) -> Iterator[dict]:
    """Which word of `lexicon` is missing from a verse, in both languages; the other options come from the lexicon."""
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
        quotes = _gap(russian, key, _RUSSIAN, by_lemma=True), _gap(english, target.lower(), _ENGLISH, by_lemma=False)
        if None in quotes:
            continue
        (text_ru, form), (text_en, surface) = quotes
        # Three other words, in the form of the missing one; none may occur in the verse, where it could be right.
        column = translations[key].index(target)
        others = [w for w in translations if w != key and w not in inside and _translation(translations, w, column)]
        others = [w for w in shuffled(others, rng) if _translation(translations, w, column).lower() not in row]
        options = [(o, w) for w in others if (o := _as(w, form))][:3]
        if len(options) == 3:
            yield {
                "question_ru": f"Какое слово пропущено: «{text_ru}»?",
                "choices_ru": [form] + [like(o, form) for o, _ in options],
                "question_en": f'Which word is missing: "{text_en}"?',
                "choices_en": [surface] + [like(_translation(translations, w, column), surface) for _, w in options],
                "evidence": russian.text,
            }


def continuation(pairs: list[Pair], rng: random.Random) -> Iterator[dict]:
    """How a verse ends, in both languages; the other options are the ends of other verses."""
    ends = [
        (head_ru, tail_ru, head_en, tail_en, russian)
        for russian, english in pairs
        if (halves := _halves(russian.text, 28, 45)) and (english_halves := _halves(english.text, 50, 80))
        for (head_ru, tail_ru), (head_en, tail_en) in [(halves, english_halves)]
    ]
    for end in ends:
        others = rng.sample(ends, min(6, len(ends)))
        chosen = [end]
        for other in others:
            if all(other[1] != known[1] and other[3] != known[3] for known in chosen) and len(chosen) < 4:
                chosen.append(other)
        if len(chosen) == 4:
            yield {
                "question_ru": f"Чем кончается стих: «{end[0]}…»?",
                "choices_ru": [other[1] for other in chosen],
                "question_en": f'How does the verse end: "{end[2]}..."?',
                "choices_en": [other[3] for other in chosen],
                "evidence": end[4].text,
            }


def books(texts: Texts, pairs: list[Pair], rng: random.Random) -> Iterator[dict]:
    """Which book a sentence comes from, in both languages; only sentences that occur once."""
    titles = sorted({(russian.book, english.book) for russian, english in pairs})
    for russian, english in pairs:
        quotes = [sentences(p.text)[0].rstrip(" .,;:-") for p in (russian, english)]
        fits = len(quotes[0]) <= _RUSSIAN and len(quotes[1]) <= _ENGLISH and len(words(quotes[0])) >= 5
        others = [title for title in titles if title[0] != russian.book]
        if fits and len(others) >= 3 and texts.seen.count(words(quotes[0])) == 1:
            options = [(russian.book, english.book), *rng.sample(others, 3)]
            yield {
                "question_ru": f"В какой книге сказано: «{quotes[0]}»?",
                "choices_ru": [title for title, _ in options],
                "question_en": f'Which book says: "{quotes[1]}"?',
                "choices_en": [title for _, title in options],
                "evidence": russian.text,
            }


def _gap(passage: Passage, key: str, limit: int, by_lemma: bool) -> tuple[str, str] | None:
    """An excerpt with a gap for the first word that matches `key`, and that word; None if no excerpt fits."""
    for word, start, end in tokens(passage.text):
        if (lemma(word) if by_lemma else word.lower()) == key:
            quote = excerpt(passage.text, start, end, limit)
            if quote is None or len(words(quote)) < 4:
                return None
            position = next(t for t in tokens(quote) if t[0] == word)
            return quote[: position[1]] + GAP + quote[position[2] :], word
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


def _halves(text: str, longest_tail: int, longest_head: int) -> tuple[str, str] | None:
    """The last two clauses of a verse; None if they are too short or too long."""
    parts = clauses(text)
    if len(parts) < 2 or len(words(parts[-1])) < 2 or len(parts[-1]) > longest_tail:
        return None
    head = parts[-2]
    return (head, parts[-1]) if len(words(head)) >= 3 and len(head) <= longest_head else None


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
