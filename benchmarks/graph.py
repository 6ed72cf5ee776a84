"""Time of a dry run against that of an empty Snakefile with as many jobs: what our graph costs beside the engine.

    python benchmarks/graph.py [--repeats 3]

Both are whole processes and take turns; the fastest of each counts. Nothing is computed, no network is used.
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
# A chain of rules cannot be planned at once, and one rule with many inputs is too easy: each job has one input.
EMPTY = """
rule all:
    input: expand("out/{{n}}", n=range({jobs} - 1))

rule job:
    input: "in"
    output: "out/{{n}}"
    shell: "true"
"""


def dry_run(folder: Path, *arguments: str) -> tuple[float, int]:
    """Seconds of a dry run, and its number of jobs."""
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
        # A scale of its own: no earlier result makes the graph smaller.
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
