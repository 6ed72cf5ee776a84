"""Checks before the first job of a run: versions, access to the hub, partitions, GPUs, memory, disk.

    python -m lep.planning.preflight --config results/paper/config.yaml [--here]

`--config` is the resolved configuration, as YAML or JSON. `--here`: the jobs run on this machine, so SLURM is not asked
even where there is one. Each check prints a line. A failure says what to do and sets the exit code to 1.
"""

import argparse
import importlib.metadata
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import yaml

from lep.calibration.endpoint_judge import probe
from lep.calibration.grading import JudgeSettings
from lep.config import UserError, parse_job
from lep.fetch.endpoint import elsewhere_fault
from lep.fetch.sources import read_sources
from lep.files import sha256_file
from lep.log import logged
from lep.names import CALIBRATIONS
from lep.planning.access import Looked, check_sources, look_up, model_bytes
from lep.planning.cost import CostModel
from lep.planning.disk import disk_parts
from lep.planning.finding import FAILED, NOTE, OK, Finding, more
from lep.planning.gpu_checks import check_gpu_software
from lep.workflow.jobs import judge_settings
from lep.workflow.models import adapted, calibrations
from lep.workflow.run import Run
from lep.workflow.sources import packaged_references

OLDEST_PYTHON = (3, 11)
PARTITIONS = "slurm/partitions.yaml"


def preflight(config: Mapping, root: Path, here: bool = False) -> list[Finding]:
    """Findings of all checks. `root` is the folder of the Snakefile; `here`: jobs run on this machine, not on SLURM."""
    run, cluster = Run(config, root), not here and shutil.which("sinfo") is not None
    looked = look_up(run)
    checks = (
        check_versions(root),
        check_sources(looked, run),
        check_packages(config, root),
        check_judge(config, root, cluster),
        check_devices(config, root, cluster),
        check_gpu_software(config, cluster),
        check_memory(config, root),
        check_disk(config, root, looked),
    )
    return [finding for findings in checks for finding in findings]


def check_versions(root: Path) -> Iterator[Finding]:
    """Python is new enough, and the packages have the versions of requirements.txt."""
    lines = (root / "requirements.txt").read_text(encoding="utf-8").splitlines()
    pins = [line.split("#")[0].strip().split("==") for line in lines if "==" in line.split("#")[0]]
    wrong = [f"{name} {found}, not {version}" for name, version in pins if (found := _installed(name)) != version]
    if sys.version_info < OLDEST_PYTHON:
        wrong.insert(0, f"Python {sys.version.split()[0]}, not 3.11 or newer")
    if wrong:
        remedy = "run `make .venv/.installed`, and start Snakemake as .venv/bin/snakemake"
        yield Finding(FAILED, f"versions: {'; '.join(wrong[:5])}" + more(wrong, 5), remedy)
    else:
        yield Finding(OK, f"versions: Python {sys.version.split()[0]}, {len(pins)} packages as pinned")


def check_packages(config: Mapping, root: Path) -> Iterator[Finding]:
    """Each package of text or of a model is a local file with the recorded hash; else a note that pip will fetch it."""
    recorded = read_sources(root / "data/sources.csv")
    sources = [*config["corpus"]["sources"], *packaged_references(Run(config, root))]
    for name in dict.fromkeys(source["package"] for source in sources if "package" in source):
        row = recorded[name]
        path = root / config["data"]["local_dir"] / row["file"]
        if path.is_file() and sha256_file(path) == row["sha256"]:
            yield Finding(OK, f"package {row['name']}: {path.relative_to(root)} as recorded")
        else:
            yield Finding(NOTE, f"package {row['name']}: not in {config['data']['local_dir']}, pip will fetch it")


def check_judge(config: Mapping, root: Path, cluster: bool) -> Iterator[Finding]:
    """A judge behind an endpoint gives a grade, asked from here, unless all answers are graded already.

    The jobs of a `cluster` need an address that other nodes reach.
    """
    run, remedy = Run(config, root), "start the judge and name it in calibration.judge, or leave out calibration self"
    families = [f for f in run.pairs if any(CALIBRATIONS[name].own_answers for *_, name in calibrations(run, f))]
    graded = all((root / each.of_seed("grades", family)).is_file() for each in run.repeats for family in families)
    if config["calibration"]["judge"]["backend"] != "openai" or graded:
        return
    judge = parse_job(JudgeSettings, {**judge_settings(run), "attempts": 2}, "calibration.judge")
    if cluster and (fault := elsewhere_fault(judge.endpoint)):
        yield Finding(FAILED, f"judge: {fault}", remedy)
        return
    try:
        probe(judge)
    except UserError as error:
        yield Finding(FAILED, f"judge: {error}", remedy)
    else:
        yield Finding(OK, f"judge: {judge.model} at {judge.endpoint} gives grades")


def check_devices(config: Mapping, root: Path, cluster: bool) -> Iterator[Finding]:
    """There are enough GPUs: in the partitions of a `cluster` with SLURM, else in this machine."""
    wanted = config["compute"]["gpus_per_job"]
    if cluster:
        yield from _partitions(wanted, root)
        return
    if not wanted:
        return
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=60).stdout
    except (OSError, subprocess.TimeoutExpired):
        listed = ""
    found = sum(line.startswith("GPU ") for line in listed.splitlines())
    if found < wanted:
        remedy = (
            "start on a cluster with `--profile slurm`, or on a machine with GPUs, or set compute.gpus_per_job "
            + (f"to {found}" if found else "to 0 and compute.device to cpu")
        )
        yield Finding(FAILED, f"GPUs: a training job asks for {wanted}, this machine has {found}", remedy)
    else:
        yield Finding(OK, f"GPUs: {found} here, a training job asks for {wanted}")


def _partitions(wanted: int, root: Path) -> Iterator[Finding]:
    """Each partition of `slurm/partitions.yaml` exists, and one has nodes with enough GPUs."""
    try:
        result = subprocess.run(["sinfo", "-h", "-o", "%R|%G"], capture_output=True, text=True, timeout=60)
    except subprocess.TimeoutExpired:
        yield Finding(
            FAILED, "partitions: sinfo does not answer", "ask whether the SLURM controller is up, then try again"
        )
        return
    if result.returncode:
        reason = (result.stderr.strip().splitlines() or ["no reason given"])[-1]
        yield Finding(
            FAILED, f"partitions: sinfo fails ({reason})", "ask whether the SLURM controller is up, then try again"
        )
        return
    there: dict[str, int] = {}
    for line in result.stdout.splitlines():
        name, _, resources = line.partition("|")
        there[name] = max(there.get(name, 0), _gpus(resources))
    named = yaml.safe_load((root / PARTITIONS).read_text(encoding="utf-8"))["partitions"]
    if unknown := [name for name in named if name not in there]:
        what = (
            f"partitions: {', '.join(unknown)} of {PARTITIONS} do not exist; "
            f"this cluster has {', '.join(sorted(there))}"
        )
        yield Finding(FAILED, what, f"name your partitions and their limits in {PARTITIONS}")
        return
    most = max((there[name] for name, limits in named.items() if limits.get("max_gpu")), default=0)
    if wanted > most:
        what = f"partitions: a training job asks for {wanted} GPUs, but nodes of the named partitions have {most}"
        yield Finding(
            FAILED,
            what,
            "lower compute.gpus_per_job, or name another partition, or use several nodes (docs/cluster.md)",
        )
    else:
        yield Finding(
            OK, f"partitions: {', '.join(named)} exist; nodes with {most} GPUs, a training job asks for {wanted}"
        )


def _gpus(resources: str) -> int:
    """GPUs of a node, from SLURM's list of generic resources, such as gpu:h100:8(S:0-1),tmpspace:10G."""
    counts = [entry.split("(")[0].split(":")[-1] for entry in resources.split(",") if entry.startswith("gpu")]
    return sum(int(count) for count in counts if count.isdigit())


def check_memory(config: Mapping, root: Path) -> Iterator[Finding]:
    """No training needs more memory than the device of the plan has, by the cost model; otherwise a note."""
    if not config["compute"]["gpus_per_job"]:
        return
    run, costs, device = Run(config, root), CostModel(config, root), config["plan"]["device"]
    sizes = {}
    for family, vocabulary in () if run.adopts_donors else adapted(run):
        cost = costs.cost("pretrain", {"family": family, "vocabulary": vocabulary})
        sizes[f"pre-training {family}/{vocabulary}"] = cost.device_bytes
    for family in run.pairs:
        for vocabulary, parent, calibration in calibrations(run, family):
            wildcards = {"family": family, "vocabulary": vocabulary, "parent": parent, "calibration": calibration}
            name = f"calibration {family}/{vocabulary}/{calibration}"
            sizes[name] = costs.cost("calibrate", wildcards).device_bytes
    over = [f"{name} {size / 1e9:.0f} GB" for name, size in sizes.items() if size > device["memory_gb"] * 1e9]
    if over:
        what = f"GPU memory: {device['memory_gb']} GB ({device['name']}), but about {', '.join(over[:3])}" + more(
            over, 3
        )
        remedy = (
            "set activation_checkpointing, lower micro_batch_size or batch_size; or set plan.device to what you have"
        )
        yield Finding(NOTE, what, remedy)  # only an estimate, so not a failure
    else:
        most = max(sizes.values(), default=0) / 1e9
        have = f"{device['memory_gb']} GB available ({device['name']})"
        yield Finding(OK, f"GPU memory: about {most:.0f} GB needed at most, {have}")


def check_disk(config: Mapping, root: Path, looked: Iterable[Looked] = ()) -> Iterator[Finding]:
    """The disk has room for the rest of the run, by the cost model and the hub's lists of files (`looked`)."""
    results = root / "results"
    place = results if results.exists() else root
    present = _size(results / config["scale"])
    parts = disk_parts(CostModel(config, root))
    if listed := model_bytes(looked, root):
        parts["fetched models"] = listed
    needed = sum(parts.values()) - present
    free = shutil.disk_usage(place).free
    if needed > free:
        where = place.relative_to(root.parent)
        what = f"disk: the run needs {needed / 1e9:,.0f} GB more, {where} has {free / 1e9:,.0f} GB free"
        yield Finding(
            FAILED, what, "make results/ a link to a larger file system, or use one of the cuts of `make plan`"
        )
    else:
        yield Finding(OK, f"disk: {max(0, needed) / 1e9:,.1f} GB more needed, {free / 1e9:,.0f} GB free")


def _size(folder: Path) -> int:
    """Disk usage of a folder in bytes; a file with several hard links counts once."""
    sizes = {}
    for place, _, names in os.walk(folder):
        for name in names:
            state = os.lstat(os.path.join(place, name))
            sizes[state.st_dev, state.st_ino] = state.st_blocks * 512
    return sum(sizes.values())


def _installed(package: str) -> str | None:
    try:
        return importlib.metadata.version(package).split("+")[0]
    except importlib.metadata.PackageNotFoundError:
        return None


def main() -> None:
    """Command line of the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, required=True, help="the resolved configuration, as YAML or JSON")
    parser.add_argument("--here", action="store_true", help="the jobs run on this machine: SLURM is not asked")
    given = parser.parse_args()
    with logged():
        config = yaml.safe_load(given.config.read_text(encoding="utf-8"))
        findings = preflight(config, Path.cwd(), given.here)
    print("\n".join(map(str, findings)), flush=True)
    sys.exit(any(finding.state == FAILED for finding in findings))


if __name__ == "__main__":
    main()
