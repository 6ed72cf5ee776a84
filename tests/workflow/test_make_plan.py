"""`make plan` from the graph to the page: the README states what it says of the paper."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from fixtures.checkout import ROOT


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_readme_states_the_plan_of_the_paper(checkout: Path) -> None:
    if not (checkout / ".venv").exists():
        (checkout / ".venv").symlink_to(Path(sys.prefix))
    command = ["make", "-o", ".venv/.installed", "plan", "SCALE=paper", "GPUS=8"]
    result = subprocess.run(command, cwd=checkout, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert result.returncode == 0, result.stdout + result.stderr
    hours, days = re.search(r"In all ([\d,]+) GPU-hours; ([\d.]+) days on 8 GPUs", result.stdout).groups()
    (disk,) = re.search(r"Disk: ([\d,.]+) GB", result.stdout).groups()
    assert result.stdout.count("loses") == 3
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    stated = re.search(r"about ([\d,]+) GPU-hours, (\d+) days on 8 H100 with 80 GB, (\d+) GB of disk", readme).groups()
    for found, said in zip((hours, days, disk), stated, strict=True):
        assert float(said.replace(",", "")) == pytest.approx(float(found.replace(",", "")), rel=0.1)
