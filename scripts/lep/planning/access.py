"""Checks of what a run reads from the hub: each file is there, may be fetched, and has the columns that are needed."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from darumeru.mmlu_subjects import CATEGORIES
from darumeru.records import DataError, check, unified
from darumeru.sources import SPLITS, hub_pattern

from lep.config import UserError
from lep.fetch.choice import total_size
from lep.fetch.hub import HubUnreachableError, Listing, check_access, list_files
from lep.fetch.probe import first_record
from lep.fetch.sources import UNPINNED
from lep.planning.finding import FAILED, NOTE, OK, Finding, more
from lep.workflow.run import Run
from lep.workflow.sources import INSTRUCTIONS, HubSource, benchmark_places, hub_sources

# Columns of an instruction data set: without the last two, its filter would silently keep everything.
_INSTRUCTION_COLUMNS = ("messages", "opus_score", "is_bad_by_regex")


@dataclass(frozen=True)
class Looked:
    """What a look at the hub found of one source."""

    source: HubSource
    fetched: bool
    listing: Listing | None = None  # None: fetched, or an error
    error: UserError | None = None


def look_up(run: Run) -> list[Looked]:
    """The files of each model and data set that is not fetched yet; nothing is downloaded but indexes of weights."""
    return [_look(source, run.root) for source in hub_sources(run)]


def _look(source: HubSource, root: Path) -> Looked:
    if (root / source.manifest).is_file():
        return Looked(source, fetched=True)
    # Unpinned data sets of the benchmark come from the branch with the hub's own Parquet copy.
    revision = source.branch if source.branch and source.revision == UNPINNED else source.revision
    try:
        listing = list_files(source.kind, source.repository, revision, source.subfolder)
        check_access(source.kind, source.repository, listing)
    except UserError as error:
        return Looked(source, fetched=False, error=error)
    return Looked(source, fetched=False, listing=listing)


def check_sources(looked: Iterable[Looked], run: Run) -> Iterator[Finding]:
    """Each model and data set is fetched, or can be fetched with this network and token; each file is listed."""
    looked = list(looked)
    for found in looked:
        if isinstance(found.error, HubUnreachableError):
            continue
        yield from _unseen(found)
        if found.fetched:
            yield Finding(OK, f"{found.source.name}: fetched")
        elif found.error:
            yield Finding(FAILED, str(found.error))
        else:
            yield from _files(found, run)
    unreachable = [found.source.name for found in looked if isinstance(found.error, HubUnreachableError)]
    if unreachable:
        what = f"the hub cannot be reached from this machine; it is needed for {', '.join(unreachable[:3])}"
        yield Finding(FAILED, what + more(unreachable, 3), "check the network, or name local folders as `path`")
    if any(found.error for found in looked):
        what = (
            "without network: run `snakemake --profile slurm fetch_all` on a machine with network and this file system"
        )
        yield Finding(NOTE, what)


def _unseen(found: Looked) -> Iterator[Finding]:
    if not found.source.seen and not found.fetched:
        what = f"{found.source.name} was not seen on the hub when the configuration was written (seen: false)"
        yield Finding(NOTE, what, "where it does not exist, leave its vocabulary out under `subset`, or train it")


def _files(found: Looked, run: Run) -> Iterator[Finding]:
    """The files that will be read, and faults of the first record of a data set."""
    source, listing = found.source, found.listing
    sizes, faults = listing.sizes, []
    if source.branch:
        patterns = _patterns(source, run)
        read = [name for name in sizes if any(fnmatchcase(name, pattern) for pattern in patterns)]
        sizes = {name: sizes[name] for name in read}
        faults = list(_benchmark_faults(found, patterns))
    elif source.kind == "dataset":
        faults = list(_column_faults(found, run))
    if faults:
        yield from faults
    else:
        lines = tuple(f"{name}  {size:,} bytes" for name, size in sizes.items())
        yield Finding(
            OK, f"{source.name} at commit {listing.commit}: can be fetched, {total_size(sizes)}", details=lines
        )


def _column_faults(found: Looked, run: Run) -> Iterator[Finding]:
    wanted, hint = list(_INSTRUCTION_COLUMNS), "name another data set as calibration.dataset"
    if found.source.manifest != run.manifest("sources", "datasets", INSTRUCTIONS):
        name = Path(found.source.manifest).parent.name
        settings = next(source for source in run.config["corpus"]["sources"] if source["name"] == name)
        wanted, hint = [settings.get("text_column", "text")], "name yours with `text_column` of this source"
    file = next((name for name in found.listing.files if not name.endswith((".md", ".json"))), None)
    if file is None:
        return
    try:
        record = first_record(found.source.repository, found.listing, file)
    except UserError as error:
        yield Finding(FAILED, str(error))
        return
    if missing := [column for column in wanted if column not in record]:
        what = (
            f"{found.source.name}: the first record of {file} has no {', '.join(missing)}; it has {', '.join(record)}"
        )
        yield Finding(FAILED, what, hint)


def _patterns(source: HubSource, run: Run) -> dict[str, str]:
    """Subset by the pattern of their files, of those that are read from this repository."""
    places = benchmark_places(run)
    return {
        hub_pattern(subset, split, places): subset
        for subset, split in SPLITS
        if places.get(subset, places["darumeru"]).repository == source.repository
    }


def _benchmark_faults(found: Looked, patterns: Mapping[str, str]) -> Iterator[Finding]:
    """Missing files, in one finding, and records in another form, one finding each."""
    source, names = found.source, list(found.listing.files)
    wanted = [name for pattern in patterns for name in _for_each_subject(pattern)]
    if lacking := [one for one in wanted if not any(fnmatchcase(name, one) for name in names)]:
        what = f"{source.name} at commit {found.listing.commit} lacks {', '.join(lacking[:5])}" + more(lacking, 5)
        yield Finding(FAILED, what, "name another revision, or evaluation.benchmark: local with a folder of records")
        return
    for pattern, subset in patterns.items():
        file = min(name for name in names if fnmatchcase(name, pattern))
        try:
            record = first_record(source.repository, found.listing, file)
            subject = {"subject": file.split("/")[0]} if pattern.startswith("*") else {}
            check(subset, unified(subset, subject | record), f"{source.name}, {file}, record 1")
        except (UserError, DataError) as error:
            yield Finding(FAILED, str(error))


def _for_each_subject(pattern: str) -> list[str]:
    """A pattern of MMLU with one configuration per subject stands for one file at least of each."""
    return [subject + pattern[1:] for subject in CATEGORIES] if pattern.startswith("*") else [pattern]


def model_bytes(looked: Iterable[Looked], root: Path) -> int | None:
    """Bytes of all fetched models, from the hub's lists or on disk; None where the hub told nothing of one of them."""
    total = 0
    for found in looked:
        if found.source.kind != "model":
            continue
        if found.listing:
            total += sum(found.listing.sizes.values())
        elif found.fetched:
            total += sum(path.stat().st_size for path in (root / found.source.manifest).parent.iterdir())
        else:
            return None
    return total
