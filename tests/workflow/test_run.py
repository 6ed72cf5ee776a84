"""A complete run of the ci overlay: what it leaves, what runs again, that it survives a kill and repeats itself."""

import csv
import hashlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest
from fixtures.checkout import copy_checkout
from fixtures.shell_blocks import arguments, commands
from fixtures.workflow import Run, no_network, snakemake

NUMBERS = ("scores.csv", "metrics.csv", "claims.csv", "samples.jsonl", "paper/paper.pdf")


def jobs(result: subprocess.CompletedProcess) -> dict[str, int]:
    """Number of jobs by rule that a dry run would start."""
    assert result.returncode == 0, result.stdout + result.stderr
    found = re.findall(r"^(\w+) +(\d+)$", result.stdout.split("Reasons:")[0], re.MULTILINE)
    return {rule: int(count) for rule, count in found if rule != "total"}


def compared(results: Path) -> dict[str, bytes]:
    files = [results / name for name in NUMBERS]
    files += sorted(path for folder in ("tables", "figures") for path in (results / folder).rglob("*.*"))
    return {path.relative_to(results).as_posix(): path.read_bytes() for path in files}


def test_everything_is_there(finished: Path) -> None:
    for number in (1, 2, 3, 4):
        for kind in ("csv", "tidy.csv", "md", "tex"):
            assert (finished / f"tables/table{number}.{kind}").stat().st_size > 200
    for name in ("figure1", "figure2", "figure3", "symbols_per_token", "training"):
        for kind in ("pdf", "png", "csv"):
            assert (finished / f"figures/{name}.{kind}").stat().st_size > 100
    assert (finished / "paper/paper.pdf").read_bytes().startswith(b"%PDF")
    suite = ElementTree.parse(finished / "checks/checks.xml").getroot()
    assert (suite.get("failures"), suite.get("errors")) == ("0", "0")
    assert int(suite.get("tests")) > 5
    assert "," in (finished / "claims.csv").read_text(encoding="utf-8")


def test_every_generated_file_carries_the_run(finished: Path) -> None:
    run = json.loads((finished / "run_id.json").read_text(encoding="utf-8"))["run"]
    assert run.startswith("ci-")
    files = [path for folder in ("tables", "figures", "checks") for path in (finished / folder).iterdir()]
    early = ("training", "sweep", "vocabularies", "data_card")  # made before the run is whole
    files = [path for path in files if not path.name.startswith(early)]
    for path in [*files, finished / "claims.csv", finished / "paper/paper.pdf"]:
        assert run.encode() in path.read_bytes(), path


def test_a_cell_is_explained_and_repeats_itself(finished: Path, run_checkout: Path) -> None:
    """From a number of Table 3 to its raw data, and the same number when that cell alone is scored again."""
    cell = "table3/llama/optimized/conversion/daru_copy_ru"
    command = [sys.executable, "-m", "lep.explain", cell, "--results", "results/ci"]
    environment = os.environ | {"PYTHONPATH": str(run_checkout / "scripts"), "HF_HUB_OFFLINE": "1"}
    told = subprocess.run(command, cwd=run_checkout, env=environment, capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    row = next(
        r for r in csv.DictReader((finished / "tables/table3.csv").open()) if r["model"] == "llama/optimized/conversion"
    )
    assert f"value     {row['daru_copy_ru']} " in told.stdout
    assert "MISSING" not in told.stdout
    read = dict(re.findall(r"raw data as read: (\S+), sha256 ([0-9a-f]{64})", told.stdout))
    assert read["train.jsonl"] == hashlib.sha256((finished / "corpus/train.jsonl").read_bytes()).hexdigest()
    again = subprocess.run([*command, "--again"], cwd=run_checkout, env=environment, capture_output=True, text=True)
    assert (again.returncode, again.stdout.splitlines()[-1]) == (0, "equal"), again.stderr


def test_every_job_has_a_log(finished: Path) -> None:
    logs = list((finished / "logs").rglob("*.log"))
    assert {path.relative_to(finished / "logs").parts[0].removesuffix(".log") for path in logs} >= {
        "build_corpus", "pretrain", "propagate_embeddings", "calibrate", "evaluate", "make_table", "run_checks",
    }  # fmt: skip


def test_models_share_their_body(finished: Path) -> None:
    bodies = {path.stat().st_ino for path in (finished / "models/llama").rglob("body-*.safetensors")}
    assert len(bodies) == 2  # of base and instruct


def test_finished_run_has_nothing_to_do(finished: Path, run: Run) -> None:
    result = run("--dry-run")
    assert "Nothing to be done" in result.stdout + result.stderr


def test_a_lost_table_is_made_again_alone(finished: Path, run: Run) -> None:
    lost = finished / "tables/table2.csv"
    content = lost.read_bytes()
    lost.unlink()
    planned = jobs(run("--dry-run", "--quiet", "host"))
    assert planned == {"make_table": 1, "run_checks": 1, "build_report": 1, "all": 1}
    assert run("--cores", "2").returncode == 0
    assert lost.read_bytes() == content


def test_bad_corpus_file_leaves_nothing(run_checkout: Path, run: Run, tmp_path: Path) -> None:
    """One message in the log that names file and line, an exit code, and no half-written corpus."""
    text = tmp_path / "mine.jsonl"
    text.write_bytes('{"text": "Строка"}\n'.encode() + b'{"text": "\xff\xfe"}\n')
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text(
        f"scale: bad\ncorpus:\n  sources:\n    - {{name: mine, reader: documents, path: {text}}}\n", encoding="utf-8"
    )
    target = "results/bad/corpus/manifest.json"
    result = run(str(overlay), "--cores", "1", "--", target)
    assert result.returncode != 0
    log = (run_checkout / "results/bad/logs/prepare_shard/0.log").read_text(encoding="utf-8")
    assert re.search(r"error: .*mine\.jsonl, line 2: not UTF-8", log)
    assert not (run_checkout / "results/bad/corpus").exists()
    assert not (run_checkout / "results/bad/shards/prepared/0").exists()


def test_a_second_seed_adds_to_a_finished_run(finished: Path, run: Run) -> None:
    """The same data in another order: other embeddings, in a folder of their own; the first seed's stay as they are."""
    place = "models/llama/bpe/cpt-100"
    before = (finished / place / "manifest.json").read_bytes()
    target = f"results/ci/seed-43/{place}/manifest.json"
    seeds = ("--config", "seeds=2", "--")
    assert jobs(run("--dry-run", *seeds, target)) == {"write_job": 1, "pretrain": 1}
    result = run("--cores", "1", *seeds, target)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    assert (finished / place / "manifest.json").read_bytes() == before
    first, second = (json.loads((finished / s / place / "manifest.json").read_text()) for s in ("", "seed-43"))
    assert (first["seed"], second["seed"]) == (42, 43)
    assert first["parents"] == second["parents"]
    own = {name for name, digest in first["files"].items() if second["files"].get(name) != digest}
    assert own
    assert not any("body" in name for name in own)
    for folder in ("", "logs", "benchmarks"):
        shutil.rmtree(finished / folder / "seed-43")


def test_killed_run_goes_on_and_gives_the_same_bytes(finished: Path, tmp_path: Path) -> None:
    """A second run elsewhere, on one core, killed in the middle of a training, ends with the files of the first."""
    other = copy_checkout(tmp_path / "checkout")
    process = subprocess.Popen(
        snakemake("--cores", "1"),
        cwd=other,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    work = other / "results/ci/work/pretrain"
    while process.poll() is None and not list(work.glob("*/*/checkpoint-*/complete")):
        time.sleep(0.2)
    assert process.poll() is None, "the run ended before it could be killed"
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    subprocess.run(snakemake("--unlock"), cwd=other, check=True, capture_output=True)
    result = subprocess.run(snakemake("--cores", "1"), cwd=other, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    resumed = [
        path for path in (other / "results/ci/logs/pretrain").rglob("*.log") if "going on from" in path.read_text()
    ]
    assert len(resumed) == 1
    assert compared(other / "results/ci") == compared(finished)
    shutil.rmtree(other)


def test_scores_name_every_model_once(finished: Path) -> None:
    with open(finished / "scores.csv", encoding="utf-8", newline="") as file:
        rows = [(row["model"], row["level"], row["name"], row["metric"]) for row in csv.DictReader(file)]
    assert len(rows) == len(set(rows))
    assert (
        len([row for row in rows if row[1] == "micro"]) == 4 + 4 * (2 + 3) + 7 + 2 + 2
    )  # controls; a further instruct


def test_a_donor_serves_a_further_instruct_model(finished: Path) -> None:
    """Its rows are the donor's through a map of its own; its score stands beside that of its original."""
    second, first = (
        finished / f"models/{name}/extended/conversion/manifest.json" for name in ("mistral@second", "mistral")
    )
    parents = [json.loads(path.read_text(encoding="utf-8"))["parents"] for path in (second, first)]
    assert {role for role in parents[0] if parents[0][role] != parents[1][role]} == {"instruct"}
    with open(finished / "tables/instructs.csv", encoding="utf-8", newline="") as file:
        rows = {(row["instruct"], row["method"]): row for row in csv.DictReader(file) if row["name"] == "micro_avg"}
    assert set(rows) == {("mistral", "conversion"), ("mistral@second", "conversion")}
    with open(finished / "scores.csv", encoding="utf-8", newline="") as file:
        scores = {row["model"]: float(row["value"]) for row in csv.DictReader(file) if row["name"] == "micro_avg"}
    for (name, _), row in rows.items():
        found = scores[f"{name}/instruct"], scores[f"{name}/extended/conversion"]
        assert (float(row["original"]), float(row["value"])) == pytest.approx(found, abs=1e-6)
        assert float(row["change"]) == pytest.approx(found[1] - found[0], abs=1e-5)
    changes = [float(rows[name, "conversion"]["change"]) for name in ("mistral@second", "mistral")]
    against = float(rows["mistral@second", "conversion"]["against_first"])
    assert against == pytest.approx(changes[0] - changes[1], abs=1e-5)
    assert "Further instruct models against their own originals: better in" in (
        finished / "tables/instructs.md"
    ).read_text(encoding="utf-8")


@pytest.mark.parametrize("line", commands())
def test_command_of_the_documentation(line: str, run_checkout: Path, finished: Path, tmp_path: Path) -> None:
    if not (run_checkout / ".venv").exists():
        (run_checkout / ".venv").symlink_to(Path(sys.prefix))
    command = [*no_network(), *arguments(line, finished, tmp_path / "out")]
    environment = os.environ | {"PYTHONPATH": str(run_checkout / "scripts"), "HF_HUB_OFFLINE": "1"}
    result = subprocess.run(
        command, cwd=run_checkout, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    assert result.returncode == 0, f"{shlex.join(command)}\n{result.stdout[-3000:]}{result.stderr[-3000:]}"
