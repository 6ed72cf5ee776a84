"""Files from outside are known by their content: what changes repeats, whatever its date; what does not, does not."""

import json
import os
from pathlib import Path

import pytest
from lep.workflow import contents
from lep.workflow.contents import CACHE, Contents
from snakemake.io import unpack

RESULTS = "results/ci"


def of(root: Path, *places: str) -> str:
    """The hash that a new process finds."""
    return Contents(root, RESULTS).of(places)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("model/config.json", "model/model.safetensors", "text/a.jsonl", "text/deep/b.jsonl", "table.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"content of {name}", encoding="utf-8")
    return tmp_path


def written(path: Path, text: str, like: Path | None = None) -> None:
    """Written in place; with the times of another file, as a copy that keeps them."""
    with open(path, "r+", encoding="utf-8") as file:
        file.write(text)
    if like:
        os.utime(path, ns=(like.stat().st_atime_ns, like.stat().st_mtime_ns))


@pytest.mark.parametrize(
    ("place", "changed"),
    [
        ("model/config.json", "model/model.safetensors"),  # a model's config.json stands for its folder
        ("text", "text/a.jsonl"),
        ("text", "text/deep/b.jsonl"),
        ("table.csv", "table.csv"),
    ],
)
def test_a_changed_file_is_noticed_with_any_date(root: Path, place: str, changed: str) -> None:
    before = of(root, place)
    old = root / "old"
    old.write_text("", encoding="utf-8")
    os.utime(old, (0, 0))
    written(root / changed, "Content", like=old)
    assert of(root, place) != before


def test_a_date_changes_nothing(root: Path) -> None:
    before = of(root, "text", "table.csv")
    os.utime(root / "text/a.jsonl")
    os.utime(root / "text")
    assert of(root, "text", "table.csv") == before


def test_added_removed_and_moved_files_are_noticed(root: Path) -> None:
    before = of(root, "text")
    (root / "text/deep/c.jsonl").write_text("more", encoding="utf-8")
    more = of(root, "text")
    (root / "text/a.jsonl").unlink()
    less = of(root, "text")
    (root / "text/deep/c.jsonl").rename(root / "text/c.jsonl")
    assert len({before, more, less, of(root, "text")}) == 4


def test_what_a_model_does_not_tell_repeats_nothing(root: Path) -> None:
    before = of(root, "model/config.json")
    for name in ("README.md", "run.json", "optimizer.pt"):
        (root / "model" / name).write_text("new", encoding="utf-8")
    assert of(root, "model/config.json") == before


def test_results_are_left_to_snakemake(root: Path) -> None:
    assert of(root) == of(root, f"{RESULTS}/corpus/manifest.json") == ""
    assert of(root, "table.csv", f"{RESULTS}/x") == of(root, "table.csv")
    assert of(root, "results/ci2/x") != ""


def test_large_files_are_hashed_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "_WORTH", 10)
    monkeypatch.setattr(contents, "_SETTLED", -1)
    before = of(root, "text")
    assert json.loads((root / RESULTS / CACHE).read_text(encoding="utf-8"))
    monkeypatch.setattr(contents, "sha256_file", lambda path: pytest.fail(f"{path} is hashed again"))
    assert of(root, "text") == before


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"[1]", b"\xff", b'{"x": 1}'])
def test_a_damaged_cache_is_made_anew(root: Path, damage: bytes) -> None:
    before = of(root, "text")
    (root / RESULTS).mkdir(parents=True)
    (root / RESULTS / CACHE).write_bytes(damage)
    assert of(root, "text") == before


def test_small_files_leave_no_cache(root: Path) -> None:
    of(root, "text", "table.csv")
    assert not (root / "results").exists()


def test_functions_are_no_places(root: Path) -> None:
    """A rule keeps `unpack(function)` as a text with an address in memory, which differs in each process."""
    known = Contents(root, RESULTS)
    assert known.is_outside("table.csv")
    assert not known.is_outside(unpack(lambda wildcards: {}))
    assert not known.is_outside(lambda wildcards: [])
