"""Free the disk of models that nothing needs any more.

snakemake --summary all | python -m lep.workflow.clean_models results/mini

Reads the outputs of the graph from the summary. Of the models below the folder it keeps those that the graph names,
and what their links lead to; of fetched source models those that are not in the model store yet.
"""

import argparse
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from lep.config import UserError
from lep.files import sha256_file
from lep.log import logged, logger
from lep.manifest import MANIFEST, read_manifest
from lep.workflow.run import SEED_FOLDER

STORES = ("models", "calibrated")
SOURCES = "sources/models"
_UNFINISHED = (".staging", ".old", ".download")  # what is left where a job was killed


def read_summary(lines: Iterable[str]) -> set[Path]:
    """The folders of all artefacts in Snakemake's summary; `UserError` where there is none."""
    outputs = [Path(line.split("\t")[0]) for line in lines]
    folders = {path.parent.resolve() for path in outputs if path.name == MANIFEST}
    if not folders:
        raise UserError("no summary of the graph was given: nothing is deleted; pipe `snakemake --summary` into this")
    return folders


def clean_models(results: Path, named: set[Path]) -> list[Path]:
    """Delete what nothing needs below `results` and return the deleted folders. `named` are the graph's artefacts.

    Models of the store that are not named go, unless a link of a named one leads into them; so do fetched
    models that the store has taken in, and unfinished folders. A deleted model harms no other: a body that
    others link to stays with them. Raises `UserError` where the graph is of another scale.
    """
    results = results.resolve()
    if not any(results in folder.parents for folder in named):
        raise UserError(f"the graph has nothing in {results}: nothing is deleted; give the folder of its scale")
    needed = named | {target.parent for folder in named for target in _link_targets(folder)}
    places = [results, *sorted(results.glob(f"{SEED_FOLDER}*"))]
    stored = [folder for place in places for store in STORES for folder in _artefacts(place / store)]
    around = {parent for folder in needed for parent in folder.parents}  # a model may lie in another's folder
    doomed = [folder for folder in stored if folder not in needed | around]
    imported = {sha256 for folder in stored if folder in needed for sha256 in _parents(folder)}
    fetched = [
        folder
        for folder in _artefacts(results / SOURCES)
        if folder not in needed or sha256_file(folder / MANIFEST) in imported
    ]
    unfinished = [
        path
        for folder in (results / SOURCES, *(place / store for place in places for store in STORES))
        for path in sorted(folder.rglob(".*"))
        if path.is_dir() and path.suffix in _UNFINISHED
    ]
    freed = [*unfinished, *doomed, *fetched]
    for folder in freed:
        _delete(folder)
    return freed


def _delete(folder: Path) -> None:
    files = [path.stat() for path in folder.rglob("*") if path.is_file()]
    size = sum(file.st_size for file in files if file.st_nlink == 1)
    shutil.rmtree(folder)
    logger.info("deleted %s, %.1f MB", folder, size / 1e6)


def _artefacts(place: Path) -> list[Path]:
    """All published folders below `place`."""
    found = sorted(path.parent for path in place.rglob(MANIFEST))
    return [folder for folder in found if not any(part.startswith(".") for part in folder.relative_to(place).parts)]


def _link_targets(folder: Path) -> list[Path]:
    return [path.resolve() for path in folder.iterdir() if path.is_symlink()] if folder.is_dir() else []


def _parents(folder: Path) -> Iterable[str]:
    return read_manifest(folder)["parents"].values()


def main() -> None:
    """Command line of the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="folder of a scale, such as results/mini")
    given = parser.parse_args()
    with logged():
        freed = clean_models(given.results, read_summary(sys.stdin))
        logger.info("%d folders deleted", len(freed))


if __name__ == "__main__":
    main()
