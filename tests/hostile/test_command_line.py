"""The border of the command line: a command ends with one message and a code, never with a traceback."""

import importlib
import shutil
import sys
from pathlib import Path

import pytest
from fixtures.checkout import ROOT
from fixtures.hostile import held, unharmed
from hypothesis import given
from hypothesis import strategies as some

STAND_IN = str(ROOT / "data/stand_ins/llama/base")
MODELS = ["--base", STAND_IN, "--instruct", STAND_IN, "--donor", STAND_IN]
ROWS = [
    ("lep.compare", [], "the following arguments are required: A, B"),
    ("lep.compare", ["a", "b", "--draws", "0"], "argument --draws: '0' is not a whole number of 1 or more"),
    ("lep.compare", ["a", "b", "--draws", "-5"], "argument --draws"),
    ("lep.compare", ["a", "b", "--draws", "many"], "argument --draws: 'many'"),
    ("lep.compare", ["a", "b", "--seed", "-1"], "argument --seed: '-1' is not a whole number of 0 or more"),
    ("lep.compare", ["a", "b", "--seed", str(2**32)], "is above 4294967295, the largest seed"),
    ("lep.compare", ["absent", "b"], "absent does not exist"),
    ("lep.compare", ["table.csv", "b"], "is not a samples.jsonl.gz"),
    ("lep.propagate", [*MODELS, "--out", "x", "--threads", "0"], "argument --threads: '0'"),
    ("lep.propagate", [*MODELS, "--out", "x", "--device", "tpu"], "argument --device: invalid choice: 'tpu'"),
    ("lep.propagate", [*MODELS, "--out", "x", "--method", "magic"], "argument --method: invalid choice"),
    ("lep.propagate", [*MODELS, "--out", "x", "--seed", "1.5"], "argument --seed: '1.5'"),
    ("lep.propagate", MODELS, "the following arguments are required: --out"),
    ("lep.plan", ["--jobs", "absent", "--config", "absent"], "absent is not the configuration as JSON"),
    ("lep.plan", ["--jobs", "absent", "--config", "table.csv"], "table.csv is not the configuration as JSON"),
    ("lep.plan", ["--jobs", "x", "--config", "x", "--gpus", "-1"], "argument --gpus"),
    ("lep.plan", ["--jobs", "x", "--config", "x", "--cores", "0"], "argument --cores: '0'"),
    ("lep.report.draw", [], "one of the arguments --source --scores is required"),
    ("lep.report.draw", ["--source", "mine"], "invalid choice: 'mine'"),
    ("lep.report.draw", ["--scores", "absent", "--configfile", "families.yaml"], "absent does not exist"),
    ("lep.report.draw", ["--scores", "table.csv", "--configfile", "absent.yaml"], "absent.yaml does not exist"),
    ("lep.workflow.command_line", ["--cores", "0"], "it must be a number, 1 or more, or all"),
    ("lep.workflow.command_line", ["--cores", "-3"], "it must be a number, 1 or more, or all"),
    ("lep.workflow.command_line", ["--configfile", "absent.yaml"], "absent.yaml does not exist; name existing"),
    ("lep.workflow.clean_models", ["results/absent"], "no summary of the graph was given: nothing is deleted"),
    ("lep.compute.place", ["--gpus", "-1", "x"], "argument --gpus"),
    ("lep.compute.place", ["--gpus", "1"], "give a module to run"),
    ("lep.compute.place", ["--nodes", "0", "x"], "argument --nodes"),
    ("lep.evaluation.evaluate", ["--config", "absent.json"], "absent.json does not exist"),
    ("lep.evaluation.evaluate", ["--config", "table.csv"], "table.csv is not JSON in UTF-8"),
    ("lep.evaluation.evaluate", ["--config", "list.json"], "must contain one JSON object, found list"),
    ("lep.evaluation.evaluate", ["--config", "empty.json"], "is not a valid EvaluateJob"),
]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to stand in, with files of the wrong kinds and the reader's own."""
    monkeypatch.chdir(tmp_path)
    files = {
        "table.csv": "a,b\n",
        "list.json": "[]",
        "empty.json": "{}",
        "families.yaml": "families: []\n",
        "thesis.tex": "x",
    }
    for name, text in files.items():
        Path(name).write_text(text, encoding="utf-8")
    shutil.copy(ROOT / "config.yaml", tmp_path)
    return tmp_path


def ended(module: str, words: list[str], monkeypatch: pytest.MonkeyPatch, kept: Path) -> int | str | None:
    """The exit code of a command, run in this process."""
    main = importlib.import_module(module).main
    with monkeypatch.context() as patched, unharmed(kept):
        patched.setattr(sys, "argv", [module, *words])
        patched.setattr("os.execv", lambda *arguments: None)
        patched.setattr(sys, "stdin", open("/dev/null", encoding="utf-8"))  # noqa: SIM115
        try:
            main()
        except SystemExit as end:
            return end.code
    return 0


@pytest.mark.parametrize(("module", "words", "message"), ROWS, ids=range(len(ROWS)))
def test_nonsense_is_refused(
    module: str,
    words: list[str],
    message: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    assert ended(module, words, monkeypatch, folder) not in (0, None)
    said = capsys.readouterr()
    assert message in said.err + said.out
    assert "Traceback" not in said.err


ARGUMENTS = ["--cores", "all", "0", "-1", "2", "--configfile", "--config", "-C", "seed=1", "=", "families.yaml",
             "absent", "--", "-n", "--profile", "", "--configfile=", "é", "--cores=x", "-Ca=1", "\x00",
             "-"]  # fmt: skip


@held
@given(words=some.lists(some.sampled_from(ARGUMENTS), max_size=7))
def test_any_words_are_taken_or_refused(
    words: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    assert ended("lep.workflow.command_line", words, monkeypatch, folder) in (0, 1)
    assert "Traceback" not in capsys.readouterr().err
