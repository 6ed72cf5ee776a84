"""Records from a hub, through the real client, or from a local folder: published whole or refused with one message."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from darumeru.sources import HUB
from fixtures.darumeru import published, records
from fixtures.darumeru_hub import OLD, fill, to_parquet
from fixtures.hub import FETCH, HubStub, python
from lep.manifest import verify

Change = Callable[[HubStub], object]


def fetch(hub: HubStub | None, home: Path, *arguments: object) -> subprocess.CompletedProcess:
    return python(hub, home, *FETCH, *map(str, arguments))


def pins(commit: str) -> list[str]:
    return [part for name, place in HUB.items() for part in ("--dataset", f"{name}={place.repository}@{commit}")]


def test_all_subsets_come_from_the_hub(hub: HubStub, tmp_path: Path) -> None:
    fill(hub)
    done = fetch(hub, tmp_path / "home", "benchmark", "--output", tmp_path / "out", *pins(OLD))
    assert done.returncode == 0, done.stderr
    manifest = verify(tmp_path / "out")
    assert manifest["config"] == {name: [place.repository, OLD] for name, place in HUB.items()}
    assert set(manifest["files"]) == {f"{subset}/{split}.jsonl" for subset, split in records()}
    for (subset, split), rows in records().items():
        text = (tmp_path / "out" / subset / f"{split}.jsonl").read_text(encoding="utf-8")
        found = [json.loads(line) for line in text.splitlines()]
        key = {"nlpcore_mmlu": "question_ru", "rucola": "sentence", "treeway": "src_sents"}.get(subset, "outputs")
        # the hub keeps subjects in folders, so MMLU's come subject by subject
        assert sorted(map(str, (row[key] for row in found))) == sorted(map(str, (row[key] for row in rows)))


def test_mmlu_comes_from_one_configuration_of_darumeru(hub: HubStub, tmp_path: Path) -> None:
    """As the authors' present code reads it: a column `subject` instead of a configuration for each."""
    fill(hub)
    hub.repositories.pop(HUB["nlpcore_mmlu"].repository)
    place = f"{HUB['darumeru'].repository}:mmlu_nlpcoreteam@{OLD}"
    where = [*pins(OLD), "--dataset", f"nlpcore_mmlu={place}"]
    done = fetch(hub, tmp_path / "home", "benchmark", "--output", tmp_path / "out", *where)
    assert done.returncode == 0, done.stderr
    read = (tmp_path / "out/nlpcore_mmlu/test.jsonl").read_text(encoding="utf-8").splitlines()
    questions = [(row["subject"], row["question_ru"]) for row in map(json.loads, read)]
    expected = [(row["subject"], row["question_ru"]) for row in published()["nlpcore_mmlu", "test"]]
    assert questions == expected
    manifest = verify(tmp_path / "out")
    assert manifest["config"]["nlpcore_mmlu"] == [HUB["darumeru"].repository, OLD, "mmlu_nlpcoreteam"]


def _files(hub: HubStub, name: str) -> dict[str, bytes]:
    return hub.repositories[HUB[name][0]][OLD]


LACKS = {
    "file": (
        lambda hub: _files(hub, "treeway").pop("default/test/0000.parquet"),
        r"dichspace/daru_treeway_eval at revision a{40} has no default/test/\*\.parquet",
    ),
    "repository": (
        lambda hub: hub.repositories.pop(HUB["darumeru"][0]),
        r"RefalMachine/darumeru at revision a{40} could not be read \(RepositoryNotFoundError\)",
    ),
    "revision": (
        lambda hub: hub.repositories[HUB["rucola"][0]].pop(OLD),
        r"RussianNLP/rucola at revision a{40} could not be read \(RevisionNotFoundError\)",
    ),
    "access": (
        lambda hub: hub.gated.add(HUB["nlpcore_mmlu"][0]),
        r"NLPCoreTeam/mmlu_ru at revision a{40} could not be read \(GatedRepoError\)",
    ),
    "column": (
        lambda hub: _files(hub, "rucola").update({"default/train/0000.parquet": to_parquet([{"x": 1}])}),
        "rucola, train of the hub, record 1 has no field 'sentence'; found the columns x",
    ),
}


@pytest.mark.parametrize(("change", "message"), LACKS.values(), ids=LACKS.keys())
def test_what_the_hub_lacks_is_one_message(hub: HubStub, tmp_path: Path, change: Change, message: str) -> None:
    fill(hub)
    change(hub)
    done = fetch(hub, tmp_path / "home", "benchmark", "--output", tmp_path / "out", *pins(OLD))
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    (line,) = [line for line in done.stderr.splitlines() if "error:" in line]
    assert re.search(message, line), line
    assert not (tmp_path / "out").exists()


def test_a_hub_that_does_not_answer_is_one_message(tmp_path: Path) -> None:
    dead = HubStub()
    dead.address = "http://127.0.0.1:9"
    done = fetch(dead, tmp_path / "home", "benchmark", "--output", tmp_path / "out", *pins(OLD))
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "could not be read" in done.stderr


def test_a_local_folder_needs_no_hub(tmp_path: Path) -> None:
    for (subset, split), rows in published().items():
        path = tmp_path / "mine" / subset / f"{split}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(to_parquet(rows))
    done = fetch(None, tmp_path, "benchmark", "--output", tmp_path / "out", "--data-dir", tmp_path / "mine")
    assert done.returncode == 0, done.stderr
    manifest = verify(tmp_path / "out")
    assert len(manifest["files"]) == len(records())
    assert str(tmp_path) not in json.dumps(manifest)
