"""The id of a run, which every table, figure and page carries: a hash of all that they are made from."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from lep.config import UserError
from lep.files import sha256_file, sha256_json, write_json
from lep.manifest import MANIFEST

RUN_ID = "run_id.json"  # not the `run.json` beside a manifest, which differs from run to run
DIGITS = 12


def identify_run(name: str, files: Mapping[str, Path], target: Path) -> str:
    """Write the id and the sha256 of every file it stands for to `target` (run_id.json); gives the id back.

    The id is `name`, a dash and the first digits of the hash of all files: equal files give an equal id.
    """
    hashes = {label: sha256_file(path) for label, path in sorted(files.items())}
    run = f"{name}-{sha256_json(hashes)[:DIGITS]}"
    write_json(target, {"run": run, "files": hashes})
    return run


def read_run(path: str | Path) -> str:
    """The id in a run_id.json."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))["run"]
    except (FileNotFoundError, json.JSONDecodeError, KeyError, TypeError) as error:
        raise UserError(f"{path} holds no run id ({error!r}); run the rule identify_run again") from None


def read_manifests(path: str | Path) -> dict[Path, str]:
    """The manifests of the run's artefacts with their sha256, from its run_id.json."""
    read_run(path)  # refuses a file that is none
    files = json.loads(Path(path).read_text(encoding="utf-8"))["files"]
    return {Path(path).parent / name: sha256 for name, sha256 in files.items() if Path(name).name == MANIFEST}


def label_files(paths: Iterable[str | Path], root: str | Path) -> dict[str, Path]:
    """Files by their place below `root`; files from elsewhere by their path as given."""
    root = Path(root)
    return {
        (path.relative_to(root) if path.is_relative_to(root) else path).as_posix(): path for path in map(Path, paths)
    }
