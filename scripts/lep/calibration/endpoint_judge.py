"""A judge behind an OpenAI-compatible endpoint: many answers side by side, each asked several times if need be."""

import asyncio
from collections.abc import Awaitable, Callable, Generator, Iterable

from lep.calibration.grading import REPLY_TOKENS, JudgeSettings, Pairs, messages_to_judge, parse_grade
from lep.config import UserError
from lep.fetch.endpoint import ChatEndpoint, FailedReplyError
from lep.log import logger

Pause = Callable[[float], Awaitable[None]]  # waits for so many seconds
_LONGEST_PAUSE = 120.0  # seconds
_PROBE = ("Назови столицу России.", "Столица России — Москва.")


def probe(settings: JudgeSettings) -> int | None:
    """Let the judge behind an endpoint grade one fixed answer; returns the grade, None for other backends.

    Raises `UserError` if there is no grade.
    """
    if settings.backend != "openai":
        return None
    endpoint = ChatEndpoint(settings.endpoint, settings.model, settings.timeout_seconds)
    ((_, found),) = grades_by_endpoint({0: _PROBE}, endpoint, settings)
    if isinstance(found, str):
        raise UserError(
            f"the judge {settings.model} at {endpoint.address} gives no grade: {found}; start it, or mend "
            "calibration.judge (endpoint, model), then try again"
        )
    return found


def grades_by_endpoint(
    pairs: Pairs, endpoint: ChatEndpoint, settings: JudgeSettings, pause: Pause = asyncio.sleep
) -> Generator[tuple[int, int | str]]:
    """Grades, or reasons of failures, as they arrive; `settings.parallel` questions are asked at a time.

    Nothing is left open when the caller stops, or the endpoint refuses (`RefusalError`).
    """
    waiting, asked = iter(pairs.items()), {}
    with asyncio.Runner() as runner:
        try:
            while True:
                while len(asked) < settings.parallel and (pair := next(waiting, None)):
                    question = _ask(*pair[1], endpoint, settings, pause)
                    asked[runner.get_loop().create_task(question)] = pair[0]
                if not asked:
                    return
                done, _ = runner.run(asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED))
                for task in done:
                    yield asked.pop(task), task.result()
        finally:
            runner.run(_end(asked, endpoint))


async def _end(asked: Iterable[asyncio.Task], endpoint: ChatEndpoint) -> None:
    for task in asked:
        task.cancel()
    await asyncio.gather(*asked, return_exceptions=True)
    await endpoint.close()


async def _ask(question: str, answer: str, endpoint: ChatEndpoint, settings: JudgeSettings, pause: Pause) -> int | str:
    """The grade of an answer, or the reason of the last failure after at most `settings.attempts` requests.

    The pause between them doubles and respects `Retry-After`.
    """
    failure = FailedReplyError("not asked")
    for attempt in range(settings.attempts):
        if attempt:
            doubled = settings.first_pause_seconds * 2 ** (attempt - 1)
            await pause(min(max(doubled, failure.pause), _LONGEST_PAUSE))
        try:
            reply = await endpoint.ask(messages_to_judge(question, answer), REPLY_TOKENS)
            if found := parse_grade(reply):
                return found
            failure = FailedReplyError("a reply without a grade")
            logger.info("judge: attempt %d: no grade in %r", attempt + 1, endpoint.redacted(reply))
        except FailedReplyError as error:
            failure = error
            logger.info("judge: attempt %d: %s", attempt + 1, failure)
        if not failure.again:
            break
    return str(failure)
