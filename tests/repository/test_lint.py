"""The linters, as `make lint` and `make test` run them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINTERS = {
    "ruff check": ["-m", "ruff", "check", "."],
    "ruff format": ["-m", "ruff", "format", "--check", "."],
    "snakefmt": ["-m", "snakefmt", "--check", "Snakefile", "rules"],
    "snakemake lint": ["-m", "snakemake", "--lint"],
    # The contracts of pyproject.toml; the package has no module to run.
    "import-linter": ["-c", "from importlinter.cli import lint_imports_command as main; main(['--no-cache'])"],
}


@pytest.mark.parametrize("name", LINTERS)
def test_linter(name: str) -> None:
    result = subprocess.run(
        [sys.executable, *LINTERS[name]],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT / "scripts")},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    assert result.returncode == 0, result.stdout + result.stderr
