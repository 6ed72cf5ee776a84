"""Artefacts: a folder published by rename, with a deterministic `manifest.json` written last.

- `manifest.json` records what determines the numbers: hashes of the files and of the parents' manifests, seed,
  configuration, recipe version.
- `run.json` beside it records what varies between runs: time, memory, host, versions. No rule takes it as input.
"""

import importlib.metadata
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from lep.config import UserError
from lep.files import sha256_file, write_json

MANIFEST = "manifest.json"
RUN = "run.json"
_VERSIONS_OF = (
    "torch",
    "transformers",
    "tokenizers",
    "lm_eval",
    "vllm",
    "datasets",
    "peft",
    "trl",
    "numpy",
    "pymorphy3",
)
_STARTED = time.time()


def with_manifest(folders: Mapping[str, str | Path | None]) -> dict[str, Path]:
    """The folders that are not None and have a manifest; outside the workflow, model folders may have none."""
    return {role: Path(folder) for role, folder in folders.items() if folder and (Path(folder) / MANIFEST).is_file()}


def check_target(target: str | Path, inputs: Iterable[str | Path | None] = ()) -> None:
    """Raise `UserError` unless a command may write the folder `target` that its user names; call it before any work.

    Allowed are a new name, an empty folder, and what the same command published, with not a file more in it: a whole
    folder is replaced. Links, the folder of an input, and what holds an input, the working folder or the home folder
    are refused, whatever is in them.
    """
    named, target = target, Path(target).absolute()
    remedy = "name a new folder; nothing was changed"
    if target.is_symlink():
        raise UserError(f"{named} is a link, which is not replaced; name another folder")
    place = target.resolve()
    kept = {f"the input {path}": Path(path) for path in inputs if path}
    kept |= {"the working folder": Path.cwd(), "the home folder": Path.home()}
    for what, path in kept.items():
        if path.resolve().is_relative_to(place):
            raise UserError(f"{named} is, or holds, {what}, and would be replaced as a whole; {remedy}")
    above = next(path for path in (place, *place.parents) if path.exists())
    if not above.is_dir():
        raise UserError(f"{above} is a file, so no folder {named} can be written; {remedy}")
    if not os.access(above if above != place else place.parent, os.W_OK):
        raise UserError(f"no folder {named} can be written, since {above} is read-only for you; {remedy}")
    if above == place and (foreign := _foreign(place)):
        raise UserError(
            f"{named} holds {foreign}, which this command did not write, and would be replaced as a whole; {remedy}, "
            "or move what is in it"
        )


def _foreign(folder: Path) -> str | None:
    """The first file of a folder that is not from an earlier call of this command, or None."""
    found = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not _is_folder(path))
    try:
        record = json.loads((folder / RUN).read_text(encoding="utf-8"))
        own = {MANIFEST, RUN, *record["files"]} if record["command"] == _command() else set()
    except (OSError, ValueError, KeyError, TypeError):
        own = set()
    return next((name for name in found if name not in own), None)


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _command() -> str | None:
    """The module that `python -m` runs; None in a script of a rule."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return spec.name if spec else None


def staging(target: str | Path) -> Path:
    """An empty folder beside `target` (same file system) to build an artefact in."""
    target = Path(target)
    folder = target.with_name(f".{target.name}.staging")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def publish(
    folder: Path,
    target: str | Path,
    *,
    recipe_version: int,
    parents: Mapping[str, str | Path] | None = None,
    seed: int | None = None,
    config: Mapping | None = None,
    facts: Mapping | None = None,
    hashes: Mapping[str, str] | None = None,
) -> Path:
    """Give `folder` (from `staging`) its manifest and move it to `target`; returns the manifest's path.

    - `parents`: folder of each parent by role ("base", "corpus")
    - `facts`: what readers need without opening the files (rows, steps)
    - `hashes`: known sha256 of files by name (links to a parent's files), which are then not read again

    An existing `target` is replaced as a whole.
    """
    target = Path(target)
    known = hashes or {}
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name not in (MANIFEST, RUN))
    names = {path: path.relative_to(folder).as_posix() for path in files}
    write_json(
        folder / MANIFEST,
        {
            "recipe_version": recipe_version,
            "seed": seed,
            "config": dict(config or {}),
            "facts": dict(facts or {}),
            "parents": {role: sha256_file(Path(path) / MANIFEST) for role, path in (parents or {}).items()},
            "files": {name: known.get(name) or sha256_file(path) for path, name in names.items()},
        },
    )
    # Snakemake deletes the manifest before a rule runs again: the names tell whose folder it is (`check_target`).
    write_json(folder / RUN, run_record() | {"command": _command(), "files": sorted(names.values())})
    old = target.with_name(f".{target.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        os.replace(target, old)
    os.replace(folder, target)
    shutil.rmtree(old, ignore_errors=True)
    return target / MANIFEST


def read_manifest(folder: str | Path) -> dict:
    """The manifest of a published folder; raises `UserError` if it is missing or damaged."""
    path = Path(folder) / MANIFEST
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing: {folder} was never finished; run its rule again") from None
    except json.JSONDecodeError as error:
        raise UserError(f"{path} is damaged ({error}); delete {folder} and run its rule again") from None


def verify(folder: str | Path) -> dict:
    """Check each file of a published folder against its manifest and return the manifest.

    Raises `UserError` naming the first file that is missing or differs.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    for name, expected in manifest["files"].items():
        path = folder / name
        if not path.is_file():
            raise UserError(f"{path} is listed in {folder / MANIFEST} but missing; delete {folder} and run again")
        if sha256_file(path) != expected:
            raise UserError(f"{path} does not match {folder / MANIFEST}; delete {folder} and run again")
    return manifest


def run_record() -> dict:
    """Content of `run.json`: time, memory, host, versions, commit."""
    return {
        "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "seconds": round(time.time() - _STARTED, 1),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "host": platform.node(),
        "slurm_job": os.environ.get("SLURM_JOB_ID"),
        "partition": os.environ.get("SLURM_JOB_PARTITION"),
        "gpus": os.environ.get("CUDA_VISIBLE_DEVICES"),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in _VERSIONS_OF},
        "commit": _commit(),
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
