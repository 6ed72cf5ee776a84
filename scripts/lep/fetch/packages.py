"""Fetch packages with text or tokenizers through pip."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from lep.config import UserError
from lep.fetch.sources import read_sources
from lep.files import link_or_copy, sha256_file, written_by_rename
from lep.log import logger

# Wheels are chosen for one Python version, so that every machine fetches the same file.
_WHEEL_PYTHON = "3.14"


def fetch_package(name: str, sources: Path, local_dir: Path, output: Path) -> None:
    """Put the recorded file of a package at `output`: from `local_dir` if it is there, else through pip.

    Raises `UserError` for a file with another hash than recorded; `output` is then not written. pip runs the set-up
    code of a source distribution to read its name, so it checks the hash before.
    """
    if name not in (rows := read_sources(sources)):
        raise UserError(f"{sources} has no package {name!r}; it lists {', '.join(rows)}")
    row = rows[name]
    local = local_dir / row["file"]
    if not (local.is_file() and sha256_file(local) == row["sha256"]):
        _download(row, local)
    with written_by_rename(output) as partial:
        link_or_copy(local, partial)


def _download(row: dict, local: Path) -> None:
    remedy = f"put {row['file']} (sha256 {row['sha256']}) into {local.parent} and run again"
    local.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=local.parent) as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder]
        if row["file"].endswith(".whl"):
            wanted = ["--only-binary=:all:", "--python-version", _WHEEL_PYTHON, f"{row['name']}=={row['version']}"]
        else:
            requirement = Path(folder) / "requirement.txt"
            requirement.write_text(f"{row['name']}=={row['version']} --hash=sha256:{row['sha256']}\n", encoding="utf-8")
            wanted = ["--no-binary=:all:", "--require-hashes", "--requirement", str(requirement)]
        command += wanted
        logger.info("downloading %s %s", row["name"], row["version"])
        result = subprocess.run(command, capture_output=True, text=True)
        found = Path(folder) / row["file"]
        if result.returncode or not found.is_file():
            reason = (result.stderr.strip().splitlines() or ["no such file"])[-1]
            raise UserError(f"pip could not download {row['name']}=={row['version']} ({reason}); {remedy}")
        if (digest := sha256_file(found)) != row["sha256"]:
            raise UserError(f"the downloaded {row['file']} has sha256 {digest}, not the recorded one; {remedy}")
        os.replace(found, local)
