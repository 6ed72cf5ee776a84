"""Fetching Debian packages: downloaded once, recorded with version, hash and licence, refused with one message."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from lep.config import UserError
from lep.fetch import debian as module
from lep.fetch.debian import fetch_debian
from lep.fetch.sources import read_sources
from lep.files import sha256_file
from lep.manifest import verify

SOURCES = read_sources(Path(__file__).parents[3] / "data" / "sources.csv")
NAMES = ["debian-faq", "debian-faq-ru"]


@pytest.fixture
def apt(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[list[str]]]:
    """Replaces apt by one that delivers files, or fails; returns the command lines it got. Nothing is unpacked."""

    def replace(error: str = "") -> list[list[str]]:
        commands: list[list[str]] = []

        real = subprocess.run

        def run(command: list[str], **given: object) -> subprocess.CompletedProcess:
            if command[0] != "apt-get":
                return real(command, **given)
            commands.append(command)
            if not error:
                for name in command[2:]:
                    (Path(given["cwd"]) / f"{name}_1%3a11.1_all.deb").write_bytes(name.encode())
            return subprocess.CompletedProcess(command, 100 if error else 0, "", error)

        monkeypatch.setattr(module.subprocess, "run", run)
        monkeypatch.setattr(module.shutil, "which", lambda tool: f"/usr/bin/{tool}")
        monkeypatch.setattr(module, "read_members", lambda path, wanted: [("copyright", b"free")])
        return commands

    return replace


def test_packages_are_published_with_their_licences(tmp_path: Path, apt: Callable) -> None:
    commands = apt()
    fetch_debian(NAMES, SOURCES, tmp_path / "local", tmp_path / "out")
    assert commands == [["apt-get", "download", *NAMES]]
    manifest = verify(tmp_path / "out")
    deb = tmp_path / "out" / "debian-faq_1%3a11.1_all.deb"
    assert manifest["facts"]["debian-faq"] == {
        "version": "1:11.1",
        "sha256": sha256_file(deb),
        "licence": SOURCES["debian-faq"]["licence"],
    }
    assert (tmp_path / "out/licences/debian-faq-ru.txt").read_bytes() == b"free"
    fetch_debian(NAMES, SOURCES, tmp_path / "local", tmp_path / "again")
    assert len(commands) == 1, "the second time they lie there"


def test_only_what_is_missing_is_fetched(tmp_path: Path, apt: Callable) -> None:
    commands = apt()
    (tmp_path / "debian-faq-ru_9_all.deb").write_bytes(b"mine")
    fetch_debian(NAMES, SOURCES, tmp_path, tmp_path / "out")
    assert commands == [["apt-get", "download", "debian-faq"]]


def test_apt_failing_gives_one_message_and_nothing_half_done(tmp_path: Path, apt: Callable) -> None:
    apt("W: slow\nE: Unable to locate package debian-faq\n")
    with pytest.raises(UserError, match=r"debian-faq-ru \(E: Unable to locate package debian-faq\); try `apt-get upd"):
        fetch_debian(NAMES, SOURCES, tmp_path / "local", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert list((tmp_path / "local").iterdir()) == []


def test_a_machine_without_apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.shutil, "which", lambda tool: None)
    with pytest.raises(UserError, match=r"need apt-get: use a Debian .*put debian-faq, debian-faq-ru as \.deb files"):
        fetch_debian(NAMES, SOURCES, tmp_path, tmp_path / "out")


def test_a_package_without_recorded_licence_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="bash not in the table of sources; record origin and licence there first"):
        fetch_debian(["bash"], SOURCES, tmp_path, tmp_path / "out")
