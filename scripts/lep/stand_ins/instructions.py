"""A small stand-in for the instruction data set `saiga_scored`, made from the training documents.

Records have its schema: `{"messages", "opus_score", "is_bad_by_regex", "source", "language"}`. Scores are random, not
judged: fixed shares of the records are made bad on purpose, so that the paper's filter has something to remove.
"""

import random
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from pydantic.dataclasses import dataclass

from lep.config import STRICT, UserError
from lep.files import read_jsonl, write_jsonl
from lep.manifest import publish, staging
from lep.stand_ins.choices import LETTERS, letter_answer, list_options, split_words

RECIPE_VERSION = 1
INSTRUCTIONS = "instructions.jsonl"

# Several wordings of each kind, as users would write them.
WORDINGS = {
    "ru": {
        "copy": ("Повтори предложение: {text}", "Напиши ещё раз, слово в слово:\n{text}", "Скопируй строку:\n{text}"),
        "choice": ("Выбери пропущенное слово.\n{text}\n{options}", "Какого слова не хватает?\n{text}\n{options}"),
        "continuation": ("Продолжи стих: {text}", "Как заканчивается этот текст?\n{text}", "Допиши: {text}"),
        "summary": ("Придумай заголовок.\n{text}", "О чём этот текст?\n{text}", "Назови источник отрывка: {text}"),
        "search": ("В каком тексте есть слово «{word}»?\n{options}", "Найди слово «{word}».\n{options}"),
    },
    "en": {
        "copy": ("Repeat the sentence: {text}", "Copy this line:\n{text}"),
        "choice": ("Choose the missing word.\n{text}\n{options}",),
        "continuation": ("Continue the verse: {text}",),
        "summary": ("Give a title.\n{text}", "What is this text about?\n{text}"),
        "search": ('Which text has the word "{word}"?\n{options}',),
    },
}
# Refusals of a language model, which the regular expressions of the data set look for.
REFUSAL = {
    "ru": "Как языковая модель, я не могу ответить на этот вопрос.",
    "en": "As a language model, I cannot answer this question.",
}
_SENTENCE = (25, 100)  # shortest and longest usable line, in characters
_OPTION_WORDS = 6  # words of an option in a search question


@dataclass(frozen=True, config=STRICT)
class InstructionRecipe:
    """Settings of the data set; the last three shares exclude one another, all other records are good."""

    records: int
    russian_share: float = 0.85  # share of Russian records, the others are English
    regex_bad_share: float = 0.08  # share of refusals, marked `is_bad_by_regex`
    low_score_share: float = 0.2  # share of wrong answers with a score of 1-7
    unscored_share: float = 0.1  # share of good answers without a score
    seed: int = 42


@dataclass(frozen=True, config=STRICT)
class Pool:
    """Material for the instructions of one language."""

    lines: list[str]
    openings: list[tuple[str, str]]  # (title of a document, start of its text)
    words: list[str]  # distinct words of more than 3 letters, sorted


def make_instructions(documents: Path, target: Path, recipe: InstructionRecipe) -> None:
    """Publish `target/instructions.jsonl`, made from a JSONL file of documents.

    Raises `UserError` if `documents` has too little text in a language.
    """
    by_language: dict[str, list[dict]] = {"ru": [], "en": []}
    for document in read_jsonl(documents):
        by_language.get(document["language"], []).append(document)
    pools = {language: collect(found) for language, found in by_language.items()}
    rng = random.Random(recipe.seed)
    records = []
    for _ in range(recipe.records):
        language = "ru" if rng.random() < recipe.russian_share else "en"
        if len(pools[language].lines) < len(LETTERS) or not pools[language].openings:
            raise UserError(f"{documents} has too little text in {language!r} for instructions; add documents")
        records.append(_record(pools[language], language, rng, recipe))
    folder = staging(target)
    write_jsonl(folder / INSTRUCTIONS, records)
    publish(
        folder,
        target,
        recipe_version=RECIPE_VERSION,
        parents={"corpus": documents.parent},
        seed=recipe.seed,
        config=dict(vars(recipe)),
        facts={"records": len(records), "regex_bad": sum(r["is_bad_by_regex"] for r in records)},
    )


def collect(documents: Iterable[dict]) -> Pool:
    """Lines of a usable length, titles with the start of their text, and words of more than 3 letters."""
    lines, openings, words = [], [], set()
    for document in documents:
        # Interface strings with placeholders ("{name}") would look like errors.
        paragraphs = [p["text"] for p in document["paragraphs"] if not {"\n", "{"} & set(p["text"])]
        lines += [text for text in paragraphs if _SENTENCE[0] <= len(text) <= _SENTENCE[1]]
        if document["title"] and paragraphs:
            openings.append((document["title"], paragraphs[0][: _SENTENCE[1]]))
        words.update(word for text in paragraphs for word in split_words(text) if len(word) > 3)
    return Pool(lines, openings, sorted(words))


def _record(pool: Pool, language: str, rng: random.Random, recipe: InstructionRecipe) -> dict:
    """One record: a good answer first, then spoilt for the shares of `recipe`."""
    kind = rng.choice(list(MAKERS))
    fields, answer = MAKERS[kind](pool, language, rng)
    question = rng.choice(WORDINGS[language][kind]).format(**fields)
    score: int | None = rng.randint(8, 10)
    draw = rng.random()
    bad = draw < recipe.regex_bad_share
    if bad:
        answer = REFUSAL[language]
    elif draw < recipe.regex_bad_share + recipe.low_score_share:
        score, answer = rng.randint(1, 7), rng.choice(pool.lines)  # a random line as the answer
    elif draw < recipe.regex_bad_share + recipe.low_score_share + recipe.unscored_share:
        score = None
    return {
        "messages": [{"role": "user", "content": question}, {"role": "bot", "content": answer}],
        "opus_score": score,
        "is_bad_by_regex": bad,
        "source": f"made/{kind}",
        "language": "Russian" if language == "ru" else "English",
    }


def _copy(pool: Pool, language: str, rng: random.Random) -> tuple[dict, str]:
    text = rng.choice(pool.lines)
    return {"text": text}, text


def _choice(pool: Pool, language: str, rng: random.Random) -> tuple[dict, str]:
    words = rng.choice(pool.lines).split()
    places = [index for index, word in enumerate(words) if len("".join(split_words(word))) > 3]
    if not places:
        return _choice(pool, language, rng)
    place = rng.choice(places)
    right = split_words(words[place])[0]
    text = " ".join([*words[:place], "___", *words[place + 1 :]])
    wrong = rng.sample([word for word in rng.sample(pool.words, min(9, len(pool.words))) if word != right], 3)
    options, answer = _choose(right, wrong, language, rng)
    return {"text": text, "options": options}, answer


def _continuation(pool: Pool, language: str, rng: random.Random) -> tuple[dict, str]:
    words = rng.choice(pool.lines).split()
    cut = max(1, len(words) // 2)
    return {"text": " ".join(words[:cut])}, " ".join(words[cut:]) or words[-1]


def _summary(pool: Pool, language: str, rng: random.Random) -> tuple[dict, str]:
    title, opening = rng.choice(pool.openings)
    return {"text": opening}, title


def _search(pool: Pool, language: str, rng: random.Random) -> tuple[dict, str]:
    lines = [" ".join(line.split()[:_OPTION_WORDS]) for line in rng.sample(pool.lines, len(LETTERS))]
    elsewhere = {word.casefold() for line in lines[1:] for word in split_words(line)}
    words = [word for word in split_words(lines[0]) if len(word) > 3 and word.casefold() not in elsewhere]
    if not words:
        return _search(pool, language, rng)
    options, answer = _choose(lines[0], lines[1:], language, rng)
    return {"word": rng.choice(words), "options": options}, answer


def _choose(right: str, wrong: Sequence[str], language: str, rng: random.Random) -> tuple[str, str]:
    """Options in random order as lettered lines, and the answer with the letter of the right one."""
    options = [right, *wrong]
    rng.shuffle(options)
    return list_options(options), letter_answer(options.index(right), language)


MAKERS: dict[str, Callable[[Pool, str, random.Random], tuple[dict, str]]] = {
    "copy": _copy,
    "choice": _choice,
    "continuation": _continuation,
    "summary": _summary,
    "search": _search,
}
