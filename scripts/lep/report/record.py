"""Keep the small files of a finished run, and fill the tables of a page that describes it.

    python -m lep.report.record --results results/laptop --output data/recorded/laptop --page docs/laptop.md

A table stands in the page between `<!-- tables/NAME.md -->`, or NAME.csv, and `<!-- end -->`; a picture is shown as
`![...](FOLDER/NAME.png)` and is copied from the figures of the run.
"""

import argparse
import csv
import json
import os
import platform
import re
import shutil
from pathlib import Path

from lep.config import UserError
from lep.files import write_json, write_text
from lep.log import logged, logger
from lep.manifest import RUN
from lep.report.language_table import RUN_ID

# What tables and figures can be made from again, and what says where the run came from.
FILES = ("config.yaml", "run_id.json", "scores.csv", "metrics.csv", "samples.jsonl", "claims.csv")
TABLES = "tables"
LANGUAGE = "language.csv"  # of `tables`, kept beside `scores.csv`, where `make figures` looks for it
MACHINE = "machine.json"
_TABLE = re.compile(r"<!-- (tables/\w+\.(?:md|csv)) -->\n.*?<!-- end -->", re.DOTALL)
_PICTURE = re.compile(r"!\[[^\]]*\]\(([\w./-]+\.png)\)")


def record(results: Path, output: Path, page: Path | None = None) -> None:
    """Copy what a run leaves in `results` to `output`, and fill `page`. Raises `UserError` for an unfinished run."""
    if missing := [name for name in FILES if not (results / name).is_file()]:
        raise UserError(f"{results} lacks {', '.join(missing)}; record a run that has finished")
    text = page.read_text(encoding="utf-8") if page else ""
    shown = _TABLE.findall(text)
    pictures = (
        {page.parent / found: results / "figures" / Path(found).name for found in _PICTURE.findall(text)}
        if page
        else {}
    )
    needed = [results / name for name in shown] + list(pictures.values())
    if missing := [str(path) for path in needed if not path.is_file()]:
        raise UserError(f"{page} shows {', '.join(missing)}, which the run has not made")
    (output / TABLES).mkdir(parents=True, exist_ok=True)
    for name in FILES:
        shutil.copyfile(results / name, output / name)
    if (results / TABLES / LANGUAGE).is_file():
        shutil.copyfile(results / TABLES / LANGUAGE, output / LANGUAGE)
    for name in shown:
        shutil.copyfile(results / name, output / name)
    write_json(output / MACHINE, describe(results))
    for target, source in pictures.items():
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(source, target)
    if page:
        write_text(page, filled(text, output))
    logger.info("recorded in %s", output)


def filled(page: str, recorded: Path) -> str:
    """The text of a page with its tables from the folder of a recorded run."""
    return _TABLE.sub(lambda found: f"<!-- {found[1]} -->\n\n{_shown(recorded / found[1])}\n\n<!-- end -->", page)


def _shown(table: Path) -> str:
    """A table as Markdown; of a CSV file without the run's id."""
    text = table.read_text(encoding="utf-8").strip()
    if table.suffix == ".md":
        return text
    rows = list(csv.reader(text.splitlines()))
    width = len(rows[0]) - (rows[0][-1] == RUN_ID)
    lines = [f"| {' | '.join(row[:width])} |" for row in rows]
    return "\n".join([lines[0], "|---|" + "---:|" * (width - 1), *lines[1:]])


def describe(results: Path) -> dict:
    """The machine, without its name, and the versions that the training jobs of the run recorded."""
    runs = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(results.rglob(f"pretraining/**/{RUN}"))]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(memory / 1e9, 1),
        "python": platform.python_version(),
        "versions": {name: version for run in runs for name, version in run["versions"].items() if version},
        "finished": max((run["finished"] for run in runs), default=None),
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text(encoding="utf-8") if cpuinfo.is_file() else ""
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1].strip() if found else platform.machine()


def main() -> None:
    """Command line of the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, required=True, help="folder of the run")
    parser.add_argument("--output", type=Path, required=True, help="folder that keeps its small files")
    parser.add_argument("--page", type=Path, help="Markdown page about it")
    given = parser.parse_args()
    with logged():
        record(given.results, given.output, given.page)


if __name__ == "__main__":
    main()
