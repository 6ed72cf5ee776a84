"""Training data of the stand-in models: raw text and repeated sequences for the base, instructions for the instruct.

Everything comes from the training split. The base model sees no instruction format. Repeated random sequences teach
it induction (copying from the context), which it learns only slowly from raw text.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from lep.corpus.documents import text_of
from lep.models.chat import IGNORED
from lep.stand_ins.choices import LEADS, LETTERS, letter_answer, list_options, split_words

# Instruction templates for the fine-tuning of the instruct model, by language.
COPY = {
    "en": (
        "Repeat the text exactly:\n{text}",
        "Copy this text without changes:\n{text}",
        "Write the text again:\n{text}",
        "Copy: {text}",
        "Repeat the text: {text}",
        "Say once more: {text}",
    ),
    "ru": (
        "Повтори текст точно:\n{text}",
        "Перепиши текст слово в слово:\n{text}",
        "Напиши этот текст ещё раз:\n{text}",
        "Скопируй: {text}",
        "Повтори: {text}",
        "Скажи ещё раз: {text}",
    ),
}
CONTINUE = {"en": ("Continue the text:\n{text}", "Go on: {text}"), "ru": ("Продолжи текст:\n{text}", "Дальше: {text}")}
TITLE = {"en": ("What is this text about?\n{text}",), "ru": ("О чём этот текст?\n{text}",)}
CONTAINS = {"en": ("Which line has the word «{word}»?",), "ru": ("В какой строке есть слово «{word}»?",)}
GAP = {
    "en": ("Which word is left out?\n{text}", "Fill the gap: {text}"),
    "ru": ("Какое слово выпало?\n{text}", "Заполни пропуск: {text}"),
}
NEXT_WORD = {"en": ("{text}\nWhich word follows «{word}»?",), "ru": ("{text}\nКакое слово идёт после «{word}»?",)}
LONGEST_LINE = 64  # tokens of a repeated line at most
# Probability of each kind of instruction.
KINDS = {"copy": 0.35, "contains": 0.2, "gap": 0.2, "next_word": 0.1, "continue": 0.05, "title": 0.1}


@dataclass(frozen=True)
class TextPool:
    """Material for the instructions of one language."""

    lines: Sequence[str]  # paragraphs of 20 to 200 characters
    titled: Sequence[tuple[str, str]]  # (title of a document, start of its text)
    words: Sequence[str]  # distinct words of more than 3 letters, sorted


def text_pool(documents: list[dict]) -> TextPool:
    """Collect the material for instructions from documents of one language."""
    lines = [
        p["text"] for d in documents for p in d["paragraphs"] if 20 <= len(p["text"]) <= 200 and "\n" not in p["text"]
    ]
    titled = [(d["title"], d["paragraphs"][0]["text"][:200]) for d in documents if d["title"]]
    words = sorted({word for line in lines for word in split_words(line) if len(word) > 3})
    return TextPool(lines, titled, words)


def instruction(pool: TextPool, language: str, rng: np.random.Generator) -> tuple[str, str]:
    """One (user, assistant) pair; its kind is drawn with the probabilities of `KINDS`."""
    kind = rng.choice(list(KINDS), p=list(KINDS.values()))
    makers: dict[str, Callable[[], tuple[str, str]]] = {
        "copy": lambda: _copy(pool, language, rng),
        "contains": lambda: _contains(pool, language, rng),
        "gap": lambda: _gap(pool, language, rng),
        "next_word": lambda: _next_word(pool, language, rng),
        "continue": lambda: _continue(pool, language, rng),
        "title": lambda: _title(pool, language, rng),
    }
    return makers[kind]()


def random_repeats(
    length: int, stream: np.ndarray, starts: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Token ids and labels of random sequences, each repeated two or three times in a row; both (length,).

    - Half of the sequences are lines of the token `stream` (`starts` are the positions of lines), half are single
      tokens drawn from the stream, so with its frequencies.
    - Drawn tokens cannot be predicted, so their first occurrence has no label.
    - Measured: with these sequences copying is learnt within 600 steps; with tokens drawn uniformly from the
      vocabulary nothing was learnt by then.
    """
    ids: list[np.ndarray] = []
    labels: list[np.ndarray] = []
    while sum(map(len, ids)) < length:
        drawn = rng.random() < 0.5
        if drawn:
            sequence = stream[rng.integers(len(stream), size=rng.integers(8, max(9, length // 3)))]
        else:
            index = int(rng.integers(len(starts) - 1))
            sequence = stream[starts[index] : starts[index + 1]][:LONGEST_LINE]
        times = int(rng.integers(2, 4))
        ids += [sequence] * times
        labels += [np.full(len(sequence), IGNORED) if drawn else sequence] + [sequence] * (times - 1)
    return np.concatenate(ids)[:length], np.concatenate(labels)[:length]


def raw_text(documents: list[dict]) -> list[str]:
    """Documents as plain text."""
    return [text_of(document) for document in documents]


def _pick(items: Sequence, rng: np.random.Generator):
    return items[int(rng.integers(len(items)))]


def _options(options: list[str], right: int, question: str, language: str) -> tuple[str, str]:
    return f"{question}\n{list_options(options)}", letter_answer(right, language)


def _copy(pool: TextPool, language: str, rng: np.random.Generator) -> tuple[str, str]:
    lines = [_pick(pool.lines, rng) for _ in range(int(rng.choice([1, 1, 1, 2])))]
    text = "\n".join(lines)
    if rng.random() < 0.3:  # random words, which cannot be guessed: the model must copy them
        text = " ".join(_pick(pool.words, rng) for _ in range(int(rng.integers(3, 10))))
    return _pick(COPY[language], rng).format(text=text), text


def _contains(pool: TextPool, language: str, rng: np.random.Generator) -> tuple[str, str]:
    while True:
        lines = [_shortened(_pick(pool.lines, rng), rng) for _ in LETTERS]
        right = int(rng.integers(4))
        others = {word.casefold() for i, line in enumerate(lines) if i != right for word in split_words(line)}
        words = [word for word in split_words(lines[right]) if len(word) > 3 and word.casefold() not in others]
        if words:
            question = _pick(CONTAINS[language], rng).format(word=_pick(words, rng))
            return _options(lines, right, question, language)


def _gap(pool: TextPool, language: str, rng: np.random.Generator) -> tuple[str, str]:
    while True:
        line = _pick(pool.lines, rng).split()[:14]
        place = int(rng.integers(len(line)))
        answer = split_words(line[place])
        if answer and len(answer[0]) > 2:
            options = [_pick(pool.words, rng) for _ in LETTERS]
            right = int(rng.integers(4))
            options[right] = answer[0]
            text = " ".join([*line[:place], line[place].replace(answer[0], "___"), *line[place + 1 :]])
            return _options(options, right, _pick(GAP[language], rng).format(text=text), language)


def _next_word(pool: TextPool, language: str, rng: np.random.Generator) -> tuple[str, str]:
    while True:
        line = _pick(pool.lines, rng)
        words = line.split()
        index = int(rng.integers(len(words)))
        if index + 1 < len(words) and words.count(words[index]) == 1 and words[index].isalpha():
            answer = (split_words(words[index + 1]) or [""])[0]
            if answer:
                question = _pick(NEXT_WORD[language], rng).format(text=line, word=words[index])
                return question, f"{LEADS[language]} {answer}"


def _continue(pool: TextPool, language: str, rng: np.random.Generator) -> tuple[str, str]:
    words = _pick(pool.lines, rng).split()
    cut = max(1, len(words) // 2)
    return _pick(CONTINUE[language], rng).format(text=" ".join(words[:cut])), " ".join(words[cut:]) or words[-1]


def _title(pool: TextPool, language: str, rng: np.random.Generator) -> tuple[str, str]:
    title, text = _pick(pool.titled, rng)
    return _pick(TITLE[language], rng).format(text=text), f"TL;DR: {title}"


def _shortened(line: str, rng: np.random.Generator) -> str:
    words = line.split()
    start = int(rng.integers(max(1, len(words) - 7)))
    return " ".join(words[start : start + int(rng.integers(3, 8))])
