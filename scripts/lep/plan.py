"""What a run would do and cost, before it starts: jobs, reasons, hours, memory, disk, and the cheapest cuts.

    snakemake --dry-run --quiet all --logger jobs --logger-jobs-file jobs.jsonl
    python -m lep.plan --jobs jobs.jsonl --config config.json [--gpus 8]

Everything but the list of jobs is reckoned from the configuration (`lep.workload`); nothing is measured.
"""

import argparse
import heapq
import json
import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lep.config import UserError
from lep.footprint import disk_parts
from lep.log import job
from lep.workload import Cost, Workload

_CLUSTER = 50  # jobs without GPU that a cluster runs side by side
_SMALLEST_SAVING = 0.02  # of the GPU time; a cut below is not worth a line


@dataclass(frozen=True)
class Job:
    """One job that a run would start."""

    rule: str
    wildcards: dict[str, str]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    reason: str
    memory_mb: int


@dataclass(frozen=True)
class Cut:
    """A smaller run: the overlay that asks for it, the jobs that remain, and what is lost."""

    overlay: str
    loses: str
    changed: Callable[[dict], dict]
    keeps: Callable[[Job], bool] = lambda job: True


@dataclass(frozen=True)
class Total:
    """GPU-seconds, and the seconds from start to end on a number of devices."""

    device_seconds: float
    wall_seconds: float


def read_jobs(path: Path) -> list[Job]:
    """The jobs of a dry run as the logger plugin `jobs` wrote them; none where there is no file."""
    if not path.is_file():
        return []
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        values = json.loads(line)
        memory = values["resources"].get("mem_mb", 0)
        found.append(
            Job(
                values["rule"], values["wildcards"], tuple(values["input"]), tuple(values["output"]),
                shorten(values["reason"]), memory if isinstance(memory, int) else 0,
            )
        )  # fmt: skip
    return found


def shorten(reason: str) -> str:
    """The first reason of a job without its files and values."""
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
    """Run the graph in thought: each job as soon as its inputs are there and its devices free, longest chains first.

    A job that asks for more than `gpus` devices takes all, for longer. Jobs without a device share `processes` places.
    """
    jobs = list(jobs)
    maker = {output: index for index, job in enumerate(jobs) for output in job.outputs}
    needs = [{maker[path] for path in job.inputs if path in maker} - {index} for index, job in enumerate(jobs)]
    cost = [costs(job) for job in jobs]
    taken = [min(c.gpus, gpus) for c in cost]
    seconds = [c.seconds * (c.gpus / n if n else 1) for c, n in zip(cost, taken, strict=True)]
    followers = defaultdict(list)
    for index, parents in enumerate(needs):
        for parent in parents:
            followers[parent].append(index)
    urgency = _chains(seconds, followers)
    waiting = [len(parents) for parents in needs]
    ready = [(-urgency[i], i) for i, count in enumerate(waiting) if not count]
    heapq.heapify(ready)
    running, now, free, places = [], 0.0, gpus, processes
    while ready or running:
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
        now, index = heapq.heappop(running)
        free += taken[index]
        places += not taken[index]
        for follower in followers[index]:
            waiting[follower] -= 1
            if not waiting[follower]:
                heapq.heappush(ready, (-urgency[follower], follower))
    return Total(sum(c.seconds * c.gpus for c in cost), now)


def _chains(seconds: list[float], followers: Mapping[int, list[int]]) -> list[float]:
    """Seconds from the start of each job to the end of the longest chain behind it."""
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


def _with(section: str, **values: object) -> Callable[[dict], dict]:
    return lambda config: config | {section: config[section] | values}


def _without(*rules: str) -> Callable[[Job], bool]:
    return lambda job: job.rule not in rules


def _evaluates(name: str) -> Callable[[Job], bool]:
    """Keeps all jobs but those that evaluate checkpoints before the last."""
    return lambda job: job.rule != "evaluate_part" or not re.search(r"cpt-(?!100)", job.wildcards.get(name, ""))


def cuts(config: Mapping) -> list[Cut]:
    """Smaller runs, those that lose least first."""
    tokens = config["plan"]["text"]["tokens"] * 40 // 96
    only = "extended"
    return [
        Cut(
            "pretraining: {sweep: {runs: []}}",
            "the table of learning rates; the paper's rates are configured",
            _with("pretraining", sweep=config["pretraining"]["sweep"] | {"runs": []}),
            _without("pretrain_sweep", "make_search_table"),
        ),
        Cut(
            "pretraining: {fractions: [1.0]}",
            "all points of Figure 2 but the last, and the choice among checkpoints",
            _with("pretraining", fractions=[1.0]),
            _evaluates("key"),
        ),
        Cut(
            "evaluation: {limit: 1000}",
            "precision: intervals of MMLU, ruOpenBookQA and RuCoLA up to four times as wide",
            _with("evaluation", limit=1000),
        ),
        Cut(
            f"pretraining: {{token_budget: {tokens}}}",
            "the longer part of pre-training: 40 of 96 GB of text, which the paper calls the least that is needed",
            _with("pretraining", token_budget=tokens),
        ),
        *_published(config),
        Cut(
            f"subset: {{vocabularies: [{only}]}}",
            f"the rows of all vocabularies but {only}",
            dict,
            lambda job: job.wildcards.get("vocabulary", only) in (only, "original"),
        ),
    ]


def _published(config: Mapping) -> list[Cut]:
    if config["donor"] == "published" or not all(family.get("published_donors") for family in config["families"]):
        return []
    trained = ("train_sentencepiece", "pack_corpus", "pretrain", "pretrain_sweep", "make_search_table")
    kept = (_without(*trained), _evaluates("key"))
    return [
        Cut(
            "donor: published",
            "pre-training of one's own: the authors' models take its place (whether they can be fetched is not known), "
            "Figure 2 has one point for each vocabulary",
            lambda config: config | {"donor": "published"},
            lambda job: all(keeps(job) for keeps in kept),
        )
    ]


def render(jobs: list[Job], config: dict, root: Path, gpus: int, processes: int) -> str:
    """The plan as text."""
    load = Workload(config, root)
    if not jobs:
        return "Nothing to be done: all results are there.\n"

    def costs(job: Job) -> Cost:
        return load.cost(job.rule, job.wildcards)

    total = schedule(jobs, costs, gpus, processes)
    where = f"{gpus} GPUs" if gpus else f"{processes} cores"
    hours = f"{_hours(total.device_seconds)} GPU-hours; " if gpus else ""
    lines = [f"{len(jobs)} jobs at scale {config['scale']}", "", *_table(jobs, costs), ""]
    lines += [f"In all {hours}{_span(total.wall_seconds)} on {where}.", "", *_disk(load), *_memory(jobs, costs, load)]
    lines += [*_cut_lines(jobs, config, root, gpus, processes, total), "", _basis(config["plan"])]
    return "\n".join(lines) + "\n"


def _table(jobs: list[Job], costs: Callable[[Job], Cost]) -> list[str]:
    by_rule = defaultdict(list)
    for one in jobs:
        by_rule[one.rule].append(one)
    rows = [("step", "jobs", "GPUs", "GPU-hours", "longest", "memory GB", "GPU GB", "why")]
    for rule, members in by_rule.items():
        found = [costs(one) for one in members]
        device, asked = max(c.device_bytes for c in found), max(one.memory_mb for one in members)
        reasons = [reason for reason, _ in Counter(one.reason for one in members).most_common(2)]
        rows.append((
            rule, str(len(members)), str(max(c.gpus for c in found) or ""),
            _hours(sum(c.seconds * c.gpus for c in found)), _span(max(c.seconds for c in found)),
            f"{asked / 1000:.0f}" if asked else "", f"{device / 1e9:.0f}" if device >= 1e9 else "", ", ".join(reasons),
        ))  # fmt: skip
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    aligned = [[c.ljust(w) if i in (0, 7) else c.rjust(w) for i, (c, w) in enumerate(zip(r, widths, strict=True))]
               for r in rows]  # fmt: skip
    return ["  ".join(row).rstrip() for row in aligned]


def _disk(load: Workload) -> list[str]:
    parts = disk_parts(load)
    listed = ", ".join(f"{name} {size / 1e9:,.1f}" for name, size in parts.items())
    return [f"Disk: {sum(parts.values()) / 1e9:,.1f} GB when the whole run is there ({listed}, in GB)."]


def _memory(jobs: list[Job], costs: Callable[[Job], Cost], load: Workload) -> list[str]:
    device = load.plan["device"]
    over = [(costs(one).device_bytes, one) for one in jobs if costs(one).device_bytes > device["memory_gb"] * 1e9]
    worst = {one.rule: (size, one) for size, one in sorted(over, key=lambda pair: pair[0])}
    return [
        f"Warning: {' '.join([one.rule, *one.wildcards.values()])} takes about {size / 1e9:.0f} GB on a device of "
        f"{device['memory_gb']} GB; use activation checkpointing or smaller micro-batches."
        for size, one in worst.values()
    ]


def _cut_lines(jobs: list[Job], config: dict, root: Path, gpus: int, processes: int, total: Total) -> list[str]:
    """The three cuts that lose least, of those that save something."""
    lines = []
    for cut in cuts(config):
        smaller = Workload(cut.changed(config), root)
        kept = [one for one in jobs if cut.keeps(one)]
        left = schedule(kept, lambda one, load=smaller: load.cost(one.rule, one.wildcards), gpus, processes)
        before, after = (t.device_seconds if gpus else t.wall_seconds for t in (total, left))
        if after > (1 - _SMALLEST_SAVING) * before:
            continue
        saved = f"{_hours(before - after)} GPU-hours, " if gpus else ""
        lines.append(
            f"  {cut.overlay}\n    saves {saved}{_span(total.wall_seconds - left.wall_seconds)}; loses {cut.loses}"
        )
    return ["", "Cheapest cuts, each alone, in a file for --configfile:", *lines[:3]] if lines else []


def _basis(plan: dict) -> str:
    device = f"{plan['device']['name']} ({plan['source']})"
    return f"Reckoned for {device}. For another device change `plan` in the configuration."


def _hours(seconds: float) -> str:
    hours = seconds / 3600
    return "" if not hours else f"{hours:,.0f}" if hours >= 10 else f"{hours:.1f}"


def _span(seconds: float) -> str:
    for size, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


def main() -> None:
    """Command line of the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=Path, required=True, help="what the logger plugin `jobs` wrote")
    parser.add_argument("--config", type=Path, required=True, help="the resolved configuration as JSON")
    parser.add_argument("--gpus", type=int, default=0, help="GPUs at hand; 0: those of one job")
    parser.add_argument("--cores", default="all", help="jobs side by side where no GPU is used")
    given = parser.parse_args()
    with job():
        try:
            config = json.loads(given.config.read_text(encoding="utf-8"))
        except (OSError, json.JSONDecodeError) as error:
            raise UserError(f"{given.config} is not the configuration as JSON ({error}); use `make plan`") from None
        gpus = config["compute"]["gpus_per_job"] and (given.gpus or config["compute"]["gpus_per_job"])
        cores = os.cpu_count() if given.cores == "all" else int(given.cores)
        print(render(read_jobs(given.jobs), config, Path.cwd(), gpus, _CLUSTER if gpus else cores), end="")


if __name__ == "__main__":
    main()
