"""`make plan` and `make preflight` from the graph to the page; the README states what the first says of the paper."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from fixtures.checkout import ROOT
from fixtures.workflow import batches, pretended_slurm

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="needs make")


def make(checkout: Path, *arguments: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess:
    """A target in the copy of the checkout, with this environment as its .venv."""
    if not (checkout / ".venv").exists():
        (checkout / ".venv").symlink_to(Path(sys.prefix))
    command = ["make", "-o", ".venv/.installed", *arguments]
    return subprocess.run(
        command, cwd=checkout, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )


def test_readme_states_the_plan_of_the_paper(checkout: Path) -> None:
    result = make(checkout, "plan", "SCALE=paper", "GPUS=8")
    assert result.returncode == 0, result.stdout + result.stderr
    hours, days = re.search(r"In all ([\d,]+) GPU-hours; ([\d.]+) days on 8 GPUs", result.stdout).groups()
    (disk,) = re.search(r"Disk: ([\d,.]+) GB", result.stdout).groups()
    assert result.stdout.count("loses") == 3
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    stated = re.search(r"about ([\d,]+) GPU-hours, (\d+) days on 8 H100 with 80 GB, (\d+) GB of disk", readme).groups()
    for found, said in zip((hours, days, disk), stated, strict=True):
        assert float(said.replace(",", "")) == pytest.approx(float(found.replace(",", "")), rel=0.1)


def test_preflight_prints_what_it_finds_and_fails_with_it(checkout: Path, tmp_path: Path) -> None:
    environment = pretended_slurm(tmp_path)
    result = make(checkout, "preflight", "SCALE=ci", environment=environment)
    assert result.returncode == 0, result.stdout + result.stderr
    assert re.search(r"^ok      versions: Python .* as pinned\nok      partitions: ", result.stdout, re.MULTILINE)
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text(json.dumps({"compute": {"gpus_per_job": 99}, **batches(99)}))
    result = make(checkout, "preflight", f"ARGS=--configfile {overlay}", environment=environment)
    assert result.returncode != 0
    assert re.search(r"^FAILED  partitions: a training job asks for 99 .*\n        -> ", result.stdout, re.MULTILINE)
