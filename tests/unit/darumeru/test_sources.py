"""Sources of records: files of a folder, and a hub through the real client, pinned and offline."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow
import pytest
from darumeru import data
from darumeru.records import DataError
from darumeru.sources import BRANCH, HUB, UNPINNED, folder_records
from darumeru.specs import SPECS
from fixtures.darumeru import records
from fixtures.darumeru_hub import OLD, fill, to_parquet
from fixtures.hub import HubStub, python, serving
from pyarrow import parquet

NEW = "b" * 40


@pytest.fixture
def hub() -> Iterator[HubStub]:
    with serving() as stub:
        yield stub


def test_hub_references_name_a_revision() -> None:
    assert set(HUB) - {"darumeru"} <= {spec.subset for spec in SPECS.values()}
    assert all(revision == UNPINNED or len(revision) == 40 for _, revision, _ in HUB.values())


def test_missing_empty_and_broken_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="DARUMERU_DATA"):
        data.load("rcb", darumeru_data=str(tmp_path))
    path = tmp_path / "rcb" / "test.jsonl"
    path.parent.mkdir()
    path.write_text("")
    with pytest.raises(DataError, match="is empty"):
        data.load("rcb", darumeru_data=str(tmp_path))
    path.write_text("{}\n{")
    with pytest.raises(DataError, match="line 2 is not JSON"):
        data.load("rcb", darumeru_data=str(tmp_path))


LAYOUTS = {
    "one file": lambda folder, split: [folder / f"{split}.parquet"],
    "shards": lambda folder, split: [folder / f"{split}-0000{n}-of-00002.parquet" for n in (0, 1)],
    "folder": lambda folder, split: [folder / split / f"000{n}.parquet" for n in (0, 1)],
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("subset", ["multiq", "rucola", "treeway"])
def test_parquet_gives_the_items_of_jsonl(subset: str, layout: str, benchmark: Path, tmp_path: Path) -> None:
    for (name, split), rows in records().items():
        if name == subset:
            paths = LAYOUTS[layout](tmp_path / subset, split)
            for number, path in enumerate(paths):
                path.parent.mkdir(parents=True, exist_ok=True)
                half = rows[number * len(rows) // len(paths) : (number + 1) * len(rows) // len(paths)]
                parquet.write_table(pyarrow.Table.from_pylist(half), path)
    task = next(name for name, spec in SPECS.items() if spec.subset == subset)
    ours, theirs = (data.load(task, darumeru_data=str(place)) for place in (tmp_path, benchmark))
    assert {split: rows.to_list() for split, rows in ours.items()} == {k: rows.to_list() for k, rows in theirs.items()}


def test_mmlu_may_lie_in_a_folder_for_each_subject(tmp_path: Path) -> None:
    row = {"question_ru": "?", "choices_ru": ["а"] * 4, "question_en": "?", "choices_en": ["a"] * 4, "answer": 0}
    for subject in ("anatomy", "virology"):
        path = tmp_path / "nlpcore_mmlu" / subject / "test" / "0000.parquet"
        path.parent.mkdir(parents=True)
        parquet.write_table(pyarrow.Table.from_pylist([row]), path)
    assert [record["subject"] for record in folder_records(tmp_path, "nlpcore_mmlu", "test")] == ["anatomy", "virology"]


def test_a_damaged_parquet_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "rcb").mkdir()
    (tmp_path / "rcb" / "test.parquet").write_text("no")
    with pytest.raises(DataError, match=r"rcb/test\.parquet is not a Parquet file"):
        data.load("rcb", darumeru_data=str(tmp_path))


def test_the_pinned_commit_is_read_and_no_other(hub: HubStub, tmp_path: Path) -> None:
    """The branch has moved on; only a run that pins nothing sees the new records."""
    fill(hub, OLD)
    repository = HUB["rucola"][0]
    row = {"sentence": "Новое.", "label": 1}
    files = {f"default/{split}/0000.parquet": to_parquet([row]) for split in ("train", "validation")}
    hub.put(repository, NEW, files, BRANCH)
    code = "from darumeru.data import load; print(load('rucola', darumeru_revisions={})['test']['user'][0])"
    pinned = code.replace("{}", repr({"rucola": OLD}))
    first, second = (python(hub, tmp_path, "-c", text) for text in (pinned, code))
    assert first.stdout.strip().endswith("Текст: Кот спит 0."), first.stderr
    assert second.stdout.strip().endswith("Текст: Новое."), second.stderr
    assert "reading the newest revision" in second.stderr
    assert "reading the newest revision" not in first.stderr


def test_offline_after_one_fetch(hub: HubStub, tmp_path: Path) -> None:
    fill(hub)
    code = "from darumeru.data import load; print(len(load('rwsd', darumeru_revisions={'darumeru': 'COMMIT'})['test']))"
    code = code.replace("COMMIT", OLD)
    online = python(hub, tmp_path, "-c", code)
    hub.asked.clear()
    offline = python(None, tmp_path, "-c", code)
    assert (online.stdout, offline.stdout) == ("8\n", "8\n"), online.stderr + offline.stderr
    assert not hub.asked
    never = python(None, tmp_path / "empty", "-c", code)
    assert "RefalMachine/darumeru at revision aaaa" in never.stderr
    assert (
        "set DARUMERU_DATA to a local folder with {subset}/{split}.jsonl or .parquet" in never.stderr.splitlines()[-1]
    )
