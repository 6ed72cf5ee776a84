"""Time of a dry run of our workflow, compared with a trivial Snakefile with equally many jobs.

    python benchmarks/graph.py [--repeats 3]

Both are whole processes. They alternate, and the fastest of each counts. No job runs and no network is used.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
GRAPHS = {"mini": (), "paper, profile slurm": ("--profile", "slurm")}
# Each job has one input: a chain of jobs is too slow to plan, and one job with many inputs is too fast.
EMPTY = """
rule all:
    input: expand("out/{{n}}", n=range({jobs} - 1))

rule job:
    input: "in"
    output: "out/{{n}}"
    shell: "true"
"""


def dry_run(folder: Path, *arguments: str) -> tuple[float, int]:
    """(seconds of a dry run, number of its jobs)."""
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--nolock", "--quiet", "host", *arguments]
    start = time.perf_counter()
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    seconds = time.perf_counter() - start
    if result.returncode:
        sys.exit(result.stdout + result.stderr)
    return seconds, int(re.search(r"^total +(\d+)$", result.stdout, re.MULTILINE)[1])


def compare(name: str, arguments: tuple[str, ...], repeats: int) -> str:
    """A row of the table."""
    with tempfile.TemporaryDirectory() as place:
        # A scale without results: existing ones would make the graph smaller.
        ours = (ROOT, *arguments, "--config", "scale=benchmark")
        jobs = dry_run(*ours)[1]
        (Path(place) / "Snakefile").write_text(EMPTY.format(jobs=jobs), encoding="utf-8")
        (Path(place) / "in").touch()
        times = [(dry_run(*ours)[0], dry_run(Path(place))[0]) for _ in range(repeats)]
    seconds, empty = map(min, zip(*times, strict=True))
    return f"| {name} | {jobs:,} | {seconds:.1f} | {empty:.1f} | {seconds / empty:.1f} |"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    print("| graph | jobs | seconds | empty Snakefile, seconds | ratio |")
    print("|---|---:|---:|---:|---:|")
    for name, arguments in GRAPHS.items():
        print(compare(name, arguments, given.repeats), flush=True)


if __name__ == "__main__":
    main()
