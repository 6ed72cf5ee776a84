"""The script for a machine with a GPU, on the CPU: each part leaves a result or a reason, whatever the others do."""

import importlib.util
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest
from fixtures.checkout import ROOT

PARTS = ["facts", "tests", "pretraining_8b", "pretraining_135m", "lep_methods_8b", "evaluation", "laptop"]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """`benchmarks/gpu.py` as a module."""
    spec = importlib.util.spec_from_file_location("gpu_benchmark", ROOT / "benchmarks/gpu.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look here
    spec.loader.exec_module(module)
    return module


def start(out: Path, *options: str) -> subprocess.CompletedProcess:
    command = [str(ROOT / "benchmarks/gpu.sh"), "--out", str(out), *options]
    environment = os.environ | {"PYTHON": sys.executable, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def results(out: Path) -> tuple[dict[str, dict], dict[str, list[dict]]]:
    """From results.jsonl: what became of each part, and the rows that it has found."""
    lines = [json.loads(line) for line in (out / "results.jsonl").read_text(encoding="utf-8").splitlines()]
    heads = {line["part"]: line for line in lines if "state" in line}
    return heads, {name: [line for line in lines if line["part"] == name and "state" not in line] for name in heads}


def test_every_part_leaves_a_result_or_a_reason(tmp_path: Path) -> None:
    options = ("--device", "cpu", "--tiny", "--seconds", "3000", "--job", str(tmp_path / "job.json"))
    done = start(tmp_path / "out", *options)
    assert done.returncode == 0, done.stdout + done.stderr + (tmp_path / "out/log.txt").read_text(encoding="utf-8")
    heads, rows = results(tmp_path / "out")
    assert list(heads) == PARTS
    assert {name: head["state"] for name, head in heads.items()} == dict.fromkeys(PARTS, "done") | {"laptop": "skipped"}
    assert "job.json is missing: `make paper SCALE=laptop` writes it" in heads["laptop"]["note"]
    assert rows["facts"][0]["torch"]
    assert rows["facts"][0]["gpu"] is None
    assert "skipped" in heads["tests"]["note"]
    assert {row["outcome"] for row in rows["tests"]} == {"skipped"}
    for part in ("pretraining_8b", "pretraining_135m"):
        assert [row["way"] for row in rows[part]] == ["ours"]
        assert float(rows[part][0]["tokens / s"].replace(",", "")) > 0
    assert [row["value"] for row in rows["lep_methods_8b"]]
    assert {row["kind"] for row in rows["evaluation"]} == {"multiple choice", "ranking of sentences", "generation"}
    summary = (tmp_path / "out/summary.md").read_text(encoding="utf-8")
    for name, head in heads.items():
        assert f"| {name} | {head['state']} |" in summary


def test_without_a_gpu_all_but_the_facts_is_skipped(tmp_path: Path) -> None:
    assert start(tmp_path / "out").returncode == 0
    heads, _ = results(tmp_path / "out")
    assert list(heads) == PARTS
    assert {heads[name]["note"] for name in PARTS[1:]} == {"torch finds no GPU"}


def test_a_part_that_fails_or_hangs_stops_no_other(script: ModuleType, tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    table = "print('| way | tokens |'); print('|---|---:|'); print('50%'); print('| ours | **7** |', flush=True)"
    hang = f"import subprocess, sys; {table}; subprocess.run([sys.executable, '-c', 'import time; time.sleep(600)'])"
    programs = {"fails": f"{table}; raise SystemExit('no memory')", "hangs": hang, "works": table}
    started = time.monotonic()
    found = {
        name: script.run_part(script.Part(name, [sys.executable, "-c", code], 6), 1000, log)
        for name, code in programs.items()
    }
    assert {name: outcome.state for name, outcome in found.items()} == {
        "fails": "failed", "hangs": "cut off", "works": "done",
    }  # fmt: skip
    assert found["fails"].note == "exit code 1: no memory"
    assert found["hangs"].note == "after 6 s"
    assert all(outcome.rows == [{"way": "ours", "tokens": "7"}] for outcome in found.values())
    assert time.monotonic() - started < 300  # the child that sleeps is gone too
    late = script.run_part(script.Part("late", ["false"], 6), 3, log)
    assert (late.state, late.note) == ("skipped", "no time was left")


def test_wheels_in_parts_are_joined(script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And installed beside the environment, without network."""
    import zipfile

    monkeypatch.setenv("PYTHONPATH", "")
    brought, work = tmp_path / "brought", tmp_path / "work"
    brought.mkdir(), work.mkdir()
    wheel = tmp_path / "tiny_thing-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr("tiny_thing.py", "VALUE = 7\n")
        info = "tiny_thing-1.0.dist-info"
        file.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-thing\nVersion: 1.0\n")
        file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{info}/RECORD", "")
    whole = wheel.read_bytes()
    for number, begin in enumerate(range(0, len(whole), 200)):
        (brought / f"{wheel.name}.part-{number:02d}").write_bytes(whole[begin : begin + 200])
    said = script.install(brought, work)
    assert said.startswith("1 wheels from")
    assert "failed" not in said
    assert (work / "site/tiny_thing.py").read_text(encoding="utf-8") == "VALUE = 7\n"
    assert str(work / "site") in os.environ["PYTHONPATH"]
