"""Artefacts and job configurations: published whole or not at all, refused when changed, deterministic."""

import json
import os
import time
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest
from lep.config import STRICT, UserError, load_job, parse_job
from lep.files import sha256_file, write_json
from lep.manifest import check_target, publish, read_manifest, staging, verify
from pydantic.dataclasses import dataclass

FILES = {"a.txt": "один", "deep/b.txt": "два"}


def build(target: Path, files: dict[str, str] | None = None, **given: object) -> Path:
    """Publish a folder of small text files."""
    folder = staging(target)
    for name, text in (files or FILES).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return publish(folder, target, **{"recipe_version": 1, **given})


def test_publish_moves_a_whole_folder(tmp_path: Path) -> None:
    path = build(tmp_path / "new", seed=7, config={"size": 3}, facts={"rows": 2})
    manifest = read_manifest(tmp_path / "new")
    assert path == tmp_path / "new" / "manifest.json"
    assert {name: (tmp_path / "new" / name).read_text(encoding="utf-8") for name in manifest["files"]} == FILES
    assert manifest["files"]["deep/b.txt"] == sha256_file(tmp_path / "new" / "deep" / "b.txt")
    assert (manifest["seed"], manifest["config"], manifest["facts"]) == (7, {"size": 3}, {"rows": 2})
    assert [entry.name for entry in tmp_path.iterdir()] == ["new"], "working folders are left behind"
    assert {"finished", "host", "peak_memory_mb", "versions"} <= json.loads(
        (path.parent / "run.json").read_text()
    ).keys()


def test_manifest_is_deterministic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither place, order, time nor host moves a byte of it."""
    first = build(tmp_path / "here" / "new", config={"b": 1, "a": "ё"}).read_bytes()
    monkeypatch.setattr("lep.manifest.platform.node", lambda: "another")
    monkeypatch.setattr("lep.manifest.time.time", lambda: time.monotonic() + 1e9)
    second = build(tmp_path / "there" / "other", dict(reversed(FILES.items())), config={"a": "ё", "b": 1})
    assert second.read_bytes() == first
    assert json.loads((second.parent / "run.json").read_text())["host"] == "another"


@pytest.mark.parametrize(
    "change",
    [
        {"recipe_version": 2},
        {"seed": 1},
        {"config": {"size": 4}},
        {"facts": {"rows": 2}},
        {"files": {**FILES, "a.txt": "одни"}},
        {"files": {"a.txt": "один", "deep/c.txt": "два"}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_decides_the_numbers_is_in_the_manifest(tmp_path: Path, change: dict) -> None:
    assert build(tmp_path / "new", **change).read_bytes() != build(tmp_path / "old").read_bytes()


def test_parents_count_by_content_and_not_by_place(tmp_path: Path) -> None:
    build(tmp_path / "parent")
    build(tmp_path / "moved" / "parent")
    build(tmp_path / "changed", {"a.txt": "три"})
    same, moved, changed = (
        build(tmp_path / f"child of {name.replace('/', ' ')}", parents={"base": tmp_path / name}).read_bytes()
        for name in ("parent", "moved/parent", "changed")
    )
    assert same == moved != changed


def test_publish_replaces_a_folder_as_a_whole(tmp_path: Path) -> None:
    build(tmp_path / "new")
    build(tmp_path / "new", {"c.txt": "три"})
    assert {entry.name for entry in (tmp_path / "new").iterdir()} == {"c.txt", "manifest.json", "run.json"}
    assert list(verify(tmp_path / "new")["files"]) == ["c.txt"]


def fail_at(count: int) -> Callable:
    """An `os.replace` whose `count`-th call fails."""
    calls: list[object] = []
    replace = os.replace

    def failing(source: Path, target: Path) -> None:
        calls.append(source)
        if len(calls) == count:
            raise OSError("killed")
        replace(source, target)

    return failing


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_killed_while_publishing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """Killed at any of its renames: the old folder, whole, or no folder, which is refused; never a mixture."""
    build(tmp_path / "new")
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail_at(count))
        with pytest.raises(OSError, match="killed"):
            build(tmp_path / "new", {"a.txt": "новый"})
    if (tmp_path / "new").exists():
        assert verify(tmp_path / "new")["files"].keys() == FILES.keys()
    else:
        assert count == 4
        with pytest.raises(UserError, match="never finished"):
            verify(tmp_path / "new")
    build(tmp_path / "new", {"a.txt": "новый"})
    assert list(verify(tmp_path / "new")["files"]) == ["a.txt"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["new"]


def test_a_parent_that_was_never_finished_stops_the_publication(tmp_path: Path) -> None:
    build(tmp_path / "new")
    before = verify(tmp_path / "new")
    (tmp_path / "parent").mkdir()
    with pytest.raises(OSError, match="parent"):
        build(tmp_path / "new", {"a.txt": "новый"}, parents={"base": tmp_path / "parent"})
    assert verify(tmp_path / "new") == before


def test_staging_is_empty_and_on_the_same_file_system(tmp_path: Path) -> None:
    (staging(tmp_path / "new") / "rest.txt").write_text("of a killed run")
    folder = staging(tmp_path / "new")
    assert list(folder.iterdir()) == []
    assert folder.parent == tmp_path


def change_one_letter(folder: Path) -> None:
    (folder / "deep" / "b.txt").write_text("дна", encoding="utf-8")


def remove_file(folder: Path) -> None:
    (folder / "a.txt").unlink()


def cut_manifest(folder: Path) -> None:
    os.truncate(folder / "manifest.json", 20)


def remove_manifest(folder: Path) -> None:
    (folder / "manifest.json").unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (change_one_letter, r"deep/b\.txt does not match .*manifest\.json; delete .*new and run again"),
        (remove_file, r"a\.txt is listed in .* but missing"),
        (cut_manifest, r"manifest\.json is damaged"),
        (remove_manifest, r"manifest\.json is missing: .*new was never finished"),
    ],
)
def test_verify_refuses(tmp_path: Path, damage: Callable, message: str) -> None:
    build(tmp_path / "new")
    damage(tmp_path / "new")
    with pytest.raises(UserError, match=message):
        verify(tmp_path / "new")


def test_verify_accepts_what_was_published_and_ignores_the_run_record(tmp_path: Path) -> None:
    build(tmp_path / "new")
    (tmp_path / "new" / "run.json").write_text("another run")
    assert verify(tmp_path / "new") == read_manifest(tmp_path / "new")


@dataclass(frozen=True, config=STRICT)
class Inner:
    rank: int


@dataclass(frozen=True, config=STRICT)
class Job:
    steps: int
    inner: Inner
    name: str = "x"


GOOD = {"steps": 3, "inner": {"rank": 8}}


def test_job_is_read_and_frozen(tmp_path: Path) -> None:
    write_json(tmp_path / "job.json", GOOD)
    job = load_job(Job, tmp_path / "job.json")
    assert job == Job(3, Inner(8))
    with pytest.raises(FrozenInstanceError):
        job.steps = 4


@pytest.mark.parametrize(
    ("values", "lines"),
    [
        ({**GOOD, "stepz": 4}, ["  stepz: Unexpected keyword argument"]),
        ({**GOOD, "steps": "many"}, ["  steps: Input should be a valid integer"]),
        ({**GOOD, "inner": {"rank": 8, "alpha": 1}}, ["  inner.alpha: Unexpected keyword argument"]),
        ({"inner": {"rank": 1.5}}, ["  steps: Field required", "  inner.rank: Input should be a valid integer"]),
    ],
    ids=["unknown", "ill-typed", "nested", "two faults"],
)
def test_every_bad_key_is_named_in_one_message(values: dict, lines: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        parse_job(Job, values, "job.json")
    first, *rest = str(caught.value).splitlines()
    assert first == "job.json is not a valid Job:"
    for line, found in zip(lines, rest, strict=True):
        assert found.startswith(line)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "does not exist"),
        (b"{'steps': 3}", "not JSON in UTF-8"),
        ('{"name": "ё"}'.encode("cp1251"), "not JSON in UTF-8"),
        (b"[1, 2]", "one JSON object, found list"),
    ],
    ids=["missing", "not JSON", "not UTF-8", "a list"],
)
def test_unreadable_job_files_are_named(tmp_path: Path, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / "job.json").write_bytes(content)
    with pytest.raises(UserError, match=rf"job\.json .*{message}"):
        load_job(Job, tmp_path / "job.json")


def published(folder: Path, monkeypatch: pytest.MonkeyPatch, command: str) -> Path:
    monkeypatch.setattr("lep.manifest._command", lambda: command)
    build(folder)
    return folder


def test_a_command_may_write_a_new_an_empty_and_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = published(tmp_path / "own", monkeypatch, "lep.propagate")
    (tmp_path / "empty").mkdir()
    for target in (tmp_path / "deep" / "new", tmp_path / "empty", own):
        check_target(target, (tmp_path / "input", None))
    (own / "manifest.json").unlink()  # as Snakemake does before a rule runs again
    check_target(own)


@pytest.mark.parametrize("name", ["added", "other command", "old", "plain", "deep", "hidden", "broken record"])
def test_nothing_else_is_replaced(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that the command did not write is named, and stays."""
    target = tmp_path / "out"
    command = "another" if name == "other command" else "lep.propagate"
    if name in ("added", "other command", "old", "broken record"):
        published(target, monkeypatch, command)
    monkeypatch.setattr("lep.manifest._command", lambda: "lep.propagate")
    place = {"added": "notes.txt", "deep": "a/b/thesis.txt", "hidden": ".optimizer", "plain": "x"}.get(name)
    if place:
        (target / place).parent.mkdir(parents=True, exist_ok=True)
        (target / place).write_text("ten days of work")
    if name == "old":
        (target / "run.json").unlink()
    if name == "broken record":
        (target / "run.json").write_text("[]")
    before = sorted(path for path in target.rglob("*"))
    with pytest.raises(
        UserError, match=rf"out holds {place or '[a-z./]+'}, which this command did not write.*name a new"
    ):
        check_target(target)
    assert sorted(path for path in target.rglob("*")) == before


def test_inputs_and_what_holds_them_are_never_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even if the command wrote them itself."""
    donor = published(tmp_path / "models" / "donor", monkeypatch, "lep.propagate")
    monkeypatch.chdir(donor)
    (tmp_path / "link").symlink_to(donor)
    (tmp_path / "file").write_text("x")
    for target, inputs, words in (
        (donor, [donor], "the input"),
        (donor / ".." / "donor", [tmp_path / "link"], "the input"),
        (tmp_path / "models", [donor], "the input"),
        (tmp_path, [], "the working folder"),
        (Path("."), [], "the working folder"),
        (Path.home(), [], "the home folder"),
        (Path("/"), [], "holds"),
        (tmp_path / "link", [], "is a link"),
        (tmp_path / "file", [], "is a file"),
        (tmp_path / "file" / "out", [], "is a file"),
    ):
        with pytest.raises(UserError, match=words):
            check_target(target, inputs)
