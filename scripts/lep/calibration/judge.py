"""Judges that grade an answer from 1 to 5 for grammar and relevance (paper section 2.4.2).

- `stand_in`: fixed rules without a model, a declared stand-in for the paper's LLaMa-3-70B
- `openai`: a chat model behind an OpenAI-compatible endpoint
- `local`: a chat model in a folder
"""

import http.client
import json
import os
import re
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Container, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
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
_STEM = 4  # first letters; two words that share them count as the same word
_RETRIED = {408, 409, 429, 500, 502, 503, 504}
_LONGEST_PAUSE = 120.0  # seconds
_REPLY_TOKENS = 16

Grade = int | None  # None: the judge gave no usable grade


@dataclass(frozen=True, config=STRICT)
class JudgeSettings:
    """Choice of the judge, and timeouts of its endpoint. The endpoint's key is read from $LEP_JUDGE_KEY."""

    backend: Literal["stand_in", "openai", "local"]
    endpoint: str = ""  # openai: address, such as http://host:8000/v1
    model: str = ""  # openai: name of the model at the endpoint; local: its folder
    dtype: str = "auto"  # local: number type of the weights
    parallel: int = 8  # answers graded at once
    attempts: int = 4  # openai: requests for one answer at most
    timeout_seconds: float = 60.0  # openai: of one request
    first_pause_seconds: float = 1.0  # openai: before the second attempt; doubles each time


def grade(
    pairs: Mapping[int, tuple[str, str]], settings: JudgeSettings, device: str = "cpu", done: Container[int] = ()
) -> Iterator[tuple[int, Grade]]:
    """(index, grade 1-5) of the (question, answer) pairs that are not `done`, as grades arrive.

    Raises `UserError` if the judge fails; the grades yielded before remain valid.
    """
    left = {index: pair for index, pair in pairs.items() if index not in done}
    if settings.backend == "stand_in":
        return ((index, grade_by_rules(*pair)) for index, pair in left.items())
    if not settings.model:
        raise UserError(f"calibration.judge has no `model`; backend {settings.backend!r} needs one")
    if settings.backend == "local":
        return _grade_by_folder(pairs, settings, device, done) if left else iter(())
    if not settings.endpoint.startswith(("http://", "https://")):
        raise UserError(f"calibration.judge.endpoint is {settings.endpoint!r}; write an http(s) address")
    return _grade_in_parallel(left, settings)


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


def _grade_by_folder(
    pairs: Mapping[int, tuple[str, str]], settings: JudgeSettings, device: str, done: Container[int]
) -> Iterator[tuple[int, Grade]]:
    """Ask a local model, in batches. Its answers are greedy, so a second attempt would give the same reply."""
    from lep.compute.determinism import resolve_device
    from lep.models.chat import encode_prompt
    from lep.models.folder import load_tokenizer
    from lep.models.generation import answer_batches
    from lep.models.store import load_model

    folder = Path(settings.model)
    tokenizer, model = load_tokenizer(folder), load_model(folder, settings.dtype, resolve_device(device))
    prompts = {index: encode_prompt(tokenizer, _messages(*pair)) for index, pair in pairs.items()}
    for replies in answer_batches(model, tokenizer, prompts, settings.parallel, _REPLY_TOKENS, done):
        yield from ((index, parse_grade(reply)) for index, reply in replies.items())


def _grade_in_parallel(pairs: Mapping[int, tuple[str, str]], settings: JudgeSettings) -> Iterator[tuple[int, Grade]]:
    """Ask the endpoint, `settings.parallel` requests at a time. After a failure no new request starts."""
    stop, failure = threading.Event(), None

    def ask(pair: tuple[str, str]) -> Grade:
        if stop.is_set():
            raise InterruptedError
        try:
            return grade_by_endpoint(*pair, settings)
        except UserError:
            stop.set()
            raise

    with ThreadPoolExecutor(settings.parallel) as pool:
        asked = {pool.submit(ask, pair): index for index, pair in pairs.items()}
        try:
            for future in as_completed(asked):
                error = future.exception()
                if error is None:
                    yield asked[future], future.result()
                elif not isinstance(error, InterruptedError):
                    failure = failure or error
        finally:
            stop.set()
    if failure:
        raise failure


def grade_by_endpoint(
    question: str, answer: str, settings: JudgeSettings, pause: Callable[[float], None] = time.sleep
) -> Grade:
    """Ask the endpoint, at most `settings.attempts` times if it fails transiently or replies without a usable grade.

    The pause between attempts doubles and respects `Retry-After`. None if no reply has a grade; `UserError` if there
    is no reply or the endpoint refuses the request.
    """
    failure, asked_pause = "", 0.0
    for attempt in range(settings.attempts):
        if attempt:
            pause(min(max(settings.first_pause_seconds * 2 ** (attempt - 1), asked_pause), _LONGEST_PAUSE))
        failure, asked_pause = "", 0.0
        try:
            found = parse_grade(_ask(question, answer, settings))
            if found is not None:
                return found
        except urllib.error.HTTPError as error:
            failure = f"HTTP {error.code}"
            if error.code not in _RETRIED:
                raise UserError(f"the judge at {settings.endpoint} refused: {failure}; check key and model") from None
            asked_pause = _seconds(error.headers.get("Retry-After"))
        except (urllib.error.URLError, TimeoutError, ConnectionError, http.client.HTTPException) as error:
            failure = str(getattr(error, "reason", error)) or type(error).__name__
        except (KeyError, IndexError, TypeError, ValueError):
            pass  # a reply in an unknown form
        logger.info("judge: attempt %d: %s", attempt + 1, failure or "no usable grade")
    if failure:
        raise UserError(
            f"the judge at {settings.endpoint} did not answer in {settings.attempts} attempts: {failure}; "
            "the grades so far are kept; start the job again"
        )
    return None


def parse_grade(reply: str) -> int | None:
    """The grade 1-5 in a judge's reply: the number after a label, or the only number ("4/5" is 4); None otherwise."""
    labelled = _LABELLED.findall(reply)
    if labelled:
        whole, part = labelled[-1]
        return int(whole) if not part.strip("0") and 1 <= int(whole) <= 5 else None
    numbers = _NUMBER.findall(re.sub(r"(\d)\s*(?:/|из|out of)\s*5\b", r"\1", reply))
    return int(numbers[0]) if len(numbers) == 1 and re.fullmatch("[1-5]", numbers[0]) else None


def _messages(question: str, answer: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": PROMPT.format(question=question, answer=answer)}]


def _ask(question: str, answer: str, settings: JudgeSettings) -> str:
    body = {
        "model": settings.model,
        "messages": _messages(question, answer),
        "temperature": 0,
        "max_tokens": _REPLY_TOKENS,
    }
    headers = {"Content-Type": "application/json"}
    if key := os.environ.get(KEY_VARIABLE):
        headers["Authorization"] = f"Bearer {key}"
    url = settings.endpoint.rstrip("/") + "/chat/completions"
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=settings.timeout_seconds) as response:
        return json.loads(response.read())["choices"][0]["message"]["content"]


def _seconds(header: str | None) -> float:
    """The value of `Retry-After` in seconds; 0 if it is missing or a date."""
    try:
        return max(0.0, float(header or 0))
    except ValueError:
        return 0.0


def _cyrillic_share(text: str) -> float:
    letters = [character for character in text if character.isalpha()]
    return sum("\u0400" <= character <= "\u04ff" for character in letters) / max(1, len(letters))


def _is_option(answer: str) -> bool:
    return bool(re.fullmatch(r"(?:Ответ:|Answer:)?\s*[A-DА-Г]\.?", answer.strip()))
