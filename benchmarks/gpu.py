"""Everything that wants a GPU, in at most nine minutes, perhaps without network; `benchmarks/gpu.sh` starts it.

    benchmarks/gpu.sh --out results/gpu                       on a machine with everything installed
    benchmarks/gpu.sh --out results/gpu --brought FOLDER      with wheels from FOLDER
    benchmarks/gpu.sh --out FOLDER --device cpu --tiny        a test of the script

The parts run in order of their value, each in a process of its own with a time limit; one that fails does not stop the
others. In the output folder, as it goes: `log.txt` (all that the parts print), `results.jsonl` (a line for each part
and for each row of its tables) and `summary.md` (what ran, what was skipped and why).
"""

import argparse
import contextlib
import dataclasses
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
REQUEUE = 75  # exit code of a training that was told to stop (lep.compute.stop)
LEAST = 5  # seconds: with less time left no part is started
TO_END = 10  # seconds that a part has to end after it is told to
PINNED = [line.split("==")[0] for line in (ROOT / "requirements.txt").read_text().splitlines() if "==" in line]
PACKAGES = [*PINNED, "triton", "liger_kernel", "flash_attn", "vllm"]
OF_CUDA = ("torch-", "triton-", "nvidia_", "nvidia-", "cuda_", "cuda-")  # how wheels of torch with CUDA begin
MODEL = "data/stand_ins/llama/base"
FACTS = f"""
import json, platform
from importlib import metadata
def version(name):
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
found = {{"python": platform.python_version(), **{{name: version(name) for name in {PACKAGES!r}}}}}
if found["torch"]:
    import torch
    found |= {{"cuda": torch.version.cuda, "gpu": None, "threads": torch.get_num_threads()}}
    if torch.cuda.is_available():
        device = torch.cuda.get_device_properties(0)
        found |= {{"gpu": device.name, "gpu_gb": round(device.total_memory / 1e9, 1), "gpus": torch.cuda.device_count(),
                  "capability": f"{{device.major}}.{{device.minor}}", "bfloat16": torch.cuda.is_bf16_supported()}}
print(json.dumps(found))
"""


@dataclass(frozen=True)
class Part:
    """Something to run, and the most seconds that it may take."""

    name: str
    command: list[str]
    seconds: float
    reason: str = ""  # why it cannot run; empty = it can


@dataclass
class Outcome:
    """What became of a part."""

    part: str
    state: str  # done, failed, cut off, skipped
    note: str = ""
    seconds: float = 0.0
    rows: list[dict] = field(default_factory=list)


def parts(given: argparse.Namespace, facts: dict, work: Path) -> Iterator[Part]:
    """All parts behind the facts of the environment, the most valuable first."""
    python, small = [sys.executable, "-P"], ["--small"] if given.tiny else []
    device = ["--device", given.device]
    lacking = "" if given.device == "cpu" or facts.get("gpu") else "torch finds no GPU"
    training = [*python, "benchmarks/pretraining.py", *device, *small, "--rounds", "1"]
    training += ["--way", "ours"] if given.tiny else []
    # Only their files: to collect all tests would take longer than to run these. -vv, since pyproject.toml says -q.
    files = [str(path) for path in sorted((ROOT / "tests").rglob("test_*.py")) if "mark.gpu" in path.read_text("utf-8")]
    tests = ["-m", "pytest", "-m", "gpu", "-vv", "-rs", "-n0", "-p", "no:cacheprovider", *files]
    yield Part("tests", [*python, *tests], 100, lacking)
    yield Part("pretraining_8b", [*training, "--part", "8b"], 150, lacking)
    yield Part("pretraining_135m", [*training, "--part", "135m"], 90, lacking)
    propagation = ["benchmarks/lep.py", "--part", "methods-8b", *device, *small, "--work", str(work)]
    yield Part("lep_methods_8b", [*python, *propagation], 150, lacking)
    made = Path("results/mini/benchmark")
    data = ["--data", str(made if made.is_dir() and not given.tiny else "scripts/darumeru/tiny")]
    scoring = ["benchmarks/evaluation.py", "--model", given.model, *data, *device, "--repeats", "1"]
    scoring += ["--limit", "1", "--shots", "1"] if given.tiny else []
    yield Part("evaluation", [*python, *scoring], 60, lacking)
    yield _laptop(given, python, work, lacking)


def _laptop(given: argparse.Namespace, python: list[str], work: Path, lacking: str) -> Part:
    """The pre-training of the laptop scale over a whole epoch, until the time is up."""
    job, limit = Path(given.job), max(given.seconds, LEAST)
    if lacking or not job.is_file():
        return Part("laptop", [], limit, lacking or f"{job} is missing: `make paper SCALE=laptop` writes it")
    settings = json.loads(job.read_text(encoding="utf-8"))
    missing = [settings[key] for key in ("model", "data", "validation") if not Path(settings[key]).exists()]
    if missing:
        return Part("laptop", [], limit, f"{', '.join(missing)}: missing; bring the inputs of {job} along")
    settings["optimisation"]["token_budget"] = None
    settings |= {"device": given.device, "models": None, "work": str(work / "laptop"), "output": str(work / "trained")}
    (work / "laptop.json").write_text(json.dumps(settings), encoding="utf-8")
    return Part("laptop", [*python, "-m", "lep.pretraining.pretrain", "--config", str(work / "laptop.json")], limit, "")


def run_part(part: Part, left: float, log: Path) -> Outcome:
    """Run a part within its limit and the seconds that are `left`; what it prints is appended to `log`."""
    if part.reason:
        return Outcome(part.name, "skipped", part.reason)
    limit = min(part.seconds, left - TO_END)
    if limit < LEAST:
        return Outcome(part.name, "skipped", "no time was left")
    with open(log, "a", encoding="utf-8") as file:
        file.write(f"\n== {part.name}: {' '.join(part.command)}\n")
        file.flush()
        begin, start = file.tell(), time.monotonic()
        process = subprocess.Popen(
            part.command, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT, start_new_session=True
        )
        code = _wait(process, limit)
    seconds = round(time.monotonic() - start, 1)
    text = log.read_bytes()[begin:].decode("utf-8", errors="replace")
    last = next((line.strip(" =") for line in reversed(text.splitlines()) if line.strip()), "it printed nothing")
    if code is None or code == REQUEUE:
        state, note = "cut off", f"after {limit:.0f} s"
    else:
        state, note = ("failed", f"exit code {code}: {last[:200]}") if code else ("done", "")
    if part.name == "tests" and code is not None:
        note = last
    return Outcome(part.name, state, note, seconds, list(read_rows(text)))


def _wait(process: subprocess.Popen, limit: float) -> int | None:
    """The exit code; None if the process and its children had to be stopped after `limit` seconds."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        return process.wait(limit)
    for number in (signal.SIGTERM, signal.SIGKILL):  # a training that is told to stop saves where it is
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(TO_END)
            break
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # children that outlive it
    return None


def read_rows(text: str) -> Iterator[dict]:
    """What a part has found: rows of Markdown tables, outcomes of tests, lines that are JSON objects."""
    names: list[str] = []
    lines = text.splitlines()
    for line, below in zip(lines, [*lines[1:], ""], strict=True):
        if line.startswith("{"):
            with contextlib.suppress(json.JSONDecodeError):
                yield json.loads(line)
        elif found := re.match(r"(\S+::.+?) (PASSED|FAILED|SKIPPED|ERROR)\b", line):
            yield {"test": found[1], "outcome": found[2].lower()}
        elif line.startswith("|") and not _is_rule(line):
            cells = [cell.strip(" *") for cell in line.strip().strip("|").split("|")]
            if _is_rule(below):  # a head; its rows may have other lines between them, such as progress bars
                names = [name or "value" for name in cells]
            else:
                yield dict(zip(names, cells, strict=False))


def _is_rule(line: str) -> bool:
    """Whether a line is the one below the head of a table."""
    return line.startswith("|-") and set(line) <= set("|-: ")


def write_summary(path: Path, facts: dict, outcomes: Sequence[Outcome], total: float) -> None:
    """What ran, what was skipped and why, and the rows of each part, as Markdown."""
    lines = ["# On a GPU", "", ", ".join(f"{name} {value}" for name, value in facts.items() if value is not None), ""]
    lines += [f"Absent: {', '.join(name for name, value in facts.items() if value is None) or 'nothing'}", ""]
    lines += ["| part | state | seconds | note |", "|---|---|---:|---|"]
    lines += [f"| {o.part} | {o.state} | {o.seconds:.1f} | {o.note.replace('|', '/')} |" for o in outcomes]
    lines += ["", f"{total:.0f} s in all"]
    for outcome in outcomes:
        if outcome.rows and outcome.part != "facts":
            lines += ["", f"## {outcome.part}", ""]
            lines += [f"- {', '.join(f'{k}: {v}' for k, v in row.items())}" for row in outcome.rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def install(brought: Path, work: Path) -> str:
    """Install the wheels of a folder for this run alone, without network; returns what was done.

    A file in parts (NAME.part-00, ...) is joined first. Wheels of torch and CUDA are left out where torch has CUDA.
    """
    wheels, site = work / "wheels", work / "site"
    wheels.mkdir()
    for path in sorted(brought.iterdir()):
        name, cut, _ = path.name.partition(".part-")
        if name.endswith(".whl"):
            with open(wheels / name, "ab" if cut else "wb") as whole, open(path, "rb") as piece:
                shutil.copyfileobj(piece, whole)
    check = "import sys, torch; sys.exit(not torch.cuda.is_available())"
    has_cuda = subprocess.run([sys.executable, "-c", check], capture_output=True).returncode == 0
    chosen = [str(path) for path in sorted(wheels.iterdir()) if not (has_cuda and path.name.startswith(OF_CUDA))]
    if not chosen:
        return f"{brought} has no wheels to install"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--target", str(site)]
    done = subprocess.run([*command, *chosen], capture_output=True, text=True)
    os.environ["PYTHONPATH"] = os.pathsep.join([str(site), os.environ["PYTHONPATH"]])
    failed = f"; pip failed: {done.stderr.strip().splitlines()[-1:]}" if done.returncode else ""
    return f"{len(chosen)} wheels from {brought}, torch of the environment {'kept' if has_cuda else 'not used'}{failed}"


def run_all(given: argparse.Namespace, work: Path) -> list[Outcome]:
    """Run all parts; the files in `given.out` say after each what is known by then."""
    started, out = time.monotonic(), given.out
    log, results = out / "log.txt", out / "results.jsonl"
    log.write_text("", encoding="utf-8")
    results.write_text("", encoding="utf-8")
    outcomes: list[Outcome] = []
    facts: dict = {}

    def note(outcome: Outcome) -> None:
        outcomes.append(outcome)
        head = {"part": outcome.part, "state": outcome.state, "seconds": outcome.seconds, "note": outcome.note}
        with open(results, "a", encoding="utf-8") as file:
            for line in (head, *({"part": outcome.part, **row} for row in outcome.rows)):
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
        write_summary(out / "summary.md", facts, outcomes, time.monotonic() - started)
        print(f"{outcome.part}: {outcome.state} ({outcome.seconds:.0f} s) {outcome.note}", flush=True)

    if given.brought:
        note(Outcome("wheels", "done", install(given.brought, work)))
    first = run_part(Part("facts", [sys.executable, "-P", "-c", FACTS], 60), given.seconds, log)
    facts |= first.rows[-1] if first.rows else {}
    note(first)
    for part in parts(given, facts, work):
        left = given.seconds - (time.monotonic() - started)
        note(run_part(dataclasses.replace(part, seconds=left) if given.tiny else part, left, log))
    return outcomes


def main() -> None:
    """Command line of the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the results")
    parser.add_argument("--seconds", type=float, default=540, help="of all parts together")
    parser.add_argument("--brought", type=Path, help="folder with wheels, also in parts: NAME.whl.part-00, ...")
    parser.add_argument("--model", default=MODEL, help="model folder for the evaluation (default: a stand-in)")
    parser.add_argument(
        "--job", default="results/laptop/jobs/pretrain/smollm2/extended.json", help="pre-training of the laptop scale"
    )
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="tiny sizes")
    given = parser.parse_args()
    given.out = given.out.absolute()
    given.out.mkdir(parents=True, exist_ok=True)
    if given.brought and not given.brought.is_dir():
        parser.error(f"--brought {given.brought} is no folder")
    os.environ |= {"PYTHONUNBUFFERED": "1", "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT / "scripts")}
    with tempfile.TemporaryDirectory(prefix="gpu-") as work:
        outcomes = run_all(given, Path(work))
    sys.exit(any(outcome.state == "failed" for outcome in outcomes))


if __name__ == "__main__":
    main()
