"""The records of Darumeru, from the hub or a local folder."""

import json
from collections.abc import Mapping
from pathlib import Path

from lep.config import UserError
from lep.files import write_text
from lep.log import logger
from lep.manifest import publish, staging

RECIPE_VERSION = 1


def fetch_benchmark(output: Path, data_dir: Path | None = None, datasets: Mapping | None = None) -> None:
    """Write the records of Darumeru as `output/{subset}/{split}.jsonl`, each checked, and publish the folder.

    They come from the local folder `data_dir` (JSONL or Parquet), else from the hub. `datasets` replaces the place
    (`darumeru.sources.Place`) of a data set by its name. Raises `UserError` with file and field for a record in another
    form.
    """
    from darumeru.data import read_records
    from darumeru.records import DataError
    from darumeru.sources import HUB, SPLITS

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
    origin = (
        {"origin": "local"} if data_dir else {name: [part for part in place if part] for name, place in hub.items()}
    )
    publish(folder, output, recipe_version=RECIPE_VERSION, config=origin)
