"""Checks before a run: each failure is found, named, and says what to do."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from fixtures.checkout import ROOT
from fixtures.configuration import configuration
from fixtures.hub import HubStub, serving
from fixtures.judge import reply
from fixtures.judge import serving as judging
from lep.planning import preflight
from lep.planning.preflight import FAILED, NOTE, OK, Finding

TOKEN = "hf_onlyForThisTest"
MODELS = {"base": "open", "instruct": "gated"}


def program(folder: Path, name: str, output: str, code: int = 0) -> None:
    """A command in `folder` that prints `output`."""
    folder.mkdir(exist_ok=True)
    (folder / "said").write_text(output, encoding="utf-8")
    (folder / name).write_text(f'#!/bin/sh\n/bin/cat "{folder}/said"\nexit {code}\n', encoding="utf-8")
    (folder / name).chmod(0o755)


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder of PATH: neither SLURM nor GPU, unless a test puts them there."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path / "bin"


@pytest.fixture
def hub() -> Iterator[HubStub]:
    with serving() as stub:
        yield stub


def devices(config: dict, cluster: bool = False) -> list[Finding]:
    return list(preflight.check_devices(config, ROOT, cluster))


def test_versions_are_those_of_the_requirements(tmp_path: Path) -> None:
    (found,) = preflight.check_versions(ROOT)
    assert found.state == OK
    (tmp_path / "requirements.txt").write_text("PyYAML==0.1\nno-such-package==1.0  # why\n", encoding="utf-8")
    (found,) = preflight.check_versions(tmp_path)
    assert found.state == FAILED
    assert "PyYAML" in found.what
    assert "not 0.1; no-such-package None, not 1.0" in found.what
    assert "make .venv/.installed" in found.remedy


def test_partitions_must_exist(commands: Path) -> None:
    program(commands, "sinfo", "cpu|(null)\ndebug|gpu:h100:8(S:0-1)\n")
    (found,) = devices(configuration("paper"), cluster=True)
    assert found.state == FAILED
    assert "gpu of slurm/partitions.yaml do not exist; this cluster has cpu, debug" in found.what


@pytest.mark.parametrize(
    ("resources", "state"), [("gpu:h100:8(S:0-1),tmpspace:10G", OK), ("gpu:4", FAILED), ("(null)", FAILED)]
)
def test_partitions_have_the_gpus(resources: str, state: str, commands: Path) -> None:
    program(commands, "sinfo", f"cpu|(null)\ngpu|gpu:a100:2\ngpu|{resources}\n")
    (found,) = devices(configuration("paper"), cluster=True)
    assert found.state == state
    assert "asks for 8" in found.what


def test_a_silent_controller_is_named(commands: Path) -> None:
    program(commands, "sinfo", "", code=1)
    (found,) = devices(configuration("paper"), cluster=True)
    assert (found.state, "sinfo fails" in found.what) == (FAILED, True)


def test_gpus_of_a_workstation(commands: Path) -> None:
    (found,) = devices(configuration("small"))
    assert found.state == FAILED
    assert "this machine has 0" in found.what
    assert "compute.device to cpu" in found.remedy
    program(commands, "nvidia-smi", "GPU 0: H100\nGPU 1: H100\n")
    (found,) = devices(configuration("small"))
    assert found.state == OK
    (found,) = devices(configuration("paper"))
    assert "compute.gpus_per_job to 2" in found.remedy
    assert devices(configuration()) == []


def test_disk_must_suffice(monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type(shutil.disk_usage(ROOT))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**13, 0, 10**13))
    (found,) = preflight.check_disk(configuration("paper"), ROOT)
    assert found.state == OK
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**13, 0, 10**11))
    (found,) = preflight.check_disk(configuration("paper"), ROOT)
    assert found.state == FAILED
    assert "has 100 GB free" in found.what
    assert "make plan" in found.remedy


def test_what_is_there_is_not_needed_again(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "data" / "stand_ins", tmp_path / "data" / "stand_ins")
    (found,) = preflight.check_disk(configuration(), tmp_path)
    before = float(found.what.split()[1])
    written = tmp_path / "results" / "mini" / "models"
    written.mkdir(parents=True)
    (written / "one").write_bytes(bytes(10**8) + os.urandom(10**8))
    os.link(written / "one", written / "two")  # costs nothing
    (found,) = preflight.check_disk(configuration(), tmp_path)
    assert float(found.what.split()[1]) == pytest.approx(before - 0.2, abs=0.11)


def test_memory_is_compared_with_the_device() -> None:
    assert list(preflight.check_memory(configuration(), ROOT)) == []
    (found,) = preflight.check_memory(configuration("paper", plan={"device": {"memory_gb": 24}}), ROOT)
    assert found.state == NOTE
    assert "pre-training mistral/bpe" in found.what


def judged(address: str, root: Path = ROOT, cluster: bool = False, **changes: object) -> list[Finding]:
    config = configuration("paper", calibration={"judge": {"endpoint": address}}, **changes)
    return list(preflight.check_judge(config, root, cluster))


def test_the_judge_is_asked_for_a_grade(commands: Path, tmp_path: Path) -> None:
    with judging() as stub:
        stub.script[:] = [reply("Оценка: 5")]
        (found,) = judged(stub.address)
        assert (found.state, found.what) == (
            OK,
            f"judge: meta-llama/Meta-Llama-3-70B-Instruct at {stub.address} gives grades",
        )
        stub.script[:] = [(200, "<html>log in</html>")]
        (found,) = judged(stub.address)
        assert found.state == FAILED
        assert "gives no grade: a web page instead of JSON" in found.what
        stub.script[:] = [(401, "")]
        (found,) = judged(stub.address)
        assert "refused: HTTP 401; check the key (LEP_JUDGE_KEY)" in found.what
        asked = len(stub.asked)
        assert judged(stub.address, families=[]) == []
        assert list(preflight.check_judge(configuration(), ROOT, cluster=False)) == []  # a stand-in grades
        graded = tmp_path / "results/paper/grades/llama/manifest.json"
        graded.parent.mkdir(parents=True)
        graded.touch()
        assert judged(stub.address, tmp_path) == []  # it may be gone when all is graded
        assert len(stub.asked) == asked
    (found,) = judged(stub.address)
    assert "no connection" in found.what


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.0.1", "[::1]", "0.0.0.0", "my.localhost"])
def test_a_judge_on_every_node_is_none(host: str) -> None:
    (found,) = judged(f"http://{host}:8000/v1", cluster=True)
    assert found.state == FAILED
    assert "names whichever node a job runs on" in found.what
    assert "http://node17:8000/v1" in found.what


@pytest.mark.parametrize("here", [True, False])
def test_slurm_is_asked_only_where_it_runs_the_jobs(here: bool, commands: Path, tmp_path: Path) -> None:
    """With the local executor a SLURM that is installed, or down, says nothing about the run."""
    program(commands, "sinfo", "", code=1)
    asked = tmp_path / "asked"
    (commands / "sinfo").write_text(f"#!/bin/sh\necho >> {asked}\nexit 1\n")
    found = preflight.preflight(configuration(), ROOT, here)
    assert asked.exists() is not here
    assert any("sinfo fails" in finding.what for finding in found) is not here


def test_packages_are_checked_by_hash(tmp_path: Path) -> None:
    config = configuration(data={"local_dir": "here"})
    (tmp_path / "data").mkdir()
    shutil.copy(ROOT / "data" / "sources.csv", tmp_path / "data")
    assert {found.state for found in preflight.check_packages(config, tmp_path)} == {NOTE}


def from_the_hub() -> dict:
    """A run on CPUs, with one family of two models of the hub."""
    config = configuration()
    models = {role: {"path": f"{name}/model", "revision": "unpinned"} for role, name in MODELS.items()}
    config["families"] = [config["families"][0] | models | {"stand_in": False}]
    shape = json.loads((ROOT / "data/stand_ins/mistral/base/config.json").read_text(encoding="utf-8"))
    config["plan"]["models"] = {"open/model": shape}
    return config


def run(hub: HubStub, tmp_path: Path, token: str = "") -> subprocess.CompletedProcess:
    """The whole check as the command, in a folder with what it reads of a checkout."""
    (tmp_path / "data").mkdir(exist_ok=True)
    for name in ("requirements.txt", "data/sources.csv"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(from_the_hub()), encoding="utf-8")
    given = {"HF_ENDPOINT": hub.address, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "0", "HF_TOKEN": token}
    return subprocess.run(
        [sys.executable, "-m", "lep.planning.preflight", "--config", "config.yaml"],
        cwd=tmp_path, env=os.environ | given | {"PATH": "/nowhere"}, capture_output=True, text=True,
    )  # fmt: skip


def test_a_gated_model_needs_its_token(hub: HubStub, tmp_path: Path) -> None:
    for name in ("open/model", "gated/model"):
        hub.put(name, "a" * 40, {"config.json": b"{}", "model.safetensors": b"weights"})
    hub.gated_files.add("gated/model")
    hub.token = TOKEN
    done = run(hub, tmp_path)
    assert done.returncode == 1, done.stderr
    lines = done.stdout.splitlines()
    at = "a" * 40
    assert f"ok      model open/model at commit {at}: can be fetched, 2 files, 0.00 GB" in lines
    assert "        model.safetensors  7 bytes" in lines
    (failed,) = [line for line in lines if line.startswith(FAILED)]
    assert "gated/model is gated: ask for access on its page" in failed
    assert "HF_TOKEN" in failed
    done = run(hub, tmp_path, TOKEN)
    assert done.returncode == 0, done.stdout + done.stderr
    assert TOKEN not in done.stdout + done.stderr
    assert not any(asked.path.endswith(".safetensors") for asked in hub.asked if asked.method == "GET")


def test_a_hub_that_cannot_be_reached_is_said_once(hub: HubStub, tmp_path: Path) -> None:
    hub.address = "http://127.0.0.1:1"
    done = run(hub, tmp_path)
    assert done.returncode == 1
    (failed,) = [line for line in done.stdout.splitlines() if line.startswith(FAILED)]
    assert "the hub cannot be reached from this machine; it is needed for model open/model, model gated/model" in failed
    assert "fetch_all" in done.stdout


def test_a_fetched_model_needs_no_network(hub: HubStub, tmp_path: Path) -> None:
    for role in MODELS:
        folder = tmp_path / "results/mini/sources/models/mistral" / role
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text("{}", encoding="utf-8")
    done = run(hub, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("fetched") == 2
    assert hub.asked == []
