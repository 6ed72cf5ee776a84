"""Calibration data: the data sets `self`, `saiga` and `saiga_copy` (paper sections 2.4.2, 2.4.3)."""

import json
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from pydantic.dataclasses import dataclass

from lep.calibration.copies import TEXTS
from lep.calibration.records import read_conversations, read_records
from lep.config import STRICT, UserError
from lep.files import hash_number, read_jsonl, write_jsonl
from lep.manifest import MANIFEST, publish, staging
from lep.names import CALIBRATIONS

RECIPE_VERSION = 2


@dataclass(frozen=True, config=STRICT)
class CalibrationRecipe:
    """Settings of one data set."""

    kind: str  # name of the calibration, a key of `lep.names.CALIBRATIONS`
    copy_examples: int = 0  # copy instructions to add
    copy_instruction: str = "Перепиши текст без изменений:\n{text}"  # their wording, with `{text}`
    minimum_score: int = 8  # lowest `opus_score` that is kept
    minimum_grade: int = 4  # lowest grade of the judge that is kept, 1-5
    validation_percent: int = 3  # per cent of the records that are held out, by hash
    seed: int = 42


def make_calibration_data(
    instructions: Path | None,
    answers: Path | None,
    copies: Path | None,
    target: Path,
    recipe: CalibrationRecipe,
) -> None:
    """Publish `target/train.jsonl` and `target/validation.jsonl`, each line `{"messages": [...], "source"}`.

    `instructions` (for `saiga`, `saiga_copy`) and `answers` (for `self`) are published folders or files; `copies`
    is the published folder of texts to copy, for calibrations with that task.
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
    if calibration.copies and recipe.copy_examples and copies is None:
        raise UserError(f"calibration {recipe.kind!r} needs texts to copy; give a path")
    if calibration.own_answers:
        kept = list(keep_graded(source, recipe.minimum_grade, counts))
    else:
        kept = list(keep_scored(source, recipe.minimum_score, counts))
    copies = copies if calibration.copies and recipe.copy_examples else None
    if copies:
        kept += copy_records(copies, recipe)
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
        parents={"source": _folder(source)} | ({"copies": copies} if copies else {}),
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


def copy_records(copies: Path, recipe: CalibrationRecipe) -> list[dict]:
    """Instructions to copy a text of the folder `copies` (see `lep.calibration.copies`); no text is used twice."""
    if "{text}" not in recipe.copy_instruction:
        raise UserError(
            f"calibration.copy_instruction {recipe.copy_instruction!r} has no {{text}}; add it where the text belongs"
        )
    texts = [record["text"] for record in read_jsonl(copies / TEXTS)]
    if len(texts) < recipe.copy_examples:
        raise UserError(
            f"the documents that pre-training leaves out give {len(texts)} texts that occur nowhere else ({copies}), "
            f"but {recipe.copy_examples} are needed; raise pretraining.reserve, widen calibration.copy_characters, or "
            "lower calibration.copy_examples"
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


def is_held_out(messages: list[dict], percent: int) -> bool:
    """Whether a record belongs to the validation part: its hash modulo 100 is among the `percent` highest values."""
    text = json.dumps(messages, ensure_ascii=False, sort_keys=True)
    return hash_number(text) % 100 >= 100 - percent


def _folder(source: Path) -> Path:
    return source if (source / MANIFEST).is_file() else source.parent
