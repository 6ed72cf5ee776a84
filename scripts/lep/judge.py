"""Judges that grade an answer from 1 to 5 for grammar and relevance (paper section 2.4.2).

`stand_in` is a declared stand-in for the paper's LLaMa-3-70B: fixed rules, no model. `openai` is any chat model
behind an OpenAI-compatible endpoint.
"""

import json
import os
import re
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable
from typing import Literal

from pydantic.dataclasses import dataclass

from lep.config import STRICT, UserError
from lep.log import logger

KEY_VARIABLE = "LEP_JUDGE_KEY"
PROMPT = (
    "Оцени ответ на запрос по шкале от 1 до 5: 5 — грамотный ответ по существу, 1 — бессвязный или не по теме.\n\n"
    "Запрос:\n{question}\n\nОтвет:\n{answer}\n\nНапиши только одну цифру после слова «Оценка:»."
)
_LABELLED = re.compile(r"(?:оценка|grade|score|rating)\W{0,12}(\d+)(?:[.,](\d+))?", re.IGNORECASE)
_NUMBER = re.compile(r"\d+(?:[.,]\d+)?")
_STEM = 4  # letters that two words must share to be about the same thing
_RETRIED = {408, 409, 429, 500, 502, 503, 504}


@dataclass(frozen=True, config=STRICT)
class JudgeSettings:
    """Which judge, and how patient with it. The key of an endpoint is read from the variable LEP_JUDGE_KEY."""

    backend: Literal["stand_in", "openai"]
    endpoint: str = ""
    model: str = ""
    attempts: int = 4
    timeout_seconds: float = 60.0
    first_pause_seconds: float = 1.0


def make_judge(settings: JudgeSettings) -> Callable[[str, str], int | None]:
    """A function (question, answer) -> grade 1-5, or None where the judge gave no usable grade."""
    if settings.backend == "stand_in":
        return grade_by_rules
    if not settings.endpoint or not settings.model:
        raise UserError("calibration.judge needs `endpoint` and `model` with the backend 'openai'")
    return lambda question, answer: grade_by_endpoint(question, answer, settings)


def grade_by_rules(question: str, answer: str) -> int:
    """The stand-in judge: 1 for an empty answer, else one point each, from 1, for

    letters in the script of the question; little repetition; a length fit to be read; a word in common
    with the question or a letter of its options.
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


def grade_by_endpoint(
    question: str, answer: str, settings: JudgeSettings, pause: Callable[[float], None] = time.sleep
) -> int | None:
    """Ask the endpoint; transient failures and unusable grades are tried again, `settings.attempts` times in all.

    None where no reply held a grade; `UserError` where no reply came or the endpoint refused.
    """
    failure = ""
    for attempt in range(settings.attempts):
        if attempt:
            pause(settings.first_pause_seconds * 2 ** (attempt - 1))
        try:
            grade = parse_grade(_ask(PROMPT.format(question=question, answer=answer), settings))
            if grade is not None:
                return grade
            failure = ""
        except urllib.error.HTTPError as error:
            failure = f"HTTP {error.code}"
            if error.code not in _RETRIED:
                raise UserError(f"the judge at {settings.endpoint} refused: {failure}; check key and model") from None
        except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
            failure = str(getattr(error, "reason", error)) or type(error).__name__
        except (KeyError, IndexError, TypeError, ValueError):
            failure = ""  # a reply, but none we can read
        logger.info("judge: attempt %d: %s", attempt + 1, failure or "no usable grade")
    if failure:
        raise UserError(
            f"the judge at {settings.endpoint} did not answer in {settings.attempts} attempts: {failure}; "
            "the grades so far are kept, start the job again"
        )
    return None


def parse_grade(reply: str) -> int | None:
    """The grade 1-5 in a judge's reply: after its label, or the only number; 4/5 is 4; anything else is None."""
    labelled = _LABELLED.findall(reply)
    if labelled:
        whole, part = labelled[-1]
        return int(whole) if not part.strip("0") and 1 <= int(whole) <= 5 else None
    numbers = _NUMBER.findall(re.sub(r"(\d)\s*(?:/|из|out of)\s*5\b", r"\1", reply))
    return int(numbers[0]) if len(numbers) == 1 and re.fullmatch("[1-5]", numbers[0]) else None


def _ask(prompt: str, settings: JudgeSettings) -> str:
    body = {
        "model": settings.model,
        "messages": [{"role": "user", "content": prompt}],
        "temperature": 0,
        "max_tokens": 16,
    }
    headers = {"Content-Type": "application/json"}
    if key := os.environ.get(KEY_VARIABLE):
        headers["Authorization"] = f"Bearer {key}"
    url = settings.endpoint.rstrip("/") + "/chat/completions"
    if not url.startswith(("http://", "https://")):
        raise UserError(f"calibration.judge.endpoint {settings.endpoint!r} is no http(s) address")
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=settings.timeout_seconds) as response:
        return json.loads(response.read())["choices"][0]["message"]["content"]


def _cyrillic_share(text: str) -> float:
    letters = [character for character in text if character.isalpha()]
    return sum("\u0400" <= character <= "\u04ff" for character in letters) / max(1, len(letters))


def _is_option(answer: str) -> bool:
    return bool(re.fullmatch(r"(?:Ответ:|Answer:)?\s*[A-DА-Г]\.?", answer.strip()))
