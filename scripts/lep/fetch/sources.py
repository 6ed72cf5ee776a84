"""What is recorded of sources: the table of packages and the lock file of hub revisions. Light: the graph reads it."""

import csv
import json
from pathlib import Path

from lep.config import UserError

UNPINNED = "unpinned"  # a revision that nobody has looked up yet: the newest, until it is locked


def read_sources(table: Path) -> dict[str, dict]:
    """The rows of `data/sources.csv` by package name."""
    with open(table, encoding="utf-8", newline="") as file:
        return {row["name"]: row for row in csv.DictReader(file)}


def read_lock(lock: Path) -> dict[str, str]:
    """Commits by reference (`kind:repository`, `kind:repository@branch`); empty where nothing was locked yet."""
    try:
        return json.loads(lock.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except json.JSONDecodeError as error:
        raise UserError(f"{lock} is no JSON ({error}); delete it and run `snakemake lock_sources` again") from None
