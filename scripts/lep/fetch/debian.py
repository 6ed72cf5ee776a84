"""Fetch Debian packages as data: apt downloads and checks them, nothing is installed; their licences are kept."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from lep.config import UserError
from lep.corpus.debian_docs import read_members
from lep.files import link_or_copy, sha256_file
from lep.log import logger
from lep.manifest import publish, staging

RECIPE_VERSION = 1


def fetch_debian(packages: Sequence[str], recorded: Mapping[str, Mapping], local_dir: Path, output: Path) -> None:
    """Publish the folder `output` with the packages' `.deb` files and `licences/{package}.txt`.

    A package that is already in `local_dir` is not downloaded again. The versions are those of this machine's release;
    the manifest's facts name them. `recorded`: rows of the table of sources by package. Raises `UserError` for a
    package that is not in this table, and without apt.
    """
    if unknown := [name for name in packages if name not in recorded]:
        raise UserError(f"{', '.join(unknown)} not in the table of sources; record origin and licence there first")
    local_dir.mkdir(parents=True, exist_ok=True)
    missing = [name for name in packages if not _local(name, local_dir)]
    if missing:
        _download(missing, local_dir)
    folder = staging(output)
    (folder / "licences").mkdir()
    facts = {}
    for name in packages:
        file = _local(name, local_dir)
        link_or_copy(file, folder / file.name)
        (folder / "licences" / f"{name}.txt").write_bytes(_copyright(file, name))
        version = file.name.split("_")[1].replace("%3a", ":")
        facts[name] = {"version": version, "sha256": sha256_file(file), "licence": recorded[name]["licence"]}
    publish(folder, output, recipe_version=RECIPE_VERSION, config={"packages": list(packages)}, facts=facts)


def _local(name: str, folder: Path) -> Path | None:
    return max(folder.glob(f"{name}_*.deb"), default=None)


def _download(packages: Sequence[str], local_dir: Path) -> None:
    for tool in ("apt-get", "dpkg-deb"):
        if not shutil.which(tool):
            raise UserError(
                f"Debian packages need {tool}: use a Debian or Ubuntu machine, put {', '.join(packages)} as .deb files "
                f"into {local_dir}, or remove these sources from corpus.sources"
            )
    with tempfile.TemporaryDirectory(dir=local_dir) as folder:
        logger.info("downloading %s", " ".join(packages))
        result = subprocess.run(["apt-get", "download", *packages], cwd=folder, capture_output=True, text=True)
        found = [next(Path(folder).glob(f"{name}_*.deb"), None) for name in packages]
        if result.returncode or None in found:
            reason = ([line for line in result.stderr.splitlines() if line.startswith("E:")] or ["no file arrived"])[0]
            raise UserError(f"apt-get could not download {' '.join(packages)} ({reason}); try `apt-get update` first")
        for file in found:
            os.replace(file, local_dir / file.name)


def _copyright(package: Path, name: str) -> bytes:
    """The copyright file of a package; empty if another package has it."""
    place = PurePosixPath("usr/share/doc", name, "copyright")
    return b"".join(content for _, content in read_members(package, place.__eq__))
