"""What a finished run took, beside what `make plan` says of the same jobs.

    python -m lep.planning.times --jobs jobs.jsonl --config config.json --results results/mini [--output times.csv]

The times are Snakemake's benchmarks of the jobs, in seconds of the clock and of the processor. A job that was killed
and went on counts from its last start. Processor seconds hardly depend on what else the machine did.
"""

import argparse
import csv
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lep.config import UserError
from lep.files import write_csv
from lep.log import logged
from lep.planning.columns import aligned
from lep.planning.cost import CostModel
from lep.planning.schedule import Job, read_jobs

COLUMNS = ("step", "jobs", "planned_s", "taken_s", "processor_s")


@dataclass(frozen=True)
class Times:
    """All jobs of one rule; seconds are sums over them, `planned` of as many jobs as were measured."""

    rule: str
    jobs: int
    planned: float
    taken: float
    processor: float


def read_benchmarks(folder: Path) -> dict[str, list[tuple[float, float]]]:
    """{rule: [(seconds, processor seconds) of each job]} from `[seed-N/]RULE[/...].tsv`."""
    found = defaultdict(list)
    for path in sorted(folder.rglob("*.tsv")):
        parts = [part for part in path.relative_to(folder).with_suffix("").parts if not part.startswith("seed-")]
        with open(path, encoding="utf-8", newline="") as file:
            row = list(csv.DictReader(file, delimiter="\t"))[-1]
        # A job shorter than the interval of Snakemake's measurement has no processor time.
        processor = row["cpu_time"]
        found[parts[0]].append((float(row["s"]), 0.0 if processor in ("NA", "-") else float(processor)))
    if not found:
        raise UserError(f"{folder} has no benchmarks of jobs; give the results of a run that has finished")
    return found


def compare(jobs: Iterable[Job], model: CostModel, benchmarks: Mapping[str, list[tuple[float, float]]]) -> list[Times]:
    """The longest first. Jobs without a benchmark, the short ones that run beside Snakemake, are left out."""
    planned, number = Counter(), Counter()
    for job in jobs:
        planned[job.rule] += model.cost(job.rule, job.wildcards).seconds
        number[job.rule] += 1
    found = []
    for rule, measured in benchmarks.items():
        seconds, processor = (sum(column) for column in zip(*measured, strict=True))
        per_job = planned[rule] / number[rule] if number[rule] else 0.0
        found.append(Times(rule, len(measured), per_job * len(measured), seconds, processor))
    return sorted(found, key=lambda times: -times.taken)


def rows(times: Iterable[Times]) -> list[tuple[str, ...]]:
    """The times as text, whole seconds, the sum last."""
    times = list(times)
    total = Times("all", *(sum(getattr(t, key) for t in times) for key in ("jobs", "planned", "taken", "processor")))
    return [(t.rule, str(t.jobs), f"{t.planned:.0f}", f"{t.taken:.0f}", f"{t.processor:.0f}") for t in (*times, total)]


def main() -> None:
    """Command line of the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=Path, required=True, help="file of the logger plugin `jobs`, of all jobs")
    parser.add_argument("--config", type=Path, required=True, help="the resolved configuration as JSON")
    parser.add_argument("--results", type=Path, required=True, help="folder of the run")
    parser.add_argument("--output", type=Path, help="CSV file to write as well")
    given = parser.parse_args()
    with logged():
        model = CostModel(json.loads(given.config.read_text(encoding="utf-8")), Path.cwd())
        found = rows(compare(read_jobs(given.jobs), model, read_benchmarks(given.results / "benchmarks")))
        print("\n".join(aligned([COLUMNS, *found])))
        if given.output:
            write_csv(given.output, COLUMNS, found)


if __name__ == "__main__":
    main()
