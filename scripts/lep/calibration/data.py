"""The three data sets of the calibration: `self`, `saiga`, `saiga_copy` (paper sections 2.4.2, 2.4.3)."""

import dataclasses
import itertools
import json
import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from pydantic.dataclasses import dataclass

from lep.config import STRICT, UserError
from lep.files import hash_number, read_jsonl, write_jsonl
from lep.manifest import MANIFEST, publish, staging
from lep.pretraining.selection import is_reserved

RECIPE_VERSION = 2
_NO_LETTER = re.compile(r"[\W_]+")
ROLES = {"bot": "assistant", "assistant": "assistant", "user": "user", "system": "system"}


@dataclass(frozen=True, config=STRICT)
class CalibrationRecipe:
    """What decides a data set.

    `copy_examples` instructions to copy a text of `copy_characters` (least, most) characters, worded
    `copy_instruction` with `{text}`, come from the documents that `reserve` (the value of the packing)
    keeps from pre-training; `copy_domains` narrows them (empty: all). Records of `validation_percent` of the
    hashes are held out.
    """

    kind: Literal["self", "saiga", "saiga_copy"]
    copy_examples: int = 0
    copy_instruction: str = "Перепиши текст без изменений:\n{text}"
    copy_characters: tuple[int, int] = (30, 140)
    copy_language: str = "ru"
    copy_domains: list[str] = dataclasses.field(default_factory=list)
    reserve: float = 0.05
    minimum_score: int = 8
    minimum_grade: int = 4
    validation_percent: int = 3
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

    `instructions` (for `saiga`, `saiga_copy`) and `answers` (for `self`) are published folders or files. No text to
    copy is in another document of `documents` or in the files and folders `held_out` (the benchmark).
    """
    counts: Counter = Counter()
    source = answers if recipe.kind == "self" else instructions
    if source is None:
        raise UserError(
            f"calibration data {recipe.kind!r} need {'answers' if recipe.kind == 'self' else 'instructions'}"
        )
    if recipe.kind == "self":
        kept = list(keep_graded(source, recipe.minimum_grade, counts))
    else:
        kept = list(keep_scored(source, recipe.minimum_score, counts))
    if recipe.kind != "saiga":
        kept += copy_records(documents, recipe, held_out)
    train = [record for record in kept if not is_held_out(record["messages"], recipe.validation_percent)]
    validation = [record for record in kept if is_held_out(record["messages"], recipe.validation_percent)]
    random.Random(recipe.seed).shuffle(train)
    if not train:
        raise UserError(f"{source} leaves no example for {recipe.kind!r}; lower the minimum score or grade")
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
    """Records of `saiga_scored` that are not bad by regex and scored at least `minimum_score`, or not scored."""
    for record in read_records(source):
        score = record.get("opus_score")
        if record.get("is_bad_by_regex"):
            reason = "regex_bad"
        elif score is not None and score < minimum_score:
            reason = "low_score"
        else:
            reason = "kept"
        counts[reason] += 1
        if reason == "kept":
            yield {"messages": _messages(record, source), "source": record.get("source") or "saiga"}


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
    """Instructions to copy a text, each from other paragraphs of the reserved documents.

    Paragraphs that pre-training or the `held_out` files hold as well, such as formulas that recur, are not used.
    """
    if "{text}" not in recipe.copy_instruction:
        raise UserError(
            f"calibration.copy_instruction {recipe.copy_instruction!r} has no {{text}}; write where it goes"
        )
    if not recipe.copy_examples:
        return []
    reserved = []
    for document in read_jsonl(documents):
        domains = recipe.copy_domains or [document["domain"]]
        fits = document["language"] == recipe.copy_language and document["domain"] in domains
        if fits and is_reserved(document["group"], recipe.reserve, recipe.seed):
            reserved.append([p["text"] for p in document["paragraphs"]])
    candidates = {_key(text) for texts in reserved for text in texts}
    elsewhere = {key for key in _other_paragraphs(documents, recipe, held_out) if key in candidates}
    texts = []
    for paragraphs in reserved:
        for usable, run in itertools.groupby(paragraphs, key=lambda text: _key(text) not in elsewhere):
            if usable:
                texts += join_paragraphs(list(run), *recipe.copy_characters)
    if len(texts) < recipe.copy_examples:
        raise UserError(
            f"the reserved documents of {documents} give {len(texts)} texts of {recipe.copy_characters} characters "
            f"that stand nowhere else, {recipe.copy_examples} are wanted; raise the reserved share or lower "
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
    """Keys of all paragraphs of pre-training and of all lines of text in the held-out files."""
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
    """A text without case, punctuation and spaces: what makes two paragraphs the same."""
    return _NO_LETTER.sub("", text.casefold())


def join_paragraphs(paragraphs: list[str], least: int, most: int) -> list[str]:
    """Texts of whole neighbouring paragraphs with `least` to `most` characters, no paragraph in two of them."""
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
    """True for the records of the validation part: a hash of the messages modulo 100, from the top."""
    text = json.dumps(messages, ensure_ascii=False, sort_keys=True)
    return hash_number(text) % 100 >= 100 - percent


def read_records(source: Path) -> Iterator[dict]:
    """Records of a JSONL or Parquet file, or of all such files of a folder in the order of their names."""
    paths = [source] if source.is_file() else sorted(p for p in source.rglob("*") if p.suffix in (".jsonl", ".parquet"))
    if not paths:
        raise UserError(f"{source} holds no .jsonl and no .parquet file; give instructions in one of these formats")
    for path in paths:
        if path.suffix == ".parquet":
            import pyarrow.parquet

            for batch in pyarrow.parquet.ParquetFile(path).iter_batches():
                yield from batch.to_pylist()
        else:
            yield from read_jsonl(path)


def _messages(record: dict, source: Path) -> list[dict]:
    unknown = {message["role"] for message in record["messages"]} - ROLES.keys()
    if unknown:
        raise UserError(f"{source}: messages of role {sorted(unknown)}; known roles are {sorted(ROLES)}")
    return [{"role": ROLES[m["role"]], "content": m["content"]} for m in record["messages"]]


def _folder(source: Path) -> Path:
    return source if (source / MANIFEST).is_file() else source.parent
