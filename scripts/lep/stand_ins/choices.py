"""Words of a text, and questions with lettered options; for the instruction data and the training of the models."""

from collections.abc import Sequence

LETTERS = "ABCD"
LEADS = {"en": "Answer:", "ru": "Ответ:"}  # text before a short answer, by language


def split_words(text: str) -> list[str]:
    """Words of a text without punctuation."""
    return [word for word in (part.strip(".,:;!?«»\"'()-—") for part in text.split()) if word.isalpha()]


def list_options(options: Sequence[str]) -> str:
    """Four options, one per line, each after its letter."""
    return "\n".join(f"{letter}. {option}" for letter, option in zip(LETTERS, options, strict=True))


def letter_answer(right: int, language: str) -> str:
    """The answer that gives the letter of option number `right`, counted from 0."""
    return f"{LEADS[language]} {LETTERS[right]}"
