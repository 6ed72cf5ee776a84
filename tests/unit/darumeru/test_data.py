"""The splits of a task: items from a folder, limits, the committed set."""

import json
import shutil
from pathlib import Path

import pytest
from darumeru import data
from darumeru.records import DataError
from darumeru.specs import SPECS
from fixtures.darumeru import ITEMS


@pytest.mark.parametrize("task", SPECS)
def test_every_task_reads_its_records(task: str, benchmark: Path) -> None:
    splits = data.load(task, darumeru_data=str(benchmark), pretrained="other metadata is ignored")
    expected = {"parus": 2 * ITEMS, "use": 52, "rcb": 9}.get(task, ITEMS)
    assert len(splits["test"]) == expected
    assert ("shots" in splits) == (task != "treeway_extractive")
    assert len(set(splits["test"]["id"])) == expected


def test_the_environment_names_the_folder(benchmark: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DARUMERU_DATA", str(benchmark))
    assert len(data.load("rwsd")["test"]) == ITEMS


def test_limit_keeps_pairs_and_whole_variants(benchmark: Path) -> None:
    place = str(benchmark)
    assert data.load("parus", place, 3)["test"]["id"][:] == ["0/0", "0/1", "1/0", "1/1", "2/0", "2/1"]
    assert len(data.load("use", place, 3)["test"]) == 26
    assert len(data.load("use", place, 30)["test"]) == 26
    assert len(data.load("use", place, 52)["test"]) == 52


@pytest.mark.parametrize("task", SPECS)
def test_the_committed_set_has_eight_items_a_task(task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DARUMERU_DATA", "another place")
    found = data.load(task, darumeru_tiny=True)
    assert len(found["test"]) == {"parus": 16, "use": 26}.get(task, 8)
    assert task == "treeway_extractive" or len(found["shots"]) >= 10


def changed(benchmark: Path, target: Path, subset: str, key: str, values: list) -> str:
    """A copy of the benchmark with other values of a key (below `meta` but for RuCoLA) in the first test records."""
    place = Path(shutil.copytree(benchmark, target))
    path = place / subset / f"{SPECS[subset].test}.jsonl"
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    for record, value in zip(records, values, strict=False):
        (record if subset == "rucola" else record["meta"])[key] = value
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return str(place)


@pytest.mark.parametrize("subset", ["rucola", "parus", "multiq"])
def test_an_id_of_null_is_no_id(subset: str, benchmark: Path, tmp_path: Path) -> None:
    """Not the text `None`, which all such records would share."""
    found = data.load(subset, darumeru_data=changed(benchmark, tmp_path / "b", subset, "id", [None] * ITEMS))["test"]
    assert len(set(found["id"])) == len(found)
    assert "None" not in "".join(found["id"])
    if subset == "parus":
        assert len({json.loads(meta)["pair"] for meta in found["meta"]}) == len(found) / 2


def test_pairs_that_would_be_one_are_refused(benchmark: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"several records have the `meta.id` 7, and would be scored as one pair"):
        data.load("parus", darumeru_data=changed(benchmark, tmp_path / "b", "parus", "id", [7, 7]))


@pytest.mark.parametrize("key", ["variant", "id_task", "type"])
def test_a_group_of_null_is_refused(key: str, benchmark: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"record 1: `meta.{key}` is None; write its name or number"):
        data.load("use", darumeru_data=changed(benchmark, tmp_path / "b", "use", key, [None]))
