"""Records of sources: the table of packages and the lock file of hub revisions.

Imports nothing heavy, since the graph reads them.
"""

import csv
import json
from pathlib import Path

from lep.config import UserError

UNPINNED = "unpinned"  # a revision that is not in the lock file yet: the newest one is fetched


def read_sources(table: Path) -> dict[str, dict]:
    """The rows of `data/sources.csv` by package name."""
    with open(table, encoding="utf-8", newline="") as file:
        return {row["name"]: row for row in csv.DictReader(file)}


def read_lock(lock: Path) -> dict[str, str]:
    """Commits by reference (`kind:repository`, `kind:repository@branch`); empty if there is no lock file yet."""
    try:
        return json.loads(lock.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except json.JSONDecodeError as error:
        raise UserError(f"{lock} is not JSON ({error}); delete it and run `snakemake lock_sources` again") from None
