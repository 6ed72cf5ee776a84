"""The splits of a task: items from a folder, limits, the committed set."""

from pathlib import Path

import pytest
from darumeru import data
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
