"""Judges that grade an answer from 1 to 5 for grammar and relevance (paper section 2.4.2).

- `stand_in`: fixed rules without a model, a declared stand-in for the paper's LLaMa-3-70B
- `openai`: a chat model behind an OpenAI-compatible endpoint
- `local`: a chat model in a folder
"""

from collections import Counter
from collections.abc import Container, Generator, Iterator
from contextlib import closing
from pathlib import Path

from lep.calibration.endpoint_judge import grades_by_endpoint
from lep.calibration.grading import REPLY_TOKENS, JudgeSettings, Pairs, grade_by_rules, messages_to_judge, parse_grade
from lep.config import UserError
from lep.fetch.endpoint import ChatEndpoint


def grade(
    pairs: Pairs, settings: JudgeSettings, device: str = "cpu", done: Container[int] = ()
) -> Iterator[tuple[int, int]]:
    """(index, grade 1-5) of the (question, answer) pairs that are not `done`, as grades arrive.

    Pairs without a usable grade are left out. Raises `UserError` as soon as they are more than
    `settings.maximum_failed_share` of `pairs`; the grades yielded before remain valid.
    """
    left = {index: pair for index, pair in pairs.items() if index not in done}
    if settings.backend == "stand_in":
        return ((index, grade_by_rules(*pair)) for index, pair in left.items())
    if not settings.model:
        raise UserError(f"calibration.judge has no `model`; backend {settings.backend!r} needs one")
    if settings.backend == "openai":
        endpoint = ChatEndpoint(settings.endpoint, settings.model, settings.timeout_seconds)
        found = grades_by_endpoint(left, endpoint, settings)
    elif left:
        found = _by_folder(pairs, settings, device, done)
    else:
        return iter(())
    return _without_failures(found, len(pairs), settings)


def _without_failures(
    found: Generator[tuple[int, int | str]], total: int, settings: JudgeSettings
) -> Iterator[tuple[int, int]]:
    """The grades among grades and reasons of failures; `UserError` if too many failed."""
    reasons: Counter[str] = Counter()
    with closing(found):  # at once: an open connection must not wait for the garbage collector
        for index, given in found:
            if isinstance(given, int):
                yield index, given
                continue
            reasons[given] += 1
            if reasons.total() > settings.maximum_failed_share * total:
                raise _too_many(reasons, total, settings)


def _too_many(reasons: Counter[str], total: int, settings: JudgeSettings) -> UserError:
    often = "; ".join(f"{reason}: {count}" for reason, count in reasons.most_common(3))
    return UserError(
        f"the judge {settings.model} gave no grade to {reasons.total()} of {total} answers ({often}), more than "
        f"calibration.judge.maximum_failed_share ({settings.maximum_failed_share:g}) allows. The grades so far are "
        "kept: mend the judge and start the job again"
    )


def _by_folder(
    pairs: Pairs, settings: JudgeSettings, device: str, done: Container[int]
) -> Generator[tuple[int, int | str]]:
    """Grades of a local model, in batches. It answers greedily: a second attempt would give the same reply."""
    from lep.compute.determinism import resolve_device
    from lep.models.chat import encode_prompt
    from lep.models.folder import load_tokenizer
    from lep.models.generation import answer_batches
    from lep.models.store import load_model

    folder = Path(settings.model)
    tokenizer, model = load_tokenizer(folder), load_model(folder, settings.dtype, resolve_device(device))
    prompts = {index: encode_prompt(tokenizer, messages_to_judge(*pair)) for index, pair in pairs.items()}
    for replies in answer_batches(model, tokenizer, prompts, settings.parallel, REPLY_TOKENS, done):
        yield from ((index, parse_grade(reply) or "a reply without a grade") for index, reply in replies.items())
