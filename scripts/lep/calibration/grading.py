"""Grades from 1 to 5 for grammar and relevance (paper section 2.4.2): the question to a judge, and its reply."""

import re
from collections import Counter
from collections.abc import Mapping
from typing import Literal

from pydantic.dataclasses import dataclass

from lep.config import STRICT

Pairs = Mapping[int, tuple[str, str]]  # (question, answer) by index

PROMPT = (
    "Оцени ответ на запрос по шкале от 1 до 5: 5 — грамотный ответ по существу, 1 — бессвязный или не по теме.\n\n"
    "Запрос:\n{question}\n\nОтвет:\n{answer}\n\nНапиши только одну цифру после слова «Оценка:»."
)
REPLY_TOKENS = 16  # longest reply of a judge
_LABELLED = re.compile(r"(?:оценка|grade|score|rating)\W{0,12}(\d+)(?:[.,](\d+))?", re.IGNORECASE)
_NUMBER = re.compile(r"\d+(?:[.,]\d+)?")
_GRADE = re.compile("0*([1-5])")
_STEM = 4  # first letters; two words that share them count as the same word


@dataclass(frozen=True, config=STRICT)
class JudgeSettings:
    """Choice of the judge, and limits of its endpoint. The endpoint's key is read from $LEP_JUDGE_KEY."""

    backend: Literal["stand_in", "openai", "local"]
    endpoint: str = ""  # openai: address, such as http://host:8000/v1
    model: str = ""  # openai: name of the model at the endpoint; local: its folder
    dtype: str = "auto"  # local: number type of the weights
    parallel: int = 8  # answers graded at once
    attempts: int = 4  # openai: requests for one answer at most
    timeout_seconds: float = 60.0  # openai: of one request, from the connection to the last byte
    first_pause_seconds: float = 1.0  # openai: before the second attempt; doubles each time
    maximum_failed_share: float = 0.01  # answers without a usable grade, as a share of all; more is an error


def messages_to_judge(question: str, answer: str) -> list[dict[str, str]]:
    """The conversation in which a judge gives its grade."""
    return [{"role": "user", "content": PROMPT.format(question=question, answer=answer)}]


def parse_grade(reply: str) -> int | None:
    """The grade 1-5 in a judge's reply: the number after a label, or the only number ("4/5" is 4); None otherwise."""
    labelled = _LABELLED.findall(reply)
    if labelled:
        whole, part = labelled[-1]
        found = _GRADE.fullmatch(whole)
        return int(found[1]) if found and not part.strip("0") else None
    numbers = _NUMBER.findall(re.sub(r"(\d)\s*(?:/|из|out of)\s*5\b", r"\1", reply))
    return int(numbers[0]) if len(numbers) == 1 and re.fullmatch("[1-5]", numbers[0]) else None


def grade_by_rules(question: str, answer: str) -> int:
    """Grade of the stand-in judge: 1 for an empty answer, else 1 plus one point for each of

    - 70 % of the letters in the script of the question
    - no word repeated too often
    - a readable length: at least two words, at most 600 characters
    - a word in common with the question, or the letter of an option
    """
    words = [word.casefold() for word in re.findall(r"\w+", answer)]
    if not words:
        return 1
    grade = 1
    russian = _cyrillic_share(question) >= 0.5
    grade += (_cyrillic_share(answer) if russian else 1 - _cyrillic_share(answer)) >= 0.7 or _is_option(answer)
    grade += max(Counter(words).values()) <= max(2, len(words) // 4)
    grade += len(answer) <= 600 and (len(words) >= 2 or _is_option(answer))
    stems = {word[:_STEM].casefold() for word in re.findall(r"\w+", question) if len(word) >= _STEM}
    grade += _is_option(answer) or any(word[:_STEM] in stems for word in words if len(word) >= _STEM)
    return grade


def _cyrillic_share(text: str) -> float:
    letters = [character for character in text if character.isalpha()]
    return sum("\u0400" <= character <= "\u04ff" for character in letters) / max(1, len(letters))


def _is_option(answer: str) -> bool:
    return bool(re.fullmatch(r"(?:Ответ:|Answer:)?\s*[A-DА-Г]\.?", answer.strip()))
