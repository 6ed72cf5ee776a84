"""A judge behind an endpoint in the graph: asked before anything is answered, and never on the wrong machine."""

import json
import subprocess
import sys
from pathlib import Path

from fixtures.workflow import dry_run, pretended_slurm

GRADES = "results/ci/grades/llama/manifest.json"


def overlay(folder: Path, endpoint: str) -> list[str]:
    """Options that replace the stand-in of the ci overlay by a judge behind an endpoint."""
    judge = {"backend": "openai", "endpoint": endpoint, "model": "judge-70b"}
    file = folder / "judge.yaml"
    file.write_text(json.dumps({"calibration": {"judge": judge}}), encoding="utf-8")
    return ["--configfile", "configs/ci.yaml", str(file)]


def jobs(options: list[str], checkout: Path, folder: Path) -> dict[str, dict]:
    """The jobs up to the grades, by rule."""
    file = folder / "jobs.jsonl"
    result = dry_run(*options, "--logger", "jobs", "--logger-jobs-file", str(file), "--", GRADES, cwd=checkout)
    assert result.returncode == 0, result.stdout + result.stderr
    return {job["rule"]: job for job in map(json.loads, file.read_text(encoding="utf-8").splitlines())}


def test_the_judge_is_asked_before_answers_are_made(checkout: Path, tmp_path: Path) -> None:
    on_gpus = tmp_path / "gpus.yaml"
    on_gpus.write_text(json.dumps({"compute": {"gpus_per_job": 2}}), encoding="utf-8")
    found = jobs([*overlay(tmp_path, "http://judge:8000/v1"), str(on_gpus)], checkout, tmp_path)
    assert found["probe_judge"]["output"] == ["results/ci/judge/probe.json"]
    assert "results/ci/judge/probe.json" in found["answer_prompts"]["input"]
    gpus = {rule: found[rule]["resources"].get("gpu", 0) for rule in ("probe_judge", "answer_prompts", "grade_answers")}
    assert gpus == {"probe_judge": 0, "answer_prompts": 1, "grade_answers": 0}
    stand_in = jobs(["--configfile", "configs/ci.yaml"], checkout, tmp_path)
    assert "probe_judge" not in stand_in
    assert stand_in["grade_answers"]["input"] == [
        "results/ci/jobs/grade_answers/llama.json",
        "results/ci/answers/llama/manifest.json",
    ]


def test_on_a_cluster_localhost_is_refused(checkout: Path, tmp_path: Path) -> None:
    """Each job would look for the judge on its own node."""
    options = [*overlay(tmp_path, "http://localhost:8000/v1"), "--executor", "slurm", "--jobs", "1", "--", GRADES]
    command = [sys.executable, "-m", "snakemake", *options]
    environment = pretended_slurm(tmp_path)
    result = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True)
    assert result.returncode != 0
    text = result.stdout + result.stderr
    assert "the run was not started: calibration.judge.endpoint http://localhost:8000/v1 names whichever node" in text
    assert not (checkout / "results/ci/judge").exists()
