"""Kill, signal, time limit or full disk: the next start goes on, and ends with equal bits."""

import contextlib
import json
import os
import random
import resource
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import lep.pretraining.resumable
import pytest
from fixtures.pretraining import LONG
from fixtures.processes import exit_codes, in_a_child, in_two_children, wait_for
from lep.compute import stop
from lep.config import UserError
from lep.files import sha256_file
from lep.manifest import read_manifest
from lep.pretraining.pretrain import PretrainJob, pretrain
from lep.pretraining.resumable import COMPLETE


def results(job: PretrainJob) -> dict[str, str]:
    """Hashes of everything the run decided."""
    files = [*(job.models / "cpt-050").iterdir(), *(job.models / "cpt-100").iterdir(), *job.output.iterdir()]
    return {f"{p.parent.name}/{p.name}": sha256_file(p) for p in files if p.name != "run.json"}


class KilledError(Exception):
    pass


def test_a_run_interrupted_anywhere_ends_with_equal_bits(make_job, short_run, monkeypatch) -> None:
    expected = results(short_run)
    on_save = lep.pretraining.resumable.Schedule.on_save
    on_step_end = lep.pretraining.resumable.Schedule.on_step_end
    broken = make_job("broken")

    def die_at(step: int, before_saving: bool) -> None:
        def saving(self, args, state, control, **kwargs):
            if state.global_step == step and before_saving:
                raise KilledError  # the checkpoint is written but not marked complete
            on_save(self, args, state, control, **kwargs)

        def stepping(self, args, state, control, **kwargs):
            if state.global_step == step and not before_saving:
                raise KilledError
            on_step_end(self, args, state, control, **kwargs)

        monkeypatch.setattr(lep.pretraining.resumable.Schedule, "on_save", saving)
        monkeypatch.setattr(lep.pretraining.resumable.Schedule, "on_step_end", stepping)
        with pytest.raises(KilledError):
            pretrain(broken)

    die_at(3, before_saving=True)
    assert not (broken.work / "checkpoint-3" / COMPLETE).exists()
    die_at(5, before_saving=False)  # right at a checkpoint for the model store, step 5 of 9
    assert (broken.work / "checkpoint-3" / COMPLETE).exists()
    die_at(8, before_saving=False)
    monkeypatch.setattr(lep.pretraining.resumable.Schedule, "on_save", on_save)
    monkeypatch.setattr(lep.pretraining.resumable.Schedule, "on_step_end", on_step_end)
    pretrain(broken)
    assert results(broken) == expected
    assert json.loads((broken.output / "run.json").read_text())["steps_in_this_process"] == 3  # from step 6

    shutil.rmtree(broken.output)
    shutil.rmtree(broken.models)
    monkeypatch.setattr("lep.pretraining.pretrain.make_trainer", None)
    pretrain(broken)  # a finished run publishes again, without training
    assert results(broken) == expected


def has_lines(path: Path, count: int) -> bool:
    return path.is_file() and path.read_text().count("\n") >= count


def test_sigkill_at_random_moments_gives_equal_bits(make_job, long_run) -> None:
    """Whatever is being computed or written: the next start goes on, and the end is that of an undisturbed run."""
    killed = make_job("killed", optimisation=LONG, save_steps=7)
    seconds = json.loads((long_run.output / "run.json").read_text())["training_seconds"]
    draw = random.Random(4)
    log = killed.work / "log.jsonl"
    for _ in range(5):
        log.unlink(missing_ok=True)  # written when the training goes on
        process = in_a_child(pretrain, killed)
        wait_for(log.exists, process)
        time.sleep(draw.uniform(0, seconds / 4))
        process.kill()
        process.join()
        assert process.exitcode in (-signal.SIGKILL, 0)
    pretrain(killed)
    assert results(killed) == results(long_run)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_stops_with_a_checkpoint_and_a_code(make_job, long_run, number: signal.Signals) -> None:
    stopped = make_job("stopped", optimisation=LONG, save_steps=1000)
    process = in_a_child(pretrain, stopped)
    wait_for(lambda: has_lines(stopped.work / "log.jsonl", 3), process)
    os.kill(process.pid, number)
    process.join()
    assert process.exitcode == stop.REQUEUE == 75
    checkpoint = next(stopped.work.glob("checkpoint-*"))
    assert (checkpoint / COMPLETE).exists()
    assert not stopped.output.exists()
    pretrain(stopped)
    assert results(stopped) == results(long_run)  # the log as well
    done = json.loads((stopped.output / "run.json").read_text())["steps_in_this_process"]
    assert done == 120 - int(checkpoint.name.split("-")[1])


def test_a_long_run_goes_on_in_chunks(make_job, short_run, monkeypatch) -> None:
    """Each start works for a while and stops, as where a partition limits the time."""
    chunks = make_job("chunks", save_steps=1000)
    starts, asked = 0, 0

    def requested() -> str | None:
        nonlocal asked
        asked += 1
        return "time limit" if asked % 4 == 0 else None

    monkeypatch.setattr("lep.compute.stop.requested", requested)
    while not chunks.output.exists():
        starts += 1
        with contextlib.suppress(SystemExit):
            pretrain(chunks)
    assert starts == 3
    assert results(chunks) == results(short_run)


def test_a_full_disk_is_said_and_harms_nothing(make_job, long_run, monkeypatch) -> None:
    """A limit of the size of files fails a checkpoint's writing as a full disk does, in the middle."""
    full = make_job("full", optimisation=LONG)
    monkeypatch.setattr(
        "lep.pretraining.resumable.Schedule.on_save",
        stop_growing(lep.pretraining.resumable.Schedule.on_save, full.work, 9),
    )
    try:
        with pytest.raises(UserError, match=r"could not be written .* make room and run the same command again"):
            pretrain(full)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    monkeypatch.undo()
    assert {path.name for path in full.work.glob("checkpoint-*")} == {"checkpoint-6", "checkpoint-9"}
    pretrain(full)
    assert results(full) == results(long_run)


def stop_growing(on_save: Callable, work: Path, step: int) -> Callable:
    """`on_save`, and from `step` on no file may have more than 20 kB."""

    def saving(self, args, state, control, **kwargs) -> None:
        on_save(self, args, state, control, **kwargs)
        if state.global_step == step:
            resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))

    return saving


def test_a_run_goes_on_with_another_number_of_processes(make_job, long_run) -> None:
    """Two processes are asked to stop, one goes on with the same data in the same order."""
    moved = make_job("moved", optimisation=LONG, save_steps=1000)
    children = in_two_children(pretrain, moved)
    wait_for(lambda: has_lines(moved.work / "log.jsonl", 3), children[0])
    os.kill(children[1].pid, signal.SIGUSR1)  # one is asked, both stop after the same step
    assert exit_codes(children) == [stop.REQUEUE] * 2
    pretrain(moved)
    ours, theirs = (json.loads((job.output / "metrics.json").read_text())["checkpoints"] for job in (long_run, moved))
    for mine, its in zip(ours, theirs, strict=True):
        assert its.pop("name") == mine.pop("name")
        assert its == pytest.approx(mine, rel=1e-3)
    assert json.loads((moved.output / "run.json").read_text())["steps_in_this_process"] < 120


def test_another_job_does_not_go_on_from_old_work(make_job) -> None:
    job = make_job()
    pretrain(job)
    other = make_job(seed=2)
    pretrain(other)
    assert read_manifest(other.output)["seed"] == 2
    assert json.loads((other.output / "run.json").read_text())["steps_in_this_process"] == 9
