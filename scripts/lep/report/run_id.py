"""The id of a run: a hash of all files that tables, figures and report are made from. Each of them shows it."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from lep.config import UserError
from lep.files import sha256_file, sha256_json, write_json
from lep.manifest import MANIFEST

RUN_ID = "run_id.json"  # unlike the `run.json` next to a manifest, equal results give an equal file
DIGITS = 12  # of the hash


def identify_run(name: str, files: Mapping[str, Path], target: Path) -> str:
    """Write the run id and the sha256 of all `files` (by label) to `target` (run_id.json); returns the id.

    The id is `name`, a dash and the first digits of the hash of all files: equal files give an equal id.
    """
    hashes = {label: sha256_file(path) for label, path in sorted(files.items())}
    run = f"{name}-{sha256_json(hashes)[:DIGITS]}"
    write_json(target, {"run": run, "files": hashes})
    return run


def read_run(path: str | Path) -> str:
    """The run id in a run_id.json; `UserError` if the file is missing or invalid."""
    return _read(path, "run")


def read_manifests(path: str | Path) -> dict[Path, str]:
    """sha256 of the manifests of all artefacts of the run, by path, from its run_id.json."""
    files = _read(path, "files")
    return {Path(path).parent / name: sha256 for name, sha256 in files.items() if Path(name).name == MANIFEST}


def _read(path: str | Path, key: str):
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))[key]
    except (FileNotFoundError, json.JSONDecodeError, KeyError, TypeError) as error:
        raise UserError(f"{path} has no run id ({error!r}); run the rule identify_run again") from None


def label_files(paths: Iterable[str | Path], root: str | Path) -> dict[str, Path]:
    """Files by their path relative to `root`; files outside of it by the given path."""
    root = Path(root)
    return {
        (path.relative_to(root) if path.is_relative_to(root) else path).as_posix(): path for path in map(Path, paths)
    }
