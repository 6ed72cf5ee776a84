"""Records: what is read, what is refused and how items come from them."""

import json
from collections import Counter
from pathlib import Path

import pytest
from darumeru import data
from darumeru.prompts import make_items
from darumeru.specs import SPECS
from darumeru.subjects import CATEGORIES
from darumeru_fixtures import ITEMS, records, write_benchmark


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_benchmark(tmp_path_factory.mktemp("benchmark"))


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


@pytest.mark.parametrize("subset", data.FIELDS)
def test_a_missing_field_is_named(subset: str) -> None:
    record = next(rows[0] for (name, _), rows in records().items() if name == subset)
    data.check(subset, record, "here")
    for path in data.FIELDS[subset]:
        broken = json.loads(json.dumps(record))
        place = broken
        *outer, last = path.split(".")
        for part in outer:
            place = place[part]
        del place[last]
        with pytest.raises(data.DataError, match=f"here has no field '{path}'; found the columns"):
            data.check(subset, broken, "here")


def test_unknown_subject_and_empty_labels_are_refused() -> None:
    rows = records()
    question = {key: value for key, value in rows["nlpcore_mmlu", "test"][0].items() if key != "category"}
    with pytest.raises(data.DataError, match="not one of MMLU's"):
        data.check("nlpcore_mmlu", question, "here")
    data.check("nlpcore_mmlu", question | {"subject": "anatomy"}, "here")
    with pytest.raises(data.DataError, match="at least one index"):
        data.check("treeway", rows["treeway", "test"][0] | {"extractive_summary": []}, "here")


def test_missing_empty_and_broken_files(tmp_path: Path) -> None:
    with pytest.raises(data.DataError, match="DARUMERU_DATA"):
        data.load("rcb", darumeru_data=str(tmp_path))
    path = tmp_path / "rcb" / "test.jsonl"
    path.parent.mkdir()
    path.write_text("")
    with pytest.raises(data.DataError, match="is empty"):
        data.load("rcb", darumeru_data=str(tmp_path))
    path.write_text("{}\n{")
    with pytest.raises(data.DataError, match="line 2 is not JSON"):
        data.load("rcb", darumeru_data=str(tmp_path))


def test_limit_keeps_pairs_and_whole_variants(benchmark: Path) -> None:
    place = str(benchmark)
    assert data.load("parus", place, 3)["test"]["id"][:] == ["0/0", "0/1", "1/0", "1/1", "2/0", "2/1"]
    assert len(data.load("use", place, 3)["test"]) == 26
    assert len(data.load("use", place, 30)["test"]) == 26
    assert len(data.load("use", place, 52)["test"]) == 52


def test_parus_has_both_orders() -> None:
    record = records()["parus", "test"][1]
    first, second = make_items(SPECS["parus"], record, 0)
    assert (first["target"], second["target"]) == ("2", "1")
    assert first["user"].endswith("1. Шёл дождь\n2. Светило солнце")
    assert second["user"].endswith("1. Светило солнце\n2. Шёл дождь")
    assert json.loads(first["meta"]) == json.loads(second["meta"]) == {"pair": "1"}


def test_subjects_of_mmlu() -> None:
    assert Counter(CATEGORIES.values()) == {"STEM": 18, "humanities": 13, "social sciences": 12, "other": 14}


def test_hub_references_name_a_revision() -> None:
    assert set(data.HUB) == {spec.subset for spec in SPECS.values()}
    assert all(revision == data.UNPINNED or len(revision) == 40 for _, _, revision in data.HUB.values())
