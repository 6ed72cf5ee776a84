"""Where records lie: a local folder of JSONL or Parquet files, or the hub's Parquet copies of the data sets."""

import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path

from darumeru.mmlu_subjects import CATEGORIES
from darumeru.records import DataError
from darumeru.specs import SPECS

logger = logging.getLogger(__name__)

UNPINNED = "unpinned"  # the revision that the paper used is not known
# The branch on which the hub keeps its own Parquet copy: {configuration}/{split}/0000.parquet, no loading script.
BRANCH = "refs/convert/parquet"
# Repository and revision (a commit of that branch) of the data sets; those that are not named hold one subset each.
HUB = {
    "darumeru": ("RefalMachine/darumeru", UNPINNED),
    "nlpcore_mmlu": ("NLPCoreTeam/mmlu_ru", UNPINNED),
    "rucola": ("RussianNLP/rucola", UNPINNED),
    "treeway": ("dichspace/daru_treeway_eval", UNPINNED),
}
Hub = Mapping[str, tuple[str, str]]
SPLITS = sorted({(spec.subset, split) for spec in SPECS.values() for split in (spec.test, spec.shots)})


def folder_records(place: str | Path, subset: str, split: str) -> list[dict]:
    """The records of one split below a local folder.

    `place/subset` holds `{split}.jsonl`, `{split}.parquet`, shards `{split}-*.parquet`, or a folder `{split}` of
    Parquet files; MMLU's may also lie in one such folder for each subject. Raises `DataError`.
    """
    records = list(_records(Path(place) / subset, subset, split))
    if not records:
        raise DataError(
            f"{Path(place) / subset / split}.jsonl does not exist or is empty (nor is there {split}.parquet); "
            "DARUMERU_DATA (or the metadata `darumeru_data`) must name a folder with {subset}/{split}.jsonl or .parquet"
        )
    return records


def hub_records(subset: str, split: str, hub: Hub = HUB) -> list[dict]:
    """The records of one split from the hub, or from its cache where HF_HUB_OFFLINE is set. Raises `DataError`."""
    repository, revision = hub[subset if subset in hub else "darumeru"]
    configuration = {"nlpcore_mmlu": "*", "rucola": "default", "treeway": "default"}.get(subset, subset)
    folder = _snapshot(repository, revision, f"{configuration}/{split}/*.parquet")
    records = list(_records(folder / configuration if configuration != "*" else folder, subset, split))
    if not records:
        raise DataError(
            f"{repository} at revision {revision} has no {configuration}/{split}/*.parquet; check the revision, or put "
            f"the records into a local folder as {subset}/{split}.jsonl"
        )
    return records


def _snapshot(repository: str, revision: str, pattern: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    if revision == UNPINNED:
        logger.warning("%s is read without a fixed revision: the one of the paper is not known", repository)
        revision = BRANCH
    try:
        return Path(snapshot_download(repository, repo_type="dataset", revision=revision, allow_patterns=[pattern]))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, ConnectionError) as error:
        raise DataError(
            f"the data set {repository} at revision {revision} could not be read ({type(error).__name__}); check the "
            "network, or name a local folder with {subset}/{split}.jsonl or .parquet: DARUMERU_DATA"
        ) from None


def _records(folder: Path, subset: str, split: str) -> Iterator[dict]:
    for path in _files(folder, split):
        yield from _read(path)
    if subset == "nlpcore_mmlu":
        for subject in sorted(CATEGORIES):
            for path in _files(folder / subject, split):
                yield from ({"subject": subject, **record} for record in _read(path))


def _files(folder: Path, split: str) -> list[Path]:
    """The files of a split: the first of the layouts that is found."""
    for pattern in (f"{split}.jsonl", f"{split}.parquet", f"{split}/*.parquet", f"{split}-*.parquet"):
        if found := sorted(folder.glob(pattern)):
            return found
    return []


def _read(path: Path) -> list[dict]:
    return _read_parquet(path) if path.suffix == ".parquet" else _read_jsonl(path)


def _read_parquet(path: Path) -> list[dict]:
    from pyarrow import ArrowInvalid
    from pyarrow.parquet import read_table

    try:
        return read_table(path).to_pylist()
    except ArrowInvalid as error:
        raise DataError(f"{path} is not a Parquet file: {error}") from None


def _read_jsonl(path: Path) -> list[dict]:
    records = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError as error:
            raise DataError(f"{path}, line {number} is not JSON: {error}") from None
    return records
