"""The jobs of a dry run, and their simulated schedule on a number of devices."""

import heapq
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lep.files import read_jsonl
from lep.planning.cost import Cost


@dataclass(frozen=True)
class Job:
    """One job that a run would start."""

    rule: str
    wildcards: dict[str, str]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    reason: str  # short, see `shorten`
    memory_mb: int  # memory that it asks for; 0 = none stated


@dataclass(frozen=True)
class Total:
    """Time of a whole run."""

    device_seconds: float  # GPU-seconds of all jobs
    wall_seconds: float  # from start to end on the given number of devices


def read_jobs(path: Path) -> list[Job]:
    """The jobs of a dry run, from the file of the logger plugin `jobs`; none if there is no file."""
    if not path.is_file():
        return []
    found = []
    for values in read_jsonl(path):
        memory = values["resources"].get("mem_mb", 0)
        found.append(
            Job(
                values["rule"], values["wildcards"], tuple(values["input"]), tuple(values["output"]),
                shorten(values["reason"]), memory if isinstance(memory, int) else 0,
            )
        )  # fmt: skip
    return found


def shorten(reason: str) -> str:
    """The first reason of a job in a few words, without its files and values."""
    first = re.split(r"[:;]", reason)[0]
    known = {
        "Missing output files": "not made yet",
        "Input files updated by another job": "follows",
        "Updated input files": "changed input",
        "Set of input files has changed since last execution": "other inputs",
        "Params have changed since last execution": "changed settings or code",
        "Incomplete output files": "was interrupted",
        "Forced execution": "forced",
        "Rules with neither input nor output files are always executed": "always",
    }
    return known.get(first.strip(), first.strip().lower())


def schedule(jobs: Iterable[Job], costs: Callable[[Job], Cost], gpus: int, processes: int) -> Total:
    """Simulate the graph: each job starts when its inputs exist and its devices are free, longest chains first.

    A job that asks for more than `gpus` devices gets all of them and takes proportionally longer. At most `processes`
    jobs without a device run at the same time.
    """
    jobs = list(jobs)
    # Which jobs each job waits for: the makers of its inputs.
    maker = {output: index for index, job in enumerate(jobs) for output in job.outputs}
    needs = [{maker[path] for path in job.inputs if path in maker} - {index} for index, job in enumerate(jobs)]
    # A job that asks for more devices than there are runs on all of them, for proportionally longer.
    cost = [costs(job) for job in jobs]
    taken = [min(c.gpus, gpus) for c in cost]
    seconds = [c.seconds * (c.gpus / n if n else 1) for c, n in zip(cost, taken, strict=True)]
    followers = defaultdict(list)
    for index, parents in enumerate(needs):
        for parent in parents:
            followers[parent].append(index)
    # List scheduling: of the ready jobs, the one with the longest chain of followers starts first.
    urgency = _chains(seconds, followers)
    waiting = [len(parents) for parents in needs]
    ready = [(-urgency[i], i) for i, count in enumerate(waiting) if not count]
    heapq.heapify(ready)
    running, now, free, places = [], 0.0, gpus, processes
    while ready or running:
        # Start what fits now; what does not fit waits for the next end of a job.
        held = []
        while ready:
            entry = heapq.heappop(ready)
            index = entry[1]
            if taken[index] <= free and (taken[index] or places > 0):
                free -= taken[index]
                places -= not taken[index]
                heapq.heappush(running, (now + seconds[index], index))
            else:
                held.append(entry)
        for entry in held:
            heapq.heappush(ready, entry)
        # Advance to the next end of a job: its devices become free, and its followers may be ready.
        now, index = heapq.heappop(running)
        free += taken[index]
        places += not taken[index]
        for follower in followers[index]:
            waiting[follower] -= 1
            if not waiting[follower]:
                heapq.heappush(ready, (-urgency[follower], follower))
    return Total(sum(c.seconds * c.gpus for c in cost), now)


def _chains(seconds: list[float], followers: Mapping[int, list[int]]) -> list[float]:
    """Seconds from the start of each job to the end of its longest chain of followers."""
    found: dict[int, float] = {}
    for start in range(len(seconds)):
        stack = [start]
        while stack:
            index = stack[-1]
            missing = [follower for follower in followers[index] if follower not in found]
            if missing:
                stack += missing
            else:
                found[index] = seconds[index] + max((found[f] for f in followers[index]), default=0.0)
                stack.pop()
    return [found[index] for index in range(len(seconds))]
