"""The command line `lep.propagate`."""

import subprocess
import sys
from pathlib import Path

import pytest
from fixtures.models import TEMPLATE, byte_level, extended, make_model
from lep.manifest import publish, staging, verify
from lep.propagate import main


def test_command_line_on_ordinary_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """As somebody uses it for their own models: no manifest, no operator."""
    make_model(byte_level(), tmp_path / "base", seed=1)
    make_model(byte_level(), tmp_path / "instruct", seed=2, shard="20KB", template=TEMPLATE)
    make_model(extended(), tmp_path / "donor", seed=3)
    command = [sys.executable, "-m", "lep.propagate", "--method", "conversion", "--threads", "1", "--device", "cpu"]
    command += ["--token-text", "published"]
    for role in ("base", "instruct", "donor"):
        command += [f"--{role}", str(tmp_path / role)]
    done = subprocess.run([*command, "--out", str(tmp_path / "out")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert verify(tmp_path / "out")["config"]["token_text"] == "published"
    (tmp_path / "base" / "tokenizer.json").unlink()
    monkeypatch.setattr(sys, "argv", [*command[2:], "--out", str(tmp_path / "other")])
    with pytest.raises(SystemExit) as failed:
        main()
    assert failed.value.code == 1
    message = capsys.readouterr().err
    assert "tokenizer.json is missing" in message
    assert "Traceback" not in message


@pytest.mark.parametrize("command", ["lep.propagate", "lep.fetch hub", "lep.fetch benchmark", "lep.models.adapter"])
def test_every_command_that_writes_a_folder_leaves_other_folders_alone(command: str, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("ten days of work")
    options = {
        "lep.propagate": ["--base", "b", "--instruct", "i", "--donor", "d", "--out"],
        "lep.fetch hub": ["--kind", "model", "--repository", "a/b", "--revision", "main", "--output"],
        "lep.fetch benchmark": ["--data-dir", str(tmp_path), "--output"],
        "lep.models.adapter": ["--merge", str(tmp_path / "calibrated"), "--out"],
    }[command]
    publish(staging(tmp_path / "calibrated"), tmp_path / "calibrated", recipe_version=1, config={"parent": "../p"})
    done = subprocess.run(
        [sys.executable, "-m", *command.split(), *options, str(mine)], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 1
    assert "thesis.txt, which this command did not write" in done.stderr or "the input" in done.stderr
    assert "Traceback" not in done.stderr
    assert (mine / "thesis.txt").read_text() == "ten days of work"
