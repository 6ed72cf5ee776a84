"""Records: what is read, what is refused and how items come from them."""

import json
from collections import Counter
from pathlib import Path

import pyarrow
import pytest
from darumeru import data
from darumeru.mmlu_subjects import CATEGORIES
from darumeru.prompts import choose_shots, conversation, make_items, make_shot
from darumeru.records import FIELDS, DataError, check, unified
from darumeru.sources import HUB, UNPINNED, folder_records
from darumeru.specs import SPECS
from fixtures.darumeru import ITEMS, published, records, write_benchmark
from pyarrow import parquet


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


def test_shots_of_parus_are_records_each_once(benchmark: Path) -> None:
    """Five shots are five records in their order, none of them turned round."""
    spec, splits = SPECS["parus"], data.load("parus", darumeru_data=str(benchmark))
    first = splits["test"][0]
    shots = choose_shots(spec, first, list(splits["shots"]), 5)
    given = records()["parus", "prompt"][:5]
    assert [shot["id"] for shot in shots] == [f"{record['meta']['id']}/0" for record in given]
    assert [shot["target"] for shot in shots] == [record["outputs"] for record in given]


def test_subjects_of_mmlu() -> None:
    assert Counter(CATEGORIES.values()) == {"STEM": 18, "humanities": 13, "social sciences": 12, "other": 14}


def test_hub_references_name_a_revision() -> None:
    assert set(HUB) - {"darumeru"} <= {spec.subset for spec in SPECS.values()}
    assert all(revision == UNPINNED or len(revision) == 40 for _, revision in HUB.values())


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


def test_the_committed_items_are_what_the_verses_give(tmp_path: Path) -> None:
    """Byte for byte, so nothing but the public-domain verses of the fixture can be in them."""
    from lep.stand_ins.benchmark import tiny

    root = Path(__file__).parents[3]
    tiny.make_tiny(root / tiny.CORPUS, tmp_path)
    made, kept = (
        {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*.jsonl"))}
        for folder in (tmp_path, data.TINY)
    )
    assert made.keys() == kept.keys()
    assert made == kept


@pytest.mark.parametrize("task", SPECS)
def test_the_committed_set_has_eight_items_a_task(task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DARUMERU_DATA", "another place")
    found = data.load(task, darumeru_tiny=True)
    assert len(found["test"]) == {"parus": 16, "use": 26}.get(task, 8)
    assert task == "treeway_extractive" or len(found["shots"]) >= 10
