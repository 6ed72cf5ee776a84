"""The configuration that a command line names: all of it is used, or the command is refused."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from fixtures.checkout import ROOT
from lep.config import UserError
from lep.workflow.command_line import check_command_line, describe, joined


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two configuration files, and a profile that names one of them."""
    monkeypatch.chdir(tmp_path)
    for name in ("ci.yaml", "mine.yaml"):
        Path(name).write_text("seed: 1\n", encoding="utf-8")
    Path("cluster").mkdir()
    Path("cluster/config.yaml").write_text("configfile: [ci.yaml]\nconfig: [seed=3]\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("--configfile ci.yaml --cores 2 --configfile mine.yaml", "--cores 2 --configfile ci.yaml mine.yaml"),
        ("--configfile ci.yaml --cores all --configfile=mine.yaml", "--cores all --configfile ci.yaml mine.yaml"),
        ("--configfiles ci.yaml mine.yaml --cores 1 -n", "--cores 1 -n --configfile ci.yaml mine.yaml"),
        ("--cores 1 --config a=1 -C b=2 --config c=3 -n", "--cores 1 -n --config a=1 b=2 c=3"),
        ("--cores 1 -Ca=1 -n", "--cores 1 -n --config a=1"),
        ("--cores 1 --configfile ci.yaml -- target", "--cores 1 --configfile ci.yaml -- target"),
        ("--cores 1 results/ci/x --config a=1", "--cores 1 results/ci/x --config a=1"),
        ("--cores 1 --forcerun evaluate", "--cores 1 --forcerun evaluate"),
    ],
)
def test_configurations_add_up(words: str, wanted: str) -> None:
    assert joined(words.split()) == wanted.split()
    check_command_line(joined(words.split()), [])


@pytest.mark.parametrize(
    ("words", "used", "message"),
    [
        ("--configfile ci.yaml --configfile mine.yaml", ["mine.yaml"], "give it once: --configfile ci.yaml mine.yaml"),
        ("--configfil ci.yaml -n --configfiles mine.yaml", ["mine.yaml"], "is given 2 times"),
        ("--config a=1 -C b=2", [], "give it once: --config a=1 b=2"),
        ("--profile cluster --configfile mine.yaml", ["mine.yaml"], "give both: --configfile ci.yaml mine.yaml"),
        ("--profile cluster --config a=1", ["ci.yaml"], "--config takes the place of `config` in the profile cluster"),
    ],
)
def test_what_snakemake_would_drop_is_refused(words: str, used: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        check_command_line(words.split(), used)


def test_a_profile_with_its_own_file_is_right() -> None:
    check_command_line(["--profile", "cluster", "-n"], ["ci.yaml"])
    check_command_line(["--profile", "cluster", "--configfile", "ci.yaml", "mine.yaml"], ["ci.yaml", "mine.yaml"])


@pytest.mark.parametrize("words", ["--configfile absent.yaml --cores 1", "--cores 0", "--cores -1", "--cores many"])
def test_nonsense_is_refused(words: str) -> None:
    with pytest.raises(UserError, match=r"absent\.yaml does not exist|must be a number, 1 or more, or all"):
        joined(words.split())


def test_a_run_says_what_it_reads(tmp_path: Path) -> None:
    line = describe("ci", ["--configfile", "ci.yaml", "--config", "seed=5", "-n"], [tmp_path / "ci.yaml"])
    assert line == "scale ci: config.yaml + ci.yaml + seed=5"


def make(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess:
    command = ["make", "-o", ".venv/.installed", "-n", "-f", str(ROOT / "Makefile"), *arguments]
    environment = {
        key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "ARGS", "SCALE", "CORES")
    }
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
class TestMake:
    @pytest.mark.parametrize("scale", ["", "../x", "nope", "%", "mini ci", "/", "ci/.."])
    @pytest.mark.parametrize("target", ["clean", "paper", "plan", "explain", "clean-models"])
    def test_only_a_known_scale_is_taken(self, target: str, scale: str) -> None:
        result = make(target, f"SCALE={scale}")
        assert result.returncode != 0
        assert f"SCALE is '{scale}'; use one of mini" in result.stderr
        assert "rm " not in result.stdout

    def test_a_scale_is_cleaned_alone(self) -> None:
        assert "rm -rf results/ci)" in make("clean", "SCALE=ci").stdout
        Path("own.yaml").write_text("scale: mine  # of my own\n", encoding="utf-8")
        assert "rm -rf results/mine)" in make("clean", f"CONFIG={Path('own.yaml').resolve()}").stdout

    def test_files_are_put_on_top_of_the_scale(self) -> None:
        assert (
            "--configfile configs/paper.yaml a.yaml b.yaml --cores all"
            in make("paper", "SCALE=paper", "CONFIG=a.yaml b.yaml").stdout
        )
        assert "command_line  --cores all" in make("paper").stdout

    def test_a_folder_with_a_space_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "my papers").mkdir()
        result = make("help", cwd=tmp_path / "my papers")
        assert result.returncode != 0
        assert "Snakemake cannot work below a folder with a space in its name" in result.stderr


def test_a_workflow_profile_may_name_other_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its files take the place of the profile's on purpose; those of the command line may not take theirs."""
    monkeypatch.chdir(tmp_path)
    for name, files in (("site", ["paper.yaml"]), ("part", ["ci.yaml", "slice.yaml"])):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").write_text(f"configfile: {files}\n".replace("'", '"'), encoding="utf-8")
    words = ["--profile", "site", "--workflow-profile", "part"]
    check_command_line(words, ["ci.yaml", "slice.yaml"])
    with pytest.raises(UserError, match=r"takes the place of ci.yaml, slice.yaml of the profile part"):
        check_command_line([*words, "--configfile", "mine.yaml"], ["mine.yaml"])
