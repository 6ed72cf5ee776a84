"""A part of the graph through a real SLURM: interrupted, killed, warned, preempted, out of memory, cancelled, finished.

One story in four runs, in which every test looks at one thing. Only with LEP_TEST_SLURM=1, after `cluster.sh install`.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
from fixtures.checkout import ROOT, copy_checkout
from lep.manifest import verify

if os.environ.get("LEP_TEST_SLURM") != "1":
    pytest.skip("a real SLURM: only with LEP_TEST_SLURM=1, set by .ci/run, which installs one", allow_module_level=True)

pytestmark = pytest.mark.slurm
CLUSTER = ROOT / "tests" / "slurm" / "cluster.sh"
RUN = Path("llama/extended")
TARGETS = [
    f"results/slice/{folder}/manifest.json"
    for folder in (
        f"evaluation/{RUN}/pretraining",
        f"evaluation/{RUN}/propagation",
        f"calibrated/{RUN}/conversion/saiga_copy",
    )
]
CANCELLED = "propagation"  # the evaluation that is
PATIENCE = 360  # seconds that anything may take
ENDED = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "OUT_OF_MEMORY", "NODE_FAIL"}


@dataclass(frozen=True)
class Job:
    """A line of squeue; `rule` is the comment that Snakemake gives its jobs."""

    id: int
    rule: str
    state: str
    partition: str
    memory: str

    @property
    def restarts(self) -> int:
        shown = subprocess.run(["scontrol", "show", "job", str(self.id)], capture_output=True, text=True, check=True)
        return int(re.search(r"Restarts=(\d+)", shown.stdout)[1])


def jobs() -> list[Job]:
    """All jobs since the cluster is up."""
    command = ["squeue", "--noheader", "--states=all", "--sort=i", "--format=%i|%k|%T|%P|%m"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return [Job(int(number), *rest) for number, *rest in (line.split("|") for line in lines)]


def of(rule: str, found: list[Job]) -> list[Job]:
    return [job for job in found if job.rule.startswith(f"rule_{rule}")]


def evaluations(run: "Snakemake") -> list[Job]:
    """The jobs of the evaluation that is cancelled."""
    return [job for job in of("evaluate", run.jobs()) if job.rule.endswith(f"_{CANCELLED}")]


def wait(what: str, condition: Callable[[], object]) -> object:
    for _ in range(PATIENCE * 20):
        if result := condition():
            return result
        time.sleep(0.05)
    raise AssertionError(f"waited {PATIENCE} s for {what}; jobs: {jobs()}")


class Snakemake:
    """One run of the workflow on the cluster."""

    def __init__(self, checkout: Path, log: Path, *arguments: str) -> None:
        profiles = ["--profile", "slurm", "--workflow-profile", "tests/slurm/profile"]
        command = [sys.executable, "-m", "snakemake", *profiles, *arguments]
        self.log, self.after, self.last = log, max((job.id for job in jobs()), default=0), sys.maxsize
        with open(log, "w", encoding="utf-8") as file:
            self.process = subprocess.Popen(
                command, cwd=checkout, stdout=file, stderr=file, stdin=subprocess.DEVNULL, start_new_session=True
            )

    def jobs(self) -> list[Job]:
        return [job for job in jobs() if self.after < job.id <= self.last]

    def wait(self) -> int:
        code = self.process.wait(PATIENCE)
        self.last = jobs()[-1].id
        return code


@dataclass
class Training:
    """The training in the checkout's job: its process can be held, as if each step took long."""

    checkout: Path
    seen: set[int] = field(default_factory=set)

    @property
    def restart_points(self) -> list[int]:
        work = self.checkout / "results/slice/work/pretrain" / RUN
        return sorted(int(path.parent.name.split("-")[1]) for path in work.glob("checkpoint-*/complete"))

    def held(self) -> psutil.Process:
        """A process that was not seen before, stopped where it has written a restart point more than it found."""
        process = wait("the training", self._process)
        self.seen.add(process.pid)
        wait("its start", lambda: "init (step 0)" in self.log or "going on from" in self.log)
        found = max(self.restart_points, default=0)
        wait("a restart point", lambda: max(self.restart_points, default=0) > found)
        process.suspend()
        return process

    @property
    def log(self) -> str:
        path = self.checkout / f"results/slice/logs/pretrain/{RUN}.log"
        return path.read_text(encoding="utf-8") if path.is_file() else ""

    def resumed_from(self) -> int:
        return int(re.search(r"going on from \S+/checkpoint-(\d+)", self.log)[1])

    def _process(self) -> psutil.Process | None:
        return next((p for p in working("lep.pretraining.pretrain", self.checkout) if p.pid not in self.seen), None)


def working(module: str, checkout: Path) -> list[psutil.Process]:
    """The processes that run a module of the library in the checkout."""
    found = psutil.process_iter(["cmdline", "cwd"])
    return [p for p in found if (p.info["cmdline"] or [])[1:3] == ["-m", module] and p.info["cwd"] == str(checkout)]


def let_slurm_warn(process: psutil.Process) -> None:
    """Let a held process go on as soon as SIGUSR1 waits for it (SLURM may wake it by itself)."""
    status = Path(f"/proc/{process.pid}/status")

    def warned() -> bool:
        try:
            return bool(int(re.search(r"ShdPnd:\s*(\w+)", status.read_text())[1], 16) & 1 << signal.SIGUSR1 - 1)
        except OSError:
            return True

    wait("SLURM's warning before the time limit", warned)
    with contextlib.suppress(psutil.NoSuchProcess):
        process.resume()


def cancel(found: list[Job]) -> None:
    subprocess.run(["scancel", *(str(job.id) for job in found)], check=True)
    wait(
        "the end of the cancelled jobs", lambda: all(j.state in ENDED for j in jobs() if j.id in {k.id for k in found})
    )


def published(checkout: Path) -> list[Path]:
    return [path.parent for path in (checkout / "results/slice").rglob("manifest.json")]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of the checkout, and the cluster that runs its jobs."""
    started = subprocess.run([CLUSTER, "up"], capture_output=True, text=True)
    assert started.returncode == 0, started.stderr
    yield copy_checkout(tmp_path_factory.mktemp("slurm") / "checkout")
    subprocess.run([CLUSTER, "down"], check=True)


@pytest.fixture(scope="module")
def interrupted(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Snakemake:
    """A run that gets Ctrl-C while a group of jobs works."""
    run = Snakemake(checkout, tmp_path_factory.mktemp("logs") / "interrupted.log", *TARGETS)
    wait("the work of the group", (checkout / "results/slice/logs/build_corpus.log").is_file)
    run.process.send_signal(signal.SIGINT)
    run.wait()
    wait("the end of the jobs", lambda: all(job.state in ENDED for job in run.jobs()))
    return run


def test_ctrl_c_cancels_the_jobs_and_leaves_no_partial_output(interrupted: Snakemake, checkout: Path) -> None:
    assert interrupted.process.returncode != 0
    assert {job.state for job in of("corpus_", interrupted.jobs())} == {"CANCELLED"}
    assert {job.state for job in interrupted.jobs()} <= {"CANCELLED", "COMPLETED"}  # those before the group are through
    for folder in published(checkout):
        verify(folder)


@pytest.fixture(scope="module")
def killed(interrupted: Snakemake, checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Snakemake:
    """A run that is killed in the middle of the training, and whose jobs are then cancelled."""
    run = Snakemake(checkout, tmp_path_factory.mktemp("logs") / "killed.log", *TARGETS)
    process = Training(checkout).held()
    run.process.kill()
    run.wait()
    process.resume()
    cancel([job for job in run.jobs() if job.state not in ENDED])
    subprocess.run([sys.executable, "-m", "snakemake", "--unlock"], cwd=checkout, check=True, capture_output=True)
    return run


@dataclass
class Story:
    """The run that ends, and what was seen on the way."""

    run: Snakemake
    resumed: list[int]
    cancelled_output: list[Path]


@pytest.fixture(scope="module")
def finished(killed: Snakemake, checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Story:
    """The same command again: its training is warned by SLURM, then preempted; an evaluation is cancelled."""
    training, resumed = Training(checkout), []
    run = Snakemake(checkout, tmp_path_factory.mktemp("logs") / "finished.log", *TARGETS)
    process = training.held()
    resumed.append(training.resumed_from())
    let_slurm_warn(process)
    training.held()
    resumed.append(training.resumed_from())
    node = subprocess.run(["squeue", "--noheader", "--states=R", "--format=%N"], capture_output=True, text=True).stdout
    urgent = ["srun", "--partition=urgent", f"--nodelist={node.split()[0]}", "--exclusive", "--comment=rule_urgent"]
    subprocess.run([*urgent, "true"], check=True, capture_output=True, timeout=PATIENCE)
    wait(
        "the evaluation",
        lambda: [p for p in working("lep.evaluation.evaluate", checkout) if CANCELLED in p.cmdline()[-1]],
    )
    resumed.append(training.resumed_from())
    cancel(evaluations(run))
    left = [path for path in published(checkout) if path.match(f"evaluation/*/*/{CANCELLED}")]
    run.wait()
    return Story(run, resumed, left)


def test_everything_is_made(finished: Story, checkout: Path) -> None:
    assert finished.run.process.returncode == 0, finished.run.log.read_text(encoding="utf-8")[-4000:]
    for target in TARGETS:
        verify((checkout / target).parent)


def test_jobs_went_through_slurm(finished: Story, checkout: Path) -> None:
    """Jobs of the GPU partition have a GPU, the others none; small steps came as one job."""
    done = {job.id: job for job in jobs() if job.state == "COMPLETED"}
    for folder, rule, partition in (
        ("corpus", "corpus_build_corpus", "cpu"),
        (f"vocabularies/{RUN}", "vocabulary_build_vocabulary", "cpu"),
        (f"models/{RUN}/init", "vocabulary_build_vocabulary", "cpu"),
        (f"models/{RUN}/conversion", "propagation_propagate", "cpu"),
        (f"pretraining/{RUN}", "pretrain", "gpu"),
        (f"calibrated/{RUN}/conversion/saiga_copy", "calibrate", "gpu"),
        (f"evaluation/{RUN}/{CANCELLED}", "evaluate", "gpu"),
    ):
        record = json.loads((checkout / "results/slice" / folder / "run.json").read_text(encoding="utf-8"))
        job = done[int(record["slurm_job"])]
        assert (job.rule.startswith(f"rule_{rule}"), job.partition, record["partition"]) == (True, partition, partition)
        assert record["gpus"] in (["0", "1"] if partition == "gpu" else [None]), folder
    local = ("write_job", "list_prepared_shards")
    assert not [job for job in jobs() if any(rule in job.rule for rule in local)]


def test_a_killed_snakemake_goes_on(killed: Snakemake, finished: Story) -> None:
    """What was finished is not made again; the training goes on from a restart point of the killed run."""
    before = {job.rule for job in killed.jobs() if job.state == "COMPLETED"}
    assert len(before) >= 4
    assert not before & {job.rule for job in finished.run.jobs()}
    assert finished.resumed[0] >= 5


def test_a_job_over_its_time_limit_goes_on_without_a_retry(finished: Story) -> None:
    """Warned by SLURM and preempted, the training is one job to Snakemake, and never starts from the beginning."""
    (job,) = of("pretrain", finished.run.jobs())
    assert (job.state, job.restarts) == ("COMPLETED", 2)
    assert sorted(set(finished.resumed)) == finished.resumed


def test_a_job_over_its_memory_is_tried_again_with_more(finished: Story) -> None:
    first, second = of("calibrate", finished.run.jobs())
    assert (first.state in ("FAILED", "OUT_OF_MEMORY"), first.memory) == (True, "600M")
    assert (second.state, second.memory) == ("COMPLETED", "3000M")


def test_scancel_leaves_no_partial_output_and_the_job_is_tried_again(finished: Story) -> None:
    assert finished.cancelled_output == []
    assert [job.state for job in evaluations(finished.run)] == ["CANCELLED", "COMPLETED"]


def test_training_on_two_nodes(finished: Story, checkout: Path, tmp_path: Path) -> None:
    """One torchrun on each node, one process for each GPU."""
    wide = [
        f"pretrain:{resource}" for resource in ("gpu=4", "nodes=2", "tasks_per_node=2", "mpi='srun'", "mem_mb=4000")
    ]
    target = f"results/slice/pretraining/{RUN}/manifest.json"
    shutil.rmtree(checkout / "results/slice/work/pretrain")  # it would find that it has finished
    run = Snakemake(checkout, tmp_path / "nodes.log", "--set-resources", *wide, "--forcerun", "pretrain", "--", target)
    assert run.wait() == 0, run.log.read_text(encoding="utf-8")[-4000:]
    assert [job.state for job in run.jobs()] == ["COMPLETED"]
    verify((checkout / target).parent)
    record = json.loads((checkout / target).with_name("run.json").read_text(encoding="utf-8"))
    assert (record["processes"], record["steps_in_this_process"]) == (4, 30)
