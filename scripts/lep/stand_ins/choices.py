"""Words of a text and questions with lettered options, as both kinds of made instructions have them."""

from collections.abc import Sequence

LETTERS = "ABCD"
LEAD = {"en": "Answer:", "ru": "Ответ:"}  # of a short answer


def split_words(text: str) -> list[str]:
    """Words of a text without punctuation."""
    return [word for word in (part.strip(".,:;!?«»\"'()-—") for part in text.split()) if word.isalpha()]


def list_options(options: Sequence[str]) -> str:
    """Four options, each on a line behind its letter."""
    return "\n".join(f"{letter}. {option}" for letter, option in zip(LETTERS, options, strict=True))


def letter_answer(right: int, language: str) -> str:
    """The answer that names an option by its letter; `right` is its place."""
    return f"{LEAD[language]} {LETTERS[right]}"
