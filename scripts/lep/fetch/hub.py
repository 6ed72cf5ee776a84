"""Fetch models and data sets from the hub at a fixed commit, and check them against the hub's hashes."""

import contextlib
import hashlib
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lep.config import UserError
from lep.fetch.sources import UNPINNED, read_lock
from lep.files import sha256_file, write_json
from lep.log import logger
from lep.manifest import publish

if TYPE_CHECKING:
    from huggingface_hub.hf_api import RepoSibling

RECIPE_VERSION = 1
# The file types that are fetched: never pickles, never code.
PATTERNS = {
    "model": ["*.safetensors", "*.safetensors.index.json", "*.json", "*.jinja", "tokenizer.model"],
    "dataset": ["*.parquet", "*.jsonl", "*.jsonl.gz", "*.jsonl.zst", "*.json", "*.md"],
}


def fetch_hub(kind: str, repository: str, revision: str, output: Path) -> None:
    """Download a model or data set repository at `revision` (`unpinned`: the newest) and publish it with its hashes.

    Complete files of an interrupted attempt are kept beside `output` and not fetched again. Each file must have the
    hash that the hub lists. Raises `UserError` for gated, missing and misspelt repositories, broken connections, a
    model without safetensors and a data set without any readable file.
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
            path.unlink()  # left by an earlier attempt at another commit
    publish(
        folder,
        output,
        recipe_version=RECIPE_VERSION,
        config={"repository": repository, "revision": revision},
        facts={"commit": info.sha},
        hashes=hashes,
    )


class HubUnreachableError(UserError):
    """No connection to the hub, whatever the repository."""


def check_access(kind: str, repository: str, revision: str) -> None:
    """Request the header of one file of a repository; raises `UserError` if the file cannot be fetched from here.

    Listing the files would not show it: a gated repository lists them to everybody, but only accounts with access can
    download them.
    """
    from huggingface_hub import HfApi, get_hf_file_metadata, hf_hub_url

    with _hub_errors(kind, repository, revision):
        wanted = None if revision == UNPINNED else revision
        info = HfApi().repo_info(repository, repo_type=kind, revision=wanted)
        names = sorted(file.rfilename for file in info.siblings)
        name = "config.json" if "config.json" in names else names[0]
        get_hf_file_metadata(hf_hub_url(repository, name, repo_type=kind, revision=info.sha))


def _chosen(kind: str, repository: str, siblings: Sequence["RepoSibling"]) -> dict[str, "RepoSibling"]:
    """The files of a repository to fetch, by name."""
    from huggingface_hub.utils import filter_repo_objects

    chosen = filter_repo_objects(siblings, allow_patterns=PATTERNS[kind], key=lambda file: file.rfilename)
    files = {file.rfilename: file for file in chosen}
    if kind == "model" and not any(name.endswith(".safetensors") for name in files):
        raise UserError(
            f"{repository} has no safetensors; pickled weights are never loaded: name a revision or repository with "
            "safetensors, or convert it where you trust it (save_pretrained) and name that folder as `path`"
        )
    if kind == "dataset" and all(name.endswith(".md") for name in files):
        raise UserError(f"{repository} has no file of a readable type: {', '.join(PATTERNS[kind])}")
    return files


def _checked_sha256(path: Path, file: "RepoSibling") -> str:
    """The sha256 of a fetched file; a file that does not have the hub's hash is deleted and raises `UserError`."""
    sha256 = sha256_file(path)
    if file.lfs:
        found, named = sha256, file.lfs.sha256
    else:  # for a small file the hub only lists the hash of its git blob
        data = path.read_bytes()
        found, named = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest(), file.blob_id
    if found != named:
        path.unlink()
        raise UserError(
            f"{file.rfilename} arrived with hash {found}, but the hub lists {named}; run again to fetch it again"
        )
    return sha256


@contextlib.contextmanager
def _hub_errors(kind: str, repository: str, revision: str) -> Iterator[None]:
    """Turn each failure of the hub into one message, which never contains a token."""
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


def lock_sources(references: Sequence[str], lock: Path) -> None:
    """Add the newest commit of each reference that is not in the file `lock` yet; existing entries stay.

    Raises `UserError` with the references that could not be looked up, after the others are written.
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
    logger.info("%s has %d revisions", lock, len(known))
    if failed:
        raise UserError("\n".join(["these revisions could not be looked up (the others are written):", *failed]))
