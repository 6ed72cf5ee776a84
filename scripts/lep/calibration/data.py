"""Calibration data: the data sets `self`, `saiga` and `saiga_copy` (paper sections 2.4.2, 2.4.3)."""

import dataclasses
import itertools
import json
import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic.dataclasses import dataclass

from lep.calibration.records import read_conversations, read_records
from lep.config import STRICT, UserError
from lep.files import hash_number, read_jsonl, write_jsonl
from lep.manifest import MANIFEST, publish, staging
from lep.names import CALIBRATIONS
from lep.pretraining.selection import is_reserved

RECIPE_VERSION = 2
_NO_LETTER = re.compile(r"[\W_]+")


@dataclass(frozen=True, config=STRICT)
class CalibrationRecipe:
    """Settings of one data set."""

    kind: str  # name of the calibration, a key of `lep.names.CALIBRATIONS`
    copy_examples: int = 0  # copy instructions to add
    copy_instruction: str = "Перепиши текст без изменений:\n{text}"  # their wording, with `{text}`
    copy_characters: tuple[int, int] = (30, 140)  # shortest and longest text to copy
    copy_language: str = "ru"  # language of the texts to copy
    copy_domains: list[str] = dataclasses.field(default_factory=list)  # domains of these texts; empty = all
    reserve: float = 0.05  # share of document groups that pre-training leaves out; texts to copy come from these
    minimum_score: int = 8  # lowest `opus_score` that is kept
    minimum_grade: int = 4  # lowest grade of the judge that is kept, 1-5
    validation_percent: int = 3  # per cent of the records that are held out, by hash
    seed: int = 42


def make_calibration_data(
    instructions: Path | None,
    answers: Path | None,
    documents: Path,
    target: Path,
    recipe: CalibrationRecipe,
    held_out: Sequence[Path] = (),
) -> None:
    """Publish `target/train.jsonl` and `target/validation.jsonl`, each line `{"messages": [...], "source"}`.

    `instructions` (for `saiga`, `saiga_copy`) and `answers` (for `self`) are published folders or files. Texts to copy
    come from `documents` and occur neither in another of its documents nor in `held_out` (benchmark files or folders).
    """
    counts: Counter = Counter()
    if recipe.kind not in CALIBRATIONS:
        raise UserError(f"unknown calibration {recipe.kind!r}; use one of {', '.join(CALIBRATIONS)}")
    calibration = CALIBRATIONS[recipe.kind]
    source = answers if calibration.own_answers else instructions
    if source is None:
        raise UserError(
            f"calibration {recipe.kind!r} needs {'answers' if calibration.own_answers else 'instructions'}; give a path"
        )
    if calibration.own_answers:
        kept = list(keep_graded(source, recipe.minimum_grade, counts))
    else:
        kept = list(keep_scored(source, recipe.minimum_score, counts))
    if calibration.copies:
        kept += copy_records(documents, recipe, held_out)
    train = [record for record in kept if not is_held_out(record["messages"], recipe.validation_percent)]
    validation = [record for record in kept if is_held_out(record["messages"], recipe.validation_percent)]
    random.Random(recipe.seed).shuffle(train)
    if not train:
        raise UserError(f"{source}: no example is left for {recipe.kind!r}; lower the minimum score or grade")
    folder = staging(target)
    write_jsonl(folder / "train.jsonl", train)
    write_jsonl(folder / "validation.jsonl", validation)
    sources = Counter(f"source/{record['source']}" for record in train)
    publish(
        folder,
        target,
        recipe_version=RECIPE_VERSION,
        parents={"source": _folder(source), "corpus": documents.parent},
        seed=recipe.seed,
        config=dict(vars(recipe)),
        facts={**counts, **sources, "train": len(train), "validation": len(validation)},
    )


def keep_scored(source: Path, minimum_score: int, counts: Counter) -> Iterator[dict]:
    """Records of `saiga_scored` with `opus_score` >= `minimum_score` or without a score, and not `is_bad_by_regex`."""
    for record in read_conversations(source):
        score = record.get("opus_score")
        if record.get("is_bad_by_regex"):
            reason = "regex_bad"
        elif score is not None and score < minimum_score:
            reason = "low_score"
        else:
            reason = "kept"
        counts[reason] += 1
        if reason == "kept":
            yield {"messages": record["messages"], "source": record.get("source") or "saiga"}


def keep_graded(source: Path, minimum_grade: int, counts: Counter) -> Iterator[dict]:
    """Answered prompts with a grade of at least `minimum_grade`; answers the judge could not grade are dropped."""
    for record in read_records(source):
        grade = record["grade"]
        reason = "ungraded" if grade is None else "kept" if grade >= minimum_grade else "low_grade"
        counts[reason] += 1
        if reason == "kept":
            answer = {"role": "assistant", "content": record["answer"]}
            yield {"messages": [*record["messages"], answer], "source": "self"}


def copy_records(documents: Path, recipe: CalibrationRecipe, held_out: Sequence[Path] = ()) -> list[dict]:
    """Instructions to copy a text of the reserved documents; no paragraph is used twice.

    Paragraphs that also occur in the pre-training text or in `held_out`, such as recurring formulas, are not used.
    """
    if "{text}" not in recipe.copy_instruction:
        raise UserError(
            f"calibration.copy_instruction {recipe.copy_instruction!r} has no {{text}}; add it where the text belongs"
        )
    if not recipe.copy_examples:
        return []
    # Reserved documents of the wanted language and domains.
    reserved = []
    for document in read_jsonl(documents):
        domains = recipe.copy_domains or [document["domain"]]
        fits = document["language"] == recipe.copy_language and document["domain"] in domains
        if fits and is_reserved(document["group"], recipe.reserve, recipe.seed):
            reserved.append([p["text"] for p in document["paragraphs"]])
    # A paragraph that the model sees elsewhere would be recalled instead of copied. Only the keys of reserved
    # paragraphs are kept, so memory does not grow with the whole corpus.
    candidates = {_key(text) for texts in reserved for text in texts}
    elsewhere = {key for key in _other_paragraphs(documents, recipe, held_out) if key in candidates}
    # Join neighbours up to the length limit; a dropped paragraph ends a text.
    texts = []
    for paragraphs in reserved:
        for usable, run in itertools.groupby(paragraphs, key=lambda text: _key(text) not in elsewhere):
            if usable:
                texts += join_paragraphs(list(run), *recipe.copy_characters)
    if len(texts) < recipe.copy_examples:
        raise UserError(
            f"the reserved documents of {documents} give {len(texts)} texts of {recipe.copy_characters} characters "
            f"that occur nowhere else, but {recipe.copy_examples} are needed; raise the reserved share or lower "
            "calibration.copy_examples"
        )
    chosen = random.Random(f"{recipe.seed}/copy").sample(texts, recipe.copy_examples)
    return [
        {
            "messages": [
                {"role": "user", "content": recipe.copy_instruction.replace("{text}", text)},
                {"role": "assistant", "content": text},
            ],
            "source": "copy",
        }
        for text in chosen
    ]


def _other_paragraphs(documents: Path, recipe: CalibrationRecipe, held_out: Sequence[Path]) -> Iterator[str]:
    """Keys of all pre-training paragraphs and of all text lines in the held-out files."""
    for document in read_jsonl(documents):
        if not is_reserved(document["group"], recipe.reserve, recipe.seed):
            yield from (_key(paragraph["text"]) for paragraph in document["paragraphs"])
    for source in held_out:
        for record in read_records(source):
            yield from (_key(line) for text in _strings(record) for line in text.split("\n"))


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _strings(part)


def _key(text: str) -> str:
    """The text in lower case without punctuation and spaces. Paragraphs with equal keys count as the same."""
    return _NO_LETTER.sub("", text.casefold())


def join_paragraphs(paragraphs: list[str], least: int, most: int) -> list[str]:
    """Join neighbouring paragraphs into texts of `least` to `most` characters; each paragraph is used at most once."""
    texts, current = [], ""
    for paragraph in paragraphs:
        joined = f"{current}\n{paragraph}" if current else paragraph
        if len(joined) > most:
            if len(current) >= least:
                texts.append(current)
            joined = paragraph
        current = joined if len(joined) <= most else ""
    return [*texts, current] if len(current) >= least else texts


def is_held_out(messages: list[dict], percent: int) -> bool:
    """Whether a record belongs to the validation part: its hash modulo 100 is among the `percent` highest values."""
    text = json.dumps(messages, ensure_ascii=False, sort_keys=True)
    return hash_number(text) % 100 >= 100 - percent


def _folder(source: Path) -> Path:
    return source if (source / MANIFEST).is_file() else source.parent
