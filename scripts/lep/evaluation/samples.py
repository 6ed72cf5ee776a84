"""Reading the answers of an evaluation, item by item."""

import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from lep.config import UserError

SAMPLES = "samples.jsonl.gz"
TaskValues = Mapping[str, Sequence[Mapping]]  # item values by task


def read_lines(path: str | Path) -> Iterator[dict]:
    """Lines of a `samples.jsonl.gz`, one per answer. `UserError` if the file is missing or has another form."""
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for line in map(json.loads, file):
                if not {"model", "task", "item", "value"} <= line.keys():
                    raise ValueError("a line without model, task, item or value")
                yield line
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; evaluate the models first") from None
    except (gzip.BadGzipFile, EOFError, ValueError, AttributeError) as error:
        raise UserError(f"{path} is not a {SAMPLES} of an evaluation ({error!r}); evaluate the models again") from None


def load_samples(path: str | Path) -> dict[str, dict[str, list[dict]]]:
    """Item values by model and task, from one `samples.jsonl.gz`."""
    samples: dict[str, dict[str, list[dict]]] = {}
    for line in read_lines(path):
        values = samples.setdefault(line["model"], {}).setdefault(line["task"], [])
        values.append(line["value"] | {"item": line["item"]})
    return samples
