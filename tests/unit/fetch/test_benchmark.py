"""Records and revisions from a hub, through the real client: pinned commits, the cache offline, clear refusals."""

import io
import json
import os
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow
import pytest
from darumeru.sources import BRANCH, HUB
from fixtures.darumeru import published, records
from fixtures.hub import HubStub, serving
from lep.manifest import verify
from pyarrow import parquet

Change = Callable[[HubStub], object]
OLD, NEW = "a" * 40, "b" * 40
SUBJECTS = {"звёзды": "anatomy", "kings": "virology"}  # of the fixture, as the hub names folders


@pytest.fixture
def hub() -> Iterator[HubStub]:
    with serving() as stub:
        yield stub


def to_parquet(rows: list[dict]) -> bytes:
    buffer = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(rows), buffer)
    return buffer.getvalue()


def fill(hub: HubStub, commit: str = OLD) -> None:
    """All four data sets of the benchmark as the hub's own Parquet copies."""
    folders: dict[str, dict[str, list[dict]]] = {name: defaultdict(list) for name in HUB}
    for (subset, split), rows in published().items():
        for row in rows:
            if subset == "nlpcore_mmlu":
                del row["category"]
                folder = SUBJECTS[row.pop("subject")]
            else:
                folder = "default" if subset in HUB else subset
            folders[subset if subset in HUB else "darumeru"][f"{folder}/{split}/0000.parquet"].append(row)
    for name, (repository, _) in HUB.items():
        hub.put(repository, commit, {path: to_parquet(rows) for path, rows in folders[name].items()}, BRANCH)


def python(hub: HubStub | None, home: Path, *arguments: str) -> subprocess.CompletedProcess:
    """A Python process that takes the stub for the hub, or (None) is offline."""
    unset = ("HF_HUB_OFFLINE", "HF_TOKEN", "DARUMERU_DATA")
    environment = {key: value for key, value in os.environ.items() if key not in unset} | {"HF_HOME": str(home)}
    environment |= {"HF_HUB_OFFLINE": "1"} if hub is None else {"HF_ENDPOINT": hub.address, "HF_HUB_DISABLE_XET": "1"}
    return subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False)


def fetch(hub: HubStub | None, home: Path, *arguments: object) -> subprocess.CompletedProcess:
    return python(hub, home, "-m", "lep.fetch", *map(str, arguments))


def pins(commit: str) -> list[str]:
    return [part for name, (repository, _) in HUB.items() for part in ("--dataset", f"{name}={repository}@{commit}")]


def test_all_subsets_come_from_the_hub(hub: HubStub, tmp_path: Path) -> None:
    fill(hub)
    done = fetch(hub, tmp_path / "home", "benchmark", "--output", tmp_path / "out", *pins(OLD))
    assert done.returncode == 0, done.stderr
    manifest = verify(tmp_path / "out")
    assert manifest["config"] == {name: [repository, OLD] for name, (repository, _) in HUB.items()}
    assert set(manifest["files"]) == {f"{subset}/{split}.jsonl" for subset, split in records()}
    for (subset, split), rows in records().items():
        text = (tmp_path / "out" / subset / f"{split}.jsonl").read_text(encoding="utf-8")
        found = [json.loads(line) for line in text.splitlines()]
        key = {"nlpcore_mmlu": "question_ru", "rucola": "sentence", "treeway": "src_sents"}.get(subset, "outputs")
        # the hub keeps subjects in folders, so MMLU's come subject by subject
        assert sorted(map(str, (row[key] for row in found))) == sorted(map(str, (row[key] for row in rows)))


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
    assert "is read without a fixed revision" in second.stderr
    assert "is read without a fixed revision" not in first.stderr


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
    assert "name a local folder with {subset}/{split}.jsonl or .parquet" in never.stderr.splitlines()[-1]


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


REFERENCES = ("model:some/model", "dataset:RefalMachine/darumeru@refs/convert/parquet")


def test_revisions_are_looked_up_once(hub: HubStub, tmp_path: Path) -> None:
    fill(hub)
    hub.put("some/model", NEW, {}, "main")
    lock = tmp_path / "sources.lock"
    assert fetch(hub, tmp_path, "lock", "--lock", lock, *REFERENCES).returncode == 0
    assert json.loads(lock.read_text()) == {REFERENCES[0]: NEW, REFERENCES[1]: OLD}
    hub.put("some/model", "c" * 40, {}, "main")
    assert fetch(hub, tmp_path, "lock", "--lock", lock, *REFERENCES).returncode == 0
    assert json.loads(lock.read_text())[REFERENCES[0]] == NEW


def test_what_cannot_be_looked_up_is_named_and_the_rest_is_kept(hub: HubStub, tmp_path: Path) -> None:
    fill(hub)
    hub.gated.add("some/model")
    lock = tmp_path / "sources.lock"
    done = fetch(hub, tmp_path, "lock", "--lock", lock, *REFERENCES)
    assert done.returncode == 1
    assert "some/model is gated" in done.stderr
    assert "Traceback" not in done.stderr
    assert json.loads(lock.read_text()) == {REFERENCES[1]: OLD}
    lock.write_text("no")
    assert "delete it and run `snakemake lock_sources` again" in fetch(hub, tmp_path, "lock", "--lock", lock).stderr
