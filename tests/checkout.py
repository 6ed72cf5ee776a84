"""Copies of the checkout, in which tests run Snakemake."""

import shutil
from pathlib import Path

ROOT = Path(__file__).parents[1]
_LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv", ".snakemake", "results", "downloads", "__pycache__", ".*_cache", ".hypothesis", "*.egg-info"
)


def copy_checkout(folder: Path) -> Path:
    return Path(shutil.copytree(ROOT, folder, ignore=_LEFT_OUT, symlinks=True))
