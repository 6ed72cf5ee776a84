"""Fetch models and data sets from the hub at a fixed commit, and check them against the hub's hashes."""

import contextlib
import glob
import hashlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lep.config import UserError
from lep.fetch.choice import choose_dataset, choose_model, total_size
from lep.fetch.sources import UNPINNED, read_lock
from lep.files import link_or_copy, sha256_file, write_json
from lep.log import logger
from lep.manifest import publish, staging

if TYPE_CHECKING:
    from huggingface_hub.hf_api import RepoSibling

RECIPE_VERSION = 2


@dataclass(frozen=True)
class Listing:
    """The files of a repository that are fetched, at one commit."""

    commit: str
    files: dict[str, "RepoSibling"]
    """by their names in the folder on disk"""

    @property
    def sizes(self) -> dict[str, int]:
        """Bytes by name."""
        return {name: file.size or 0 for name, file in self.files.items()}


def list_files(kind: str, repository: str, revision: str, subfolder: str = "") -> Listing:
    """What `fetch_hub` would fetch: the hub's list is read, and the index of a model's weights.

    Raises `UserError` for gated, missing and misspelt repositories, broken connections, a model without safetensors and
    a data set without any readable file.
    """
    from huggingface_hub import HfApi, hf_hub_download

    with hub_errors(kind, repository, revision), tempfile.TemporaryDirectory() as folder:
        wanted = None if revision == UNPINNED else revision
        info = HfApi().repo_info(repository, repo_type=kind, revision=wanted, files_metadata=True)
        siblings = {file.rfilename: file for file in info.siblings}

        def read_index(path: str) -> bytes:
            return Path(hf_hub_download(repository, path, revision=info.sha, local_dir=folder)).read_bytes()

        names = sorted(siblings)
        if kind == "dataset":
            chosen = choose_dataset(repository, names)
        else:
            chosen = choose_model(repository, names, subfolder, read_index)
    return Listing(info.sha, {name: siblings[path] for name, path in sorted(chosen.items())})


def fetch_hub(kind: str, repository: str, revision: str, output: Path, subfolder: str = "") -> None:
    """Download a model or data set at `revision` (`unpinned`: the newest) and publish it with its hashes.

    Only the files of `lep.fetch.choice` come; those of a model's `subfolder` lie at the top of `output`. Complete files
    of an interrupted attempt are kept beside `output` and not fetched again. Each file must have the hash that the hub
    lists. Raises `UserError` as `list_files`, and for a file with another hash.
    """
    from huggingface_hub import snapshot_download

    download = output.with_name(f".{output.name}.download")
    listing = list_files(kind, repository, revision, subfolder)
    logger.info("fetching %s of %s at commit %s", total_size(listing.sizes), repository, listing.commit)
    with hub_errors(kind, repository, revision):
        patterns = [glob.escape(file.rfilename) for file in listing.files.values()]
        snapshot_download(
            repository, repo_type=kind, revision=listing.commit, local_dir=download, allow_patterns=patterns
        )
    hashes = {name: _checked_sha256(download / file.rfilename, file) for name, file in listing.files.items()}
    folder = staging(output)
    for name, file in listing.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        link_or_copy(download / file.rfilename, folder / name)
    publish(
        folder,
        output,
        recipe_version=RECIPE_VERSION,
        config={"repository": repository, "revision": revision} | ({"subfolder": subfolder} if subfolder else {}),
        facts={"commit": listing.commit},
        hashes=hashes,
    )
    shutil.rmtree(download)


class HubUnreachableError(UserError):
    """No connection to the hub, whatever the repository."""


def check_access(kind: str, repository: str, listing: Listing) -> None:
    """Request the header of the largest file; raises `UserError` if it cannot be fetched from here.

    Listing the files would not show it: a gated repository lists them to everybody, but only accounts with access can
    download them.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    file = max(listing.files.values(), key=lambda file: file.size or 0)
    with hub_errors(kind, repository, listing.commit):
        get_hf_file_metadata(hf_hub_url(repository, file.rfilename, repo_type=kind, revision=listing.commit))


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
def hub_errors(kind: str, repository: str, revision: str) -> Iterator[None]:
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
            with hub_errors(kind, repository, branch or "main"):
                known[reference] = HfApi().repo_info(repository, repo_type=kind, revision=branch or None).sha
        except UserError as error:
            failed.append(str(error))
    write_json(lock, known)
    logger.info("%s has %d revisions", lock, len(known))
    if failed:
        raise UserError("\n".join(["these revisions could not be looked up (the others are written):", *failed]))
