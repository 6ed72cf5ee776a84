"""The border of benchmark records: a record that makes no question is refused with its place and field."""

import copy
import json
from pathlib import Path

import pytest
from darumeru.data import load
from darumeru.records import DataError
from darumeru.specs import SPECS
from fixtures.darumeru import records
from fixtures.hostile import WEIRD, changed, held, leaves
from hypothesis import given
from hypothesis import strategies as some

RECORDS = records()
ROWS = [
    ("rcb", "instruction", None, "`instruction` is None; write text"),
    ("rcb", "instruction", "{premise", "rcb, test, record 2 makes no question of rcb"),
    ("rcb", "instruction", "{other}", "makes no question of rcb (KeyError('other'))"),
    ("rcb", "instruction", "{0}", "makes no question"),
    ("rcb", "inputs", [], "has no field 'inputs.premise'"),
    ("rcb", "inputs.premise", None, "`inputs.premise` is None; write text"),
    ("rcb", "inputs.premise", 5, "`inputs.premise` is 5; write text"),
    ("rcb", "inputs.hypothesis", "\ud800", "`inputs.hypothesis` is"),
    ("rcb", "outputs", 3, "`outputs` is 3; write text"),
    ("rcb", "outputs", ["3"], "`outputs` is ['3']; write text"),
    ("rcb", "meta", "text", "makes no question"),
    ("parus", "outputs", "3", "makes no question of parus (KeyError('3'))"),
    ("multiq", "outputs", [], "`outputs` is []; write text, or a list of texts"),
    ("multiq", "outputs", [None], "`outputs` is [None]; write text, or a list of texts"),
    ("nlpcore_rummlu", "choices_ru", "да", "write a list of 4 texts"),
    ("nlpcore_rummlu", "choices_ru", ["да"], "write a list of 4 texts"),
    ("nlpcore_rummlu", "answer", 4, "`answer` is 4; write a number from 0 to 3"),
    ("nlpcore_rummlu", "answer", "A", "`answer` is 'A'; write a number from 0 to 3"),
    ("nlpcore_rummlu", "subject", None, "`subject` is None; write text"),
    ("rucola", "acceptable", True, "`acceptable` is True; write 0 or 1"),
    ("rucola", "acceptable", 2, "`acceptable` is 2; write 0 or 1"),
    ("treeway_extractive", "src_sents", "Текст", "write a list of texts"),
    ("treeway_extractive", "src_sents", [1, 2, 3, 4], "write a list of texts"),
    ("treeway_extractive", "extractive_summary", ["0"], "write a list of indices"),
    ("treeway_extractive", "extractive_summary", [99], "names sentence 99"),
    ("use", "meta.variant", "x", "`meta.variant` is a number in some records and text in"),
]  # fmt: skip


def read(task: str, changes: list[tuple[str, object]], folder: Path) -> str:
    """The message for a benchmark whose second record has other values; "" if it is read."""
    spec = SPECS[task]
    for split in (spec.test, spec.shots):
        found = copy.deepcopy(RECORDS[spec.subset, split])
        for key, value in changes if split == spec.test else ():
            found[1] = changed(found[1], key, value)
        (folder / spec.subset).mkdir(exist_ok=True)
        text = "".join(json.dumps(record) + "\n" for record in found)
        (folder / spec.subset / f"{split}.jsonl").write_text(text, encoding="utf-8")
    try:
        load(task, str(folder))
    except DataError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("task", SPECS)
def test_good_records_are_read(task: str, tmp_path: Path) -> None:
    assert read(task, [], tmp_path) == ""


@pytest.mark.parametrize(("task", "key", "value", "words"), ROWS, ids=range(len(ROWS)))
def test_a_bad_record_is_named(task: str, key: str, value: object, words: str, tmp_path: Path) -> None:
    message = read(task, [(key, value)], tmp_path)
    assert words in message
    assert SPECS[task].subset in message


@held
@given(data=some.data(), task=some.sampled_from(sorted(SPECS)), value=some.sampled_from([*WEIRD, "{x.y}", "{0}", "{"]))
def test_any_change_is_read_or_refused(data: some.DataObject, task: str, value: object, tmp_path: Path) -> None:
    record = RECORDS[SPECS[task].subset, SPECS[task].test][1]
    read(task, [(data.draw(some.sampled_from(leaves(record))), value)], tmp_path)
