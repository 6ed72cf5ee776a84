"""Records of the benchmark: a local folder `{subset}/{split}.jsonl`, or the data sets of the hub.

The folder comes from the task metadata `darumeru_data` or the environment variable DARUMERU_DATA; without both the
hub is read. `load` is the `custom_dataset` of every task: it returns items (`prompts.make_items`), not records.
"""

import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path

from darumeru.prompts import make_items
from darumeru.specs import SPECS, Spec
from darumeru.subjects import CATEGORIES

logger = logging.getLogger(__name__)

UNPINNED = "unpinned"  # the revision that the paper used is not known
# Repository, configuration (None: one a subject) and revision of each subset on the hub.
_DARUMERU = "RefalMachine/darumeru"
HUB = {spec.subset: (_DARUMERU, spec.subset, UNPINNED) for spec in SPECS.values()} | {
    "nlpcore_mmlu": ("NLPCoreTeam/mmlu_ru", None, UNPINNED),
    "rucola": ("RussianNLP/rucola", "default", UNPINNED),
    "treeway": ("dichspace/daru_treeway_eval", "default", UNPINNED),
}
TREEWAY_ITEMS = 500  # the paper scores the first 500 documents
VARIANT = 26  # questions of one variant of the exam USE

_OPTIONS = [f"inputs.option_{letter}" for letter in "abcd"]
_COMMON = ["instruction", "inputs", "outputs", "meta.id"]
_COPY = [*_COMMON, "inputs.text"]
FIELDS = {
    "rummlu": [*_COMMON, "inputs.text", *_OPTIONS],
    "ruopenbookqa": [*_COMMON, "inputs.question", *_OPTIONS],
    "ruworldtree": [*_COMMON, "inputs.question", *_OPTIONS],
    "parus": [*_COMMON, "inputs.premise", "inputs.choice1", "inputs.choice2"],
    "rcb": [*_COMMON, "inputs.premise", "inputs.hypothesis"],
    "rwsd": [*_COMMON, "inputs.text", "inputs.span1_text", "inputs.span2_text"],
    "multiq": [*_COMMON, "inputs.support_text", "inputs.text", "inputs.question"],
    "use": [*_COMMON, "inputs.task", "inputs.text", "meta.id_task", "meta.variant", "meta.type"],
    "nlpcore_mmlu": ["subject", "question_ru", "choices_ru", "question_en", "choices_en", "answer"],
    "rucola": ["id", "sentence", "acceptable"],
    "treeway": ["src_sents", "summary_sents", "extractive_summary"],
    "cp_sent_en": _COPY, "cp_para_en": _COPY, "cp_sent_ru": _COPY, "cp_para_ru": _COPY,
}  # fmt: skip


class DataError(ValueError):
    """Records that are missing or lack a field."""


def load(darumeru_task: str, darumeru_data: str | None = None, darumeru_limit: int | None = None, **_: object) -> dict:
    """The items of a task as `{"test": Dataset, "shots": Dataset}`.

    `darumeru_limit` keeps the first records of the test split (whole variants of the exam). The harness passes all
    metadata of the task; other keys are ignored.
    """
    from datasets import Dataset

    spec = SPECS[darumeru_task]
    place = darumeru_data or os.environ.get("DARUMERU_DATA")
    test = read_records(spec.subset, spec.test, place)
    if spec.subset == "treeway":
        test = test[:TREEWAY_ITEMS]
    if darumeru_limit:
        test = _first(spec, test, int(darumeru_limit))
    splits = {"test": test}
    if spec.kind != "rank":
        splits["shots"] = read_records(spec.subset, spec.shots, place)
    return {
        split: Dataset.from_list([item for row, record in enumerate(records) for item in make_items(spec, record, row)])
        for split, records in splits.items()
        if records
    }


def read_records(subset: str, split: str, place: str | None) -> list[dict]:
    """The checked records of one split, from the folder `place` or (None) from the hub."""
    if place is None:
        records, where = list(_hub_records(subset, split)), f"{HUB[subset][0]} ({subset}, {split})"
    else:
        path = Path(place) / subset / f"{split}.jsonl"
        records, where = _file_records(path), str(path)
    for number, record in enumerate(records, 1):
        check(subset, record, f"{where}, record {number}")
    if subset == "use" and split == "test":
        records.sort(key=lambda record: record["meta"]["variant"])
    return records


def check(subset: str, record: dict, where: str) -> None:
    """Raise `DataError` naming the field that a record lacks and what it has instead."""
    for field in FIELDS[subset]:
        value: object = record
        for part in field.split("."):
            if not isinstance(value, dict) or part not in value:
                raise DataError(f"{where} has no field {field!r}; found the columns {', '.join(_columns(record))}")
            value = value[part]
    if subset == "treeway" and not record["extractive_summary"]:
        raise DataError(f"{where}: `extractive_summary` is empty; each document needs at least one index")
    if subset == "nlpcore_mmlu" and not record.get("category") and record["subject"] not in CATEGORIES:
        raise DataError(f"{where}: subject {record['subject']!r} is not one of MMLU's; add a field `category`")


def _columns(record: dict) -> list[str]:
    nested = {key: value for key, value in record.items() if isinstance(value, dict)}
    return [key for key in record if key not in nested] + [f"{key}.{k}" for key, value in nested.items() for k in value]


def _first(spec: Spec, records: list[dict], limit: int) -> list[dict]:
    """The first records; of the exam the first variants, as only whole variants can be graded."""
    if spec.subset != "use":
        return records[:limit]
    variants = list(dict.fromkeys(record["meta"]["variant"] for record in records))[: max(1, limit // VARIANT)]
    return [record for record in records if record["meta"]["variant"] in variants]


def _file_records(path: Path) -> list[dict]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise DataError(
            f"{path} does not exist; DARUMERU_DATA (or the metadata `darumeru_data`) must name a folder "
            "with {subset}/{split}.jsonl"
        ) from None
    records = []
    for number, line in enumerate(lines, 1):
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError as error:
            raise DataError(f"{path}, line {number} is not JSON: {error}") from None
    if not records:
        raise DataError(f"{path} is empty")
    return records


def _hub_records(subset: str, split: str) -> Iterator[dict]:
    from datasets import load_dataset

    repository, configuration, revision = HUB[subset]
    if revision == UNPINNED:
        logger.warning("%s is read without a fixed revision: the one of the paper is not known", repository)
    for name in sorted(CATEGORIES) if configuration is None else [configuration]:
        rows = load_dataset(repository, name, split=split, revision=None if revision == UNPINNED else revision)
        yield from ({"subject": name, **row} if configuration is None else dict(row) for row in rows)
