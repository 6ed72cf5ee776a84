"""The jobs of the paper under the cluster profile: each fits one partition, the one that it is meant for."""

import json
import logging
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from fixtures.checkout import ROOT
from fixtures.configuration import configuration
from fixtures.workflow import dry_run
from snakemake_executor_plugin_slurm.partitions import get_best_partition, read_partition_file

PARTITIONS = "slurm/partitions.yaml"
RETRIES = yaml.safe_load((ROOT / "slurm/config.yaml").read_text(encoding="utf-8"))["retries"]
RUNS = {
    "first attempt": (),
    "last attempt": ("--attempt", str(RETRIES + 1)),
    "published donors": ("--config", "donor=published"),
}


@pytest.fixture(scope="module")
def listed(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict]]:
    """The jobs that `--profile slurm` would start, by run, as the logger plugin writes them."""
    folder, found = tmp_path_factory.mktemp("jobs"), {}
    for number, (name, options) in enumerate(RUNS.items()):
        file = folder / f"{number}.jsonl"
        options = ("--profile", "slurm", *options, "--logger", "jobs", "--logger-jobs-file", str(file))
        result = dry_run(*options, cwd=checkout)
        assert result.returncode == 0, result.stdout + result.stderr
        found[name] = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return found


def chosen(job: dict) -> str | None:
    """The partition that the SLURM plugin chooses for a job."""
    asked = SimpleNamespace(name=job["rule"], threads=job["threads"], resources=job["resources"])
    return get_best_partition(read_partition_file(ROOT / PARTITIONS), asked, logging.getLogger("partitions"))


def test_the_graph_is_that_of_the_paper(listed: dict[str, list[dict]]) -> None:
    jobs = listed["first attempt"]
    files = {file for job in jobs for file in (*job["input"], *job["output"])}
    assert "results/paper/paper/paper.pdf" in files
    assert not {file for file in files if file.startswith("results/") and not file.startswith("results/paper/")}
    # Only what gathers has an input for each shard or model: the graph grows with their number, not with its square.
    shards = configuration("paper")["corpus"]["shards"]
    gathering = {"list_prepared_shards", "join_repeats", "build_corpus", "identify_run"}
    assert {job["rule"] for job in jobs if len(job["input"]) >= shards} == gathering
    assert max(len(job["input"]) for job in jobs) <= 300


@pytest.mark.parametrize("run", RUNS)
def test_every_job_goes_where_it_is_meant_to(run: str, listed: dict[str, list[dict]]) -> None:
    """Jobs with a GPU to the partition with GPUs, all others to the one without."""
    jobs = listed[run]
    assert len(jobs) > 900
    wrong = {
        (job["rule"], job["threads"], *(job["resources"].get(name) for name in ("gpu", "mem_mb", "runtime")))
        for job in jobs
        if chosen(job) != ("gpu" if job["resources"].get("gpu") else "cpu")
    }
    assert not wrong


def test_jobs_ask_for_time_by_their_size(listed: dict[str, list[dict]]) -> None:
    """Rules that run for minutes ask for an hour, not for a day; a retry asks for more."""
    minutes = {
        run: {(job["rule"], *job["wildcards"].values()): job["resources"]["runtime"] for job in jobs}
        for run, jobs in listed.items()
    }
    parts = {key: value for key, value in minutes["first attempt"].items() if key[0] == "evaluate_part"}
    assert len(parts) == 355
    assert set(parts.values()) == {60, *(value for value in parts.values() if 60 < value <= 120)}
    assert len(set(parts.values())) > 1  # a group with more items asks for more
    assert all(minutes["last attempt"][key] == (RETRIES + 1) * value for key, value in parts.items())
    asked = {key[0]: value for key, value in minutes["first attempt"].items()}
    assert asked["calibrate"] == asked["merge_calibrated"] == asked["evaluate"] == 60
    assert 5 * 60 < asked["answer_prompts"] < 24 * 60
