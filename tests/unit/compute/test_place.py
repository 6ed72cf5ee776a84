"""Placement: every job on a workstation has devices of its own; a job whose time is up goes back to SLURM's queue."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from lep.compute import place
from lep.compute.stop import REQUEUE

# A module that says which devices it has, and stays until it is told to end.
WORKER = """
import os, pathlib, signal, sys, time
folder, name = pathlib.Path(sys.argv[1]), sys.argv[2]
signal.signal(signal.SIGUSR1, lambda *_: sys.exit(75))
signal.signal(signal.SIGTERM, lambda *_: sys.exit(75))
(folder / name).write_text(os.environ.get("CUDA_VISIBLE_DEVICES", "none"))
while not (folder / f"{name}.end").exists():
    time.sleep(0.02)
"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the worker, two pretended GPUs, and a `scontrol` that only notes what it is told."""
    (tmp_path / "worker.py").write_text(WORKER)
    commands = tmp_path / "bin"
    commands.mkdir()
    scripts = {
        "nvidia-smi": "printf '0\\n1\\n'",
        "scontrol": f'echo "$@" > {tmp_path}/scontrol',
        "squeue": f"cat {tmp_path}/state",
    }
    for name, script in scripts.items():
        (commands / name).write_text(f"#!/bin/sh\n{script}\n")
        (commands / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{Path(place.__file__).parents[2]}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.setattr(place, "LOCKS", tmp_path)
    return tmp_path


def start(machine: Path, name: str, gpus: int) -> subprocess.Popen:
    code = (
        f"from lep.compute import place; place.LOCKS = place.Path({str(machine)!r}); place._PATIENCE = 0; place.main()"
    )
    return subprocess.Popen([sys.executable, "-c", code, "--gpus", str(gpus), "worker", str(machine), name])


def devices(machine: Path, name: str) -> str:
    for _ in range(500):
        if (machine / name).is_file() and (text := (machine / name).read_text()):
            return text
        time.sleep(0.02)
    raise AssertionError(f"{name} did not start")


def test_each_job_has_its_own_device_and_waits_for_one(machine: Path) -> None:
    first, second = (start(machine, name, 1) for name in ("first", "second"))
    assert {devices(machine, "first"), devices(machine, "second")} == {"0", "1"}
    third = start(machine, "third", 1)
    time.sleep(0.5)
    assert not (machine / "third").exists()
    (machine / "second.end").touch()
    assert second.wait(10) == 0
    assert devices(machine, "third") == devices(machine, "second")
    for name, process in (("first", first), ("third", third)):
        (machine / f"{name}.end").touch()
        assert process.wait(10) == 0


def test_a_killed_job_gives_its_device_back(machine: Path) -> None:
    job = start(machine, "job", 1)
    devices(machine, "job")
    job.kill()
    job.wait()
    (machine / "job.end").touch()  # its worker lives a little longer, and so does the claim
    following = start(machine, "following", 2)
    assert devices(machine, "following") == "0,1"
    (machine / "following.end").touch()
    assert following.wait(10) == 0


def test_more_gpus_than_there_are_is_refused(machine: Path) -> None:
    with pytest.raises(SystemExit, match=r"asks for 3 GPUs, but only 2 are visible \(0, 1\); lower compute"):
        place.claim(place.visible_gpus(), 3)


def test_only_the_devices_that_are_left_to_us_are_used(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    assert place.visible_gpus() == ["5", "7"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert place.visible_gpus() == []


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM])
@pytest.mark.parametrize(("state", "told"), [("RUNNING", "requeue 17\n"), ("COMPLETING", None)])
def test_a_job_that_saved_itself_goes_back_to_the_queue(
    number: int, state: str, told: str | None, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Warned or preempted, its job still runs; a cancelled one is left to end."""
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    (machine / "state").write_text(f"{state}\n")
    job = start(machine, "job", 1)
    assert devices(machine, "job") == "1"  # SLURM's choice
    job.send_signal(number)
    assert job.wait(10) == REQUEUE
    noted = machine / "scontrol"
    assert (noted.read_text() if noted.is_file() else None) == told


def test_processes_and_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    python = [sys.executable, "-m"]
    assert place.started(1, 1, ["lep.pretraining.pretrain"]) == [*python, "lep.pretraining.pretrain"]
    assert place.started(8, 1, ["lep.pretraining.pretrain"]) == [
        *python,
        "lep.compute.launch",
        "--processes",
        "8",
        "lep.pretraining.pretrain",
    ]
    wide = place.started(16, 2, ["lep.pretraining.pretrain"])
    assert wide[:5] == ["srun", "--nodes=2", "--ntasks=2", "--ntasks-per-node=1", "--gpus-per-node=8"]
    assert wide[wide.index("--processes") + 1] == "8"
    with pytest.raises(SystemExit, match="16 GPUs cannot be divided evenly among 3 nodes"):
        place.started(16, 3, ["lep.pretraining.pretrain"])
