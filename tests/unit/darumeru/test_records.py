"""Records: both layouts give one, and what a task cannot use is refused with the field."""

import json
from collections import Counter
from pathlib import Path

import pytest
from darumeru import data
from darumeru.mmlu_subjects import CATEGORIES
from darumeru.prompts import choose_shots, conversation, make_items, make_shot
from darumeru.records import FIELDS, DataError, check, unified
from darumeru.specs import SPECS
from fixtures.darumeru import published, records, write_benchmark


@pytest.mark.parametrize("subset", FIELDS)
def test_a_missing_field_is_named(subset: str) -> None:
    record = next(rows[0] for (name, _), rows in records().items() if name == subset)
    check(subset, record, "here")
    for path in FIELDS[subset]:
        broken = json.loads(json.dumps(record))
        place = broken
        *outer, last = path.split(".")
        for part in outer:
            place = place[part]
        del place[last]
        with pytest.raises(DataError, match=f"here has no field '{path}'; found the columns"):
            check(subset, broken, "here")


def test_unknown_subject_and_empty_labels_are_refused() -> None:
    rows = records()
    question = {key: value for key, value in rows["nlpcore_mmlu", "test"][0].items() if key != "category"}
    with pytest.raises(DataError, match="not one of MMLU's"):
        check("nlpcore_mmlu", question, "here")
    check("nlpcore_mmlu", question | {"subject": "anatomy"}, "here")
    with pytest.raises(DataError, match="at least one index"):
        check("treeway", rows["treeway", "test"][0] | {"extractive_summary": []}, "here")


@pytest.mark.parametrize("index", [4, -1])
def test_a_summary_beyond_the_document_is_refused(index: int, tmp_path: Path) -> None:
    """No ranking could find such a sentence: with [0, 4] of four sentences the best would score half."""
    rows = [dict(row) for row in records()["treeway", "test"]]
    rows[2]["extractive_summary"] = [0, index]
    write_benchmark(tmp_path, records() | {("treeway", "test"): rows})
    message = rf"treeway, test, record 3: `extractive_summary` names sentence {index}, but `src_sents` has 4"
    with pytest.raises(DataError, match=message):
        data.load("treeway_extractive", darumeru_data=str(tmp_path))


@pytest.mark.parametrize("task", SPECS)
def test_the_published_layout_gives_the_same_conversation(task: str) -> None:
    """Messages with a closed lead in the rows for shots and an open one in the test, as the hub has them."""
    spec, ours, theirs = SPECS[task], records(), published()

    def turns(rows: dict) -> list[dict]:
        checks = {s: [checked(spec.subset, record) for record in rows[spec.subset, s]] for s in (spec.test, spec.shots)}
        first = make_items(spec, checks[spec.test][0], 0)[0]
        pool = [make_shot(spec, record, number) for number, record in enumerate(checks[spec.shots])]
        return conversation(spec, first, choose_shots(spec, first, pool, 2)), first["target"]

    assert turns(theirs) == turns(ours)


def checked(subset: str, record: dict) -> dict:
    record = unified(subset, record)
    check(subset, record, "here")
    return record


def test_a_lead_of_the_records_own_is_kept() -> None:
    record = {"messages": [{"role": "user", "content": "{text}?"}, {"role": "bot", "content": "Копия: кот"}]}
    record |= {"inputs": {"text": "кот"}, "outputs": "кот"}
    (item,) = make_items(SPECS["cp_sent_ru"], unified("cp_sent_ru", record), 7)
    assert (item["id"], item["user"], item["lead"], item["target"]) == ("7", "кот?", "Копия:", "кот")


def test_messages_of_another_shape_are_refused_with_the_columns() -> None:
    record = unified("rwsd", {"messages": ["?"], "inputs": {"text": ""}, "outputs": "Да"})
    with pytest.raises(DataError, match=r"no field 'instruction'; found the columns messages, outputs, inputs\.text"):
        check("rwsd", record, "here")


def test_subjects_of_mmlu() -> None:
    assert Counter(CATEGORIES.values()) == {"STEM": 18, "humanities": 13, "social sciences": 12, "other": 14}
