"""Plan of a run before it starts: jobs and their reasons, hours, memory, disk, and the cheapest cuts.

    snakemake --dry-run --quiet all --logger jobs --logger-jobs-file jobs.jsonl
    python -m lep.plan --jobs jobs.jsonl --config config.json [--gpus 8]

All numbers are estimates from the configuration (`lep.planning.cost`); nothing is measured.
"""

import argparse
import json
import os
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path

from lep.compute.options import cores, number
from lep.config import UserError
from lep.log import logged
from lep.planning.columns import aligned
from lep.planning.cost import Cost, CostModel
from lep.planning.cuts import cuts
from lep.planning.disk import disk_parts
from lep.planning.schedule import Job, Total, read_jobs, schedule
from lep.workflow.run import Run
from lep.workflow.sources import hub_sources

_CLUSTER = 50  # jobs without GPU that a cluster runs at the same time
_SMALLEST_SAVING = 0.02  # share of the time that a cut must save to be listed


def render(jobs: list[Job], config: dict, root: Path, gpus: int, processes: int) -> str:
    """The plan as text."""
    model = CostModel(config, root)
    if not jobs:
        return "Nothing to do: all results exist.\n"

    def costs(job: Job) -> Cost:
        return model.cost(job.rule, job.wildcards)

    total = schedule(jobs, costs, gpus, processes)
    where = f"{gpus} GPUs" if gpus else f"{processes} cores"
    hours = f"{_hours(total.device_seconds)} GPU-hours; " if gpus else ""
    lines = [f"{len(jobs)} jobs at scale {config['scale']}", "", *_table(jobs, costs), ""]
    lines += [f"In all {hours}{_span(total.wall_seconds)} on {where}.", "", *_disk(model), *_unseen(model.run)]
    lines += _memory(jobs, costs, model)
    lines += [*_cut_lines(jobs, config, root, gpus, processes, total), "", _basis(config["plan"])]
    return "\n".join(lines) + "\n"


def _table(jobs: list[Job], costs: Callable[[Job], Cost]) -> list[str]:
    """One aligned line per rule; memory is that of its largest job, reasons are its two most frequent ones."""
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
    return aligned(rows, left=(0, 7))


def _disk(model: CostModel) -> list[str]:
    parts = disk_parts(model)
    listed = ", ".join(f"{name} {size / 1e9:,.1f}" for name, size in parts.items())
    return [f"Disk: {sum(parts.values()) / 1e9:,.1f} GB at the end of the whole run ({listed}, in GB)."]


def _unseen(run: Run) -> list[str]:
    """A line for each repository that the configuration marks as not seen on the hub."""
    return [
        f"Not seen on the hub when the configuration was written (seen: false): {source.name}."
        for source in hub_sources(run)
        if not source.seen
    ]


def _memory(jobs: list[Job], costs: Callable[[Job], Cost], model: CostModel) -> list[str]:
    """A warning for the largest job of each rule that does not fit into the memory of the device."""
    device = model.plan["device"]
    over = [(costs(one).device_bytes, one) for one in jobs if costs(one).device_bytes > device["memory_gb"] * 1e9]
    worst = {one.rule: (size, one) for size, one in sorted(over, key=lambda pair: pair[0])}
    return [
        f"Warning: {' '.join(filter(None, [one.rule, *one.wildcards.values()]))} needs about {size / 1e9:.0f} GB on a "
        f"device of {device['memory_gb']} GB; use activation checkpointing or smaller micro-batches."
        for size, one in worst.values()
    ]


def _cut_lines(jobs: list[Job], config: dict, root: Path, gpus: int, processes: int, total: Total) -> list[str]:
    """Of the cuts that save time, the three with the smallest loss."""
    lines = []
    for cut in cuts(config):
        smaller = CostModel(cut.changed(config), root)
        kept = [one for one in jobs if cut.keeps(one)]
        left = schedule(kept, lambda one, model=smaller: model.cost(one.rule, one.wildcards), gpus, processes)
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
    return f"Estimated for {device}. For another device change `plan` in the configuration."


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
    parser.add_argument("--jobs", type=Path, required=True, help="file of the logger plugin `jobs`")
    parser.add_argument("--config", type=Path, required=True, help="the resolved configuration as JSON")
    parser.add_argument("--gpus", type=number, default=0, help="available GPUs; 0: as many as one job takes")
    parser.add_argument("--cores", type=cores, default="all", help="jobs at the same time, if no GPU is used")
    given = parser.parse_args()
    with logged():
        try:
            config = json.loads(given.config.read_text(encoding="utf-8"))
        except (OSError, json.JSONDecodeError) as error:
            raise UserError(f"{given.config} is not the configuration as JSON ({error}); use `make plan`") from None
        gpus = config["compute"]["gpus_per_job"] and (given.gpus or config["compute"]["gpus_per_job"])
        processes = os.cpu_count() if given.cores == "all" else int(given.cores)
        print(render(read_jobs(given.jobs), config, Path.cwd(), gpus, _CLUSTER if gpus else processes), end="")


if __name__ == "__main__":
    main()
