"""Items of a task: records of a local folder or of the hub, checked and turned into questions.

The folder is the task metadata `darumeru_data` or the environment variable DARUMERU_DATA; without both, records come
from the hub. `load` is the `custom_dataset` of every task. It returns items (`prompts.make_items`), not records.
"""

import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from darumeru.prompts import make_items, make_shot
from darumeru.records import DataError, check, unified
from darumeru.sources import HUB, Hub, folder_records, hub_records
from darumeru.specs import SPECS, Spec

TINY = Path(__file__).parent / "tiny"  # a few items of each task, made from public-domain verses
TREEWAY_ITEMS = 500  # the paper scores the first 500 documents
VARIANT = 26  # questions per variant of the exam USE


def load(
    darumeru_task: str,
    darumeru_data: str | None = None,
    darumeru_limit: int | None = None,
    darumeru_revisions: dict[str, str] | None = None,
    darumeru_tiny: bool = False,
    **_: object,
) -> dict:
    """Items of a task as `{"test": Dataset, "shots": Dataset}`.

    - `darumeru_task`: name in `specs.SPECS`
    - `darumeru_data`: folder of records; None = as stated above
    - `darumeru_limit`: first records of the test split, for the exam whole variants; 0 or None = all
    - `darumeru_revisions`: commits of hub data sets by their name in `sources.HUB`
    - `darumeru_tiny`: use the items that come with this package

    The harness passes all metadata of the task; other keys are ignored.
    """
    from datasets import Dataset

    spec = SPECS[darumeru_task]
    place = str(TINY) if darumeru_tiny else darumeru_data or os.environ.get("DARUMERU_DATA")
    pins = darumeru_revisions or {}
    hub = {name: place._replace(revision=pins.get(name, place.revision)) for name, place in HUB.items()}
    test = read_records(spec.subset, spec.test, place, hub)
    if spec.subset == "treeway":
        test = test[:TREEWAY_ITEMS]
    if darumeru_limit:
        test = _first(spec, test, int(darumeru_limit))
    splits = {"test": _made(make_items, spec, test, spec.test)}
    if spec.subset == "parus":  # two items are scored as one pair by this id
        _check_own_ids([item["id"] for item in splits["test"]])
    if spec.kind != "rank":
        shots = read_records(spec.subset, spec.shots, place, hub)
        splits["shots"] = _made(lambda *given: [make_shot(*given)], spec, shots, spec.shots)
    return {split: Dataset.from_list(items) for split, items in splits.items() if items}


def _made(make: Callable[..., list[dict]], spec: Spec, records: list[dict], split: str) -> list[dict]:
    """Items of all records; `DataError` with the record for one that makes none, such as for braces in its text."""
    items = []
    for row, record in enumerate(records):
        try:
            found = make(spec, record, row)
            json.dumps(found, ensure_ascii=False).encode()  # half of a surrogate pair cannot be written
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise DataError(
                f"{spec.subset}, {split}, record {row + 1} makes no question of {spec.name} ({error!r:.120}); correct "
                "the record or leave it out"
            ) from None
        items += found
    return items


def read_records(subset: str, split: str, place: str | Path | None, hub: Hub = HUB) -> list[dict]:
    """Checked records of one split in our layout, from the folder `place`, or from the hub if it is None."""
    if place is None:
        records, where = hub_records(subset, split, hub), f"{subset}, {split} of the hub"
    else:
        records, where = folder_records(place, subset, split), f"{Path(place) / subset}, {split}"
    records = [unified(subset, record) for record in records]
    for number, record in enumerate(records, 1):
        check(subset, record, f"{where}, record {number}")
    if subset == "use" and split == "test":
        try:
            records.sort(key=lambda record: record["meta"]["variant"])
        except TypeError:
            raise DataError(
                f"{where}: `meta.variant` is a number in some records and text in others; write one"
            ) from None
    return records


def _check_own_ids(ids: list[str]) -> None:
    repeated = sorted({name.partition("/")[0] for name, count in Counter(ids).items() if count > 1})
    if repeated:
        raise DataError(
            f"parus: several records have the `meta.id` {', '.join(repeated[:3])}, and would be scored as one pair; "
            "give each record its own id, or null"
        )


def _first(spec: Spec, records: list[dict], limit: int) -> list[dict]:
    """The first records. For the exam the first variants: only whole variants can be graded."""
    if spec.subset != "use":
        return records[:limit]
    variants = list(dict.fromkeys(record["meta"]["variant"] for record in records))[: max(1, limit // VARIANT)]
    return [record for record in records if record["meta"]["variant"] in variants]
