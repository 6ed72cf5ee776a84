"""Models and data sets from a hub, through the real client: pinned, hashed, resumed, or refused with one message."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from fixtures.hub import FETCH, HubStub, python, serving
from fixtures.hub_layouts import FOREIGN, SMALL, STATES
from fixtures.models import TEMPLATE, byte_level, make_model
from lep.manifest import MANIFEST, verify
from lep.models.store import import_model

OLD, NEW = "a" * 40, "b" * 40
TOKEN = "hf_onlyForThisTest"
CHUNK = 10 * 2**20  # the client writes in blocks of this size
WEIGHTS = bytes(range(256)) * 2**14 * 3


def index(*files: str) -> bytes:
    """The index of weights that are spread over `files`."""
    return json.dumps({"weight_map": {f"tensor{number}": file for number, file in enumerate(files)}}).encode()


MODEL = {
    "config.json": b"{}",
    "model-00001-of-00002.safetensors": WEIGHTS,
    "model-00002-of-00002.safetensors": b"weights",
    "model.safetensors.index.json": index("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"),
    "tokenizer.json": b"{}",
    "tokenizer.model": b"pieces",
    "chat_template.jinja": b"{{ x }}",
}
PICKLE_AND_CODE = dict.fromkeys(
    ("pytorch_model.bin", "original/consolidated.00.pth", "modeling_evil.py", "cache.pkl"), b"never"
)
DATASET = {"README.md": b"words", "data/train.parquet": b"rows", "data/test.jsonl.zst": b"lines"}


def fetch(
    hub: HubStub,
    folder: Path,
    kind: str = "model",
    revision: str = OLD,
    repository: str = "a/b",
    token: str = "",
    subfolder: str = "",
) -> subprocess.CompletedProcess:
    """The command of the rule, its result in `folder`/out, with the stub for the hub."""
    given = {"HF_ENDPOINT": hub.address, "HF_HOME": str(folder / "home"), "HF_HUB_OFFLINE": "0", "HF_TOKEN": token}
    command = [sys.executable, *FETCH, "hub", "--kind", kind, "--repository", repository]
    command += ["--revision", revision, "--output", str(folder / "out")]
    command += [f"--subfolder={subfolder}"]  # as the rules: a model at the top level has an empty one
    environment = {**os.environ, **given, "HF_HUB_DISABLE_XET": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert "Traceback" not in done.stderr, done.stderr
    assert not token or token not in done.stdout + done.stderr
    return done


def message(done: subprocess.CompletedProcess) -> str:
    """The one line that says why a fetch failed."""
    assert done.returncode == 1, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if "error: " in line]
    return line


def fetched(hub: HubStub, name: str) -> list[str | None]:
    """The ranges of the downloads of a file."""
    return [asked.range for asked in hub.asked if asked.method == "GET" and asked.path.endswith(f"/{name}")]


def test_a_model_is_published_without_pickle_and_code(hub: HubStub, tmp_path: Path) -> None:
    hub.put("a/b", OLD, MODEL | PICKLE_AND_CODE)
    hub.put("a/b", NEW, {"config.json": b"another", "model.safetensors": b"another"})
    done = fetch(hub, tmp_path)
    assert done.returncode == 0, done.stderr
    manifest = verify(tmp_path / "out")
    assert set(manifest["files"]) == set(MODEL)
    assert all((tmp_path / "out" / name).read_bytes() == data for name, data in MODEL.items())
    assert (manifest["config"], manifest["facts"]) == ({"repository": "a/b", "revision": OLD}, {"commit": OLD})
    assert {path.name for path in tmp_path.iterdir()} == {"out"}, "the download leaves something beside"


def test_a_model_in_a_folder_is_published_as_a_model(hub: HubStub, tmp_path: Path) -> None:
    """A checkpoint of a trainer beside other checkpoints: its weights alone come, to the top of the folder."""
    folders = {f"checkpoint-{n}/{name}": name.encode() for n in (1, 2) for name in [*MODEL, *STATES]}
    index_of = {f"checkpoint-{n}/model.safetensors.index.json": MODEL["model.safetensors.index.json"] for n in (1, 2)}
    hub.put("a/b", OLD, {name: b"top " + name.encode() for name in (*SMALL, *FOREIGN)} | folders | index_of)
    done = fetch(hub, tmp_path, subfolder="checkpoint-2")
    assert done.returncode == 0, done.stderr
    manifest = verify(tmp_path / "out")
    assert set(manifest["files"]) == {*MODEL, *SMALL}
    assert manifest["config"] == {"repository": "a/b", "revision": OLD, "subfolder": "checkpoint-2"}
    assert (tmp_path / "out" / "config.json").read_bytes() == b"config.json"
    assert (tmp_path / "out" / "LICENSE").read_bytes() == b"top LICENSE"
    asked = {asked.path for asked in hub.asked if "/resolve/" in asked.path}
    assert not [path for path in asked if "checkpoint-1/" in path or path.endswith((".pt", ".pth", ".bin"))]
    assert "no folder checkpoint-3; it has checkpoint-1" in message(fetch(hub, tmp_path, subfolder="checkpoint-3"))


def test_unpinned_is_the_newest_and_says_which(hub: HubStub, tmp_path: Path) -> None:
    hub.put("a/b", OLD, MODEL)
    hub.put("a/b", NEW, {"config.json": b"another", "model.safetensors": b"another"})
    assert fetch(hub, tmp_path, revision="unpinned").returncode == 0
    manifest = verify(tmp_path / "out")
    assert set(manifest["files"]) == {"config.json", "model.safetensors"}
    assert (manifest["config"]["revision"], manifest["facts"]["commit"]) == ("unpinned", NEW)


def test_a_data_set_is_published_without_code(hub: HubStub, tmp_path: Path) -> None:
    hub.put("a/b", OLD, DATASET | PICKLE_AND_CODE)
    assert fetch(hub, tmp_path, "dataset").returncode == 0
    assert set(verify(tmp_path / "out")["files"]) == set(DATASET)


def test_a_fetched_model_goes_into_the_store(hub: HubStub, tmp_path: Path) -> None:
    source = make_model(byte_level(), tmp_path / "source", shard="20KB", template=TEMPLATE)
    hub.put("a/b", OLD, {path.name: path.read_bytes() for path in source.iterdir()})
    assert fetch(hub, tmp_path).returncode == 0
    import_model(tmp_path / "out", tmp_path / "model")
    parents = verify(tmp_path / "model")["parents"]
    assert list(parents) == ["source"]


def test_a_cut_connection_goes_on_where_it_broke(hub: HubStub, tmp_path: Path) -> None:
    name = "model-00001-of-00002.safetensors"
    hub.put("a/b", OLD, MODEL)
    hub.cuts[name] = [CHUNK + 2**16]
    done = fetch(hub, tmp_path)
    assert done.returncode == 0, done.stderr
    assert fetched(hub, name) == [None, f"bytes={CHUNK}-"]
    assert (tmp_path / "out" / name).read_bytes() == WEIGHTS


def test_an_interrupted_fetch_keeps_complete_files(hub: HubStub, tmp_path: Path) -> None:
    """One file never arrives; the next attempt fetches that file and no other."""
    name, other = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
    hub.put("a/b", OLD, MODEL)
    hub.cuts[name] = [0] * 50
    line = message(fetch(hub, tmp_path))
    assert f"model a/b at revision {OLD} could not be fetched (RemoteProtocolError)" in line
    assert "run again, which keeps the files that are complete" in line
    assert not (tmp_path / "out").exists()
    hub.cuts.clear()
    hub.asked.clear()
    assert fetch(hub, tmp_path).returncode == 0
    assert len(fetched(hub, name)) == 1
    assert fetched(hub, other) == []
    assert set(verify(tmp_path / "out")["files"]) == set(MODEL)


def test_files_of_an_earlier_commit_are_not_published(hub: HubStub, tmp_path: Path) -> None:
    """The branch moves on between two attempts; a file that the new commit lacks is not taken from the old one."""
    hub.put("a/b", OLD, MODEL)
    hub.wrong.add("model-00001-of-00002.safetensors")
    message(fetch(hub, tmp_path, revision="unpinned"))
    hub.put("a/b", NEW, {"config.json": b"{}", "model.safetensors": b"new"})
    assert fetch(hub, tmp_path, revision="unpinned").returncode == 0
    assert set(verify(tmp_path / "out")["files"]) == {"config.json", "model.safetensors"}
    assert (tmp_path / "out" / "model.safetensors").read_bytes() == b"new"


def test_an_unreachable_hub_never_publishes_half_a_download(hub: HubStub, tmp_path: Path) -> None:
    """The client itself is content with what lies in the folder when the hub does not answer."""
    hub.put("a/b", OLD, MODEL)
    hub.wrong.add("model-00001-of-00002.safetensors")
    for revision in (OLD, "unpinned"):
        message(fetch(hub, tmp_path, revision=revision))
        hub.gated.add("a/b")
        assert "a/b is gated" in message(fetch(hub, tmp_path, revision=revision))
        hub.gated.clear()
        hub.repositories, kept = {}, hub.repositories
        assert "could not be fetched (RepositoryNotFoundError)" in message(fetch(hub, tmp_path, revision=revision))
        hub.repositories = kept
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["model-00001-of-00002.safetensors", "config.json"])
def test_a_wrong_hash_is_refused_and_the_file_fetched_anew(hub: HubStub, tmp_path: Path, name: str) -> None:
    hub.put("a/b", OLD, MODEL)
    hub.wrong.add(name)
    assert re.search(rf"{name} arrived with hash \w+, but the hub lists \w+; run again", message(fetch(hub, tmp_path)))
    assert not (tmp_path / "out").exists()
    hub.wrong.clear()
    assert fetch(hub, tmp_path).returncode == 0
    assert (tmp_path / "out" / name).read_bytes() == MODEL[name]


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("gate", ["gated", "gated_files"])
def test_a_gated_model_says_what_to_ask_for_and_where(hub: HubStub, tmp_path: Path, gate: str, status: int) -> None:
    hub.gate = status
    hub.put("a/b", OLD, MODEL)
    getattr(hub, gate).add("a/b")
    hub.token = TOKEN
    line = message(fetch(hub, tmp_path, token="hf_ofAnotherAccount"))
    assert f"a/b is gated: ask for access on its page {hub.address}/a/b and set HF_TOKEN to a token" in line
    assert f"{hub.address}/settings/tokens" in line
    assert not (tmp_path / "out").exists()
    done = fetch(hub, tmp_path, token=TOKEN)  # which is never logged: `fetch` looks
    assert done.returncode == 0, done.stderr
    assert {asked.authorization for asked in hub.asked} >= {f"Bearer {TOKEN}"}
    assert TOKEN not in (tmp_path / "out" / MANIFEST).read_text()


def test_a_gated_data_set_has_its_own_page(hub: HubStub, tmp_path: Path) -> None:
    hub.gated.add("a/b")
    assert f"on its page {hub.address}/datasets/a/b and" in message(fetch(hub, tmp_path, "dataset"))


def test_repositories_without_usable_files_are_refused_before_any_download(hub: HubStub, tmp_path: Path) -> None:
    hub.put("a/b", OLD, {"config.json": b"{}"} | PICKLE_AND_CODE)
    line = message(fetch(hub, tmp_path))
    assert "a/b has no safetensors of a model (model.safetensors or model.safetensors.index.json), only py" in line
    assert "pickled weights are never loaded: name a revision, a repository or its `subfolder` with safetensors" in line
    hub.put("a/c", OLD, {"README.md": b"words", "train.csv": b"1", "load.py": b"code"})
    line = message(fetch(hub, tmp_path, "dataset", repository="a/c"))
    assert "a/c has no file of a readable type: *.parquet" in line
    assert not [asked for asked in hub.asked if "/resolve/" in asked.path]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("repository", "revision", "reason"),
    [
        ("a/absent", OLD, "RepositoryNotFoundError"),
        ("a/b", NEW, "RevisionNotFoundError"),
        ("three/part/id", OLD, "HFValidationError"),
    ],
)
def test_what_is_misnamed_is_one_message(
    hub: HubStub, tmp_path: Path, repository: str, revision: str, reason: str
) -> None:
    hub.put("a/b", OLD, MODEL)
    line = message(fetch(hub, tmp_path, repository=repository, revision=revision, token=TOKEN))
    assert f"model {repository} at revision {revision} could not be fetched ({reason}); check the id" in line
    assert "name that as `path`" in line
    assert not (tmp_path / "out").exists()


def test_no_hub_at_all_is_one_message(tmp_path: Path) -> None:
    with serving() as hub:
        pass
    assert "could not be fetched (ConnectError); check the id, the revision and the network" in message(
        fetch(hub, tmp_path)
    )


REFERENCES = ("model:some/model", "dataset:RefalMachine/darumeru@refs/convert/parquet")


def look_up(hub: HubStub, lock: Path, *references: str) -> subprocess.CompletedProcess:
    """The command of the rule that fills the lock file."""
    return python(hub, lock.parent, *FETCH, "lock", "--lock", str(lock), *references)


def test_revisions_are_looked_up_once(hub: HubStub, tmp_path: Path) -> None:
    hub.put("RefalMachine/darumeru", OLD, {}, "refs/convert/parquet")
    hub.put("some/model", NEW, {}, "main")
    lock = tmp_path / "sources.lock"
    assert look_up(hub, lock, *REFERENCES).returncode == 0
    assert json.loads(lock.read_text()) == {REFERENCES[0]: NEW, REFERENCES[1]: OLD}
    hub.put("some/model", "c" * 40, {}, "main")
    assert look_up(hub, lock, *REFERENCES).returncode == 0
    assert json.loads(lock.read_text())[REFERENCES[0]] == NEW


def test_what_cannot_be_looked_up_is_named_and_the_rest_is_kept(hub: HubStub, tmp_path: Path) -> None:
    hub.put("RefalMachine/darumeru", OLD, {}, "refs/convert/parquet")
    hub.gated.add("some/model")
    lock = tmp_path / "sources.lock"
    done = look_up(hub, lock, *REFERENCES)
    assert done.returncode == 1
    assert "some/model is gated" in done.stderr
    assert "Traceback" not in done.stderr
    assert json.loads(lock.read_text()) == {REFERENCES[1]: OLD}
    lock.write_text("no")
    assert "delete it and run `snakemake lock_sources` again" in look_up(hub, lock).stderr
