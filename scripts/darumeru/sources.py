"""Reading of records: from a local folder of JSONL or Parquet files, or from the hub's Parquet copies of data sets."""

import json
import logging
from codecs import BOM_UTF8
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from darumeru.mmlu_subjects import CATEGORIES
from darumeru.records import DataError
from darumeru.specs import SPECS

logger = logging.getLogger(__name__)

UNPINNED = "unpinned"  # the newest revision; that of the paper is unknown
# Branch with the hub's own Parquet copy of a data set: {configuration}/{split}/0000.parquet, without loading script.
BRANCH = "refs/convert/parquet"


class Place(NamedTuple):
    """Where a data set is on the hub."""

    repository: str
    revision: str = UNPINNED  # a commit of `BRANCH`
    configuration: str = ""  # of the repository; empty: that of the subset, for MMLU one configuration per subject


# All but `darumeru` have one subset. MMLU is also in `RefalMachine/darumeru`, as the configuration `mmlu_nlpcoreteam`
# with a column `subject`, which the authors' present code reads.
HUB = {
    "darumeru": Place("RefalMachine/darumeru"),
    "nlpcore_mmlu": Place("NLPCoreTeam/mmlu_ru"),
    "rucola": Place("RussianNLP/rucola"),
    "treeway": Place("dichspace/daru_treeway_eval"),
}
Hub = Mapping[str, Place]
SPLITS = sorted({(spec.subset, split) for spec in SPECS.values() for split in (spec.test, spec.shots)})


def folder_records(place: str | Path, subset: str, split: str) -> list[dict]:
    """Records of one split in a local folder.

    `place/subset` has `{split}.jsonl`, `{split}.parquet`, shards `{split}-*.parquet`, or a folder `{split}` of Parquet
    files; for MMLU these may also be in one folder per subject. Raises `DataError` if there are none.
    """
    records = list(_records(Path(place) / subset, subset, split))
    if not records:
        raise DataError(
            f"{Path(place) / subset / split}.jsonl does not exist or is empty, and there is no {split}.parquet; set "
            "DARUMERU_DATA (or the metadata `darumeru_data`) to a folder with {subset}/{split}.jsonl or .parquet"
        )
    return records


def hub_records(subset: str, split: str, hub: Hub = HUB) -> list[dict]:
    """Records of one split from the hub, or from its cache if HF_HUB_OFFLINE is set. Raises `DataError`."""
    repository, revision, _ = hub[subset if subset in hub else "darumeru"]
    pattern = hub_pattern(subset, split, hub)
    configuration = pattern.split("/")[0]
    folder = _snapshot(repository, revision, pattern)
    records = list(_records(folder / configuration if configuration != "*" else folder, subset, split))
    if not records:
        raise DataError(
            f"{repository} at revision {revision} has no {pattern}; check the revision, or put "
            f"the records into a local folder as {subset}/{split}.jsonl"
        )
    return records


def hub_pattern(subset: str, split: str, hub: Hub = HUB) -> str:
    """The files of one split in the branch `BRANCH` of its repository, as a glob pattern."""
    configuration = hub[subset].configuration if subset in hub else ""
    default = {"nlpcore_mmlu": "*", "rucola": "default", "treeway": "default"}.get(subset, subset)
    return f"{configuration or default}/{split}/*.parquet"


def _snapshot(repository: str, revision: str, pattern: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    if revision == UNPINNED:
        logger.warning("%s: reading the newest revision, as that of the paper is unknown", repository)
        revision = BRANCH
    try:
        return Path(snapshot_download(repository, repo_type="dataset", revision=revision, allow_patterns=[pattern]))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, ConnectionError) as error:
        raise DataError(
            f"the data set {repository} at revision {revision} could not be read ({type(error).__name__}); check the "
            "network, or set DARUMERU_DATA to a local folder with {subset}/{split}.jsonl or .parquet"
        ) from None


def _records(folder: Path, subset: str, split: str) -> Iterator[dict]:
    for path in _files(folder, split):
        yield from _read(path)
    if subset == "nlpcore_mmlu":
        for subject in sorted(CATEGORIES):
            for path in _files(folder / subject, split):
                yield from ({"subject": subject, **record} for record in _read(path))


def _files(folder: Path, split: str) -> list[Path]:
    """Files of a split, in the first layout that exists."""
    for pattern in (f"{split}.jsonl", f"{split}.parquet", f"{split}/*.parquet", f"{split}-*.parquet"):
        if found := sorted(folder.glob(pattern)):
            return found
    return []


def _read(path: Path) -> list[dict]:
    return _read_parquet(path) if path.suffix == ".parquet" else _read_jsonl(path)


def _read_parquet(path: Path) -> list[dict]:
    from pyarrow import ArrowException
    from pyarrow.parquet import read_table

    try:
        return read_table(path).to_pylist()
    except (ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not a Parquet file: {error}") from None


def _read_jsonl(path: Path) -> list[dict]:
    """Records of a JSONL file. Only `\\n` ends a line: a string may hold U+2028. Blank lines and a BOM are skipped."""
    records = []
    for number, line in enumerate(path.read_bytes().removeprefix(BOM_UTF8).split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line.decode("utf-8"))
        except (ValueError, RecursionError) as error:  # of JSON or of UTF-8
            raise DataError(f"{path}, line {number} is not JSON in UTF-8: {error}; write one object per line") from None
        if not isinstance(record, dict):
            raise DataError(f"{path}, line {number}: {type(record).__name__} instead of an object; write {{...}}")
        records.append(record)
    return records
