"""The paper overlay under the profile of the cluster, on one machine: a stub of the hub with models in the true layout.

Everything is fetched, then the hub is gone; a stub of a judge grades. Shapes and counts are smaller, keys are the same.
"""

import copy
import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from fixtures import judge
from fixtures.checkout import ROOT, copy_checkout
from fixtures.hub import HubStub, serving
from fixtures.true_hub import COMMIT, DARULM, STAND_INS, TOKEN, checkpoints, fill, texts
from lep.manifest import read_manifest, verify
from snakemake.utils import update_config

PAPER = yaml.safe_load((ROOT / "configs/paper.yaml").read_text(encoding="utf-8"))
SHAPE = json.loads((STAND_INS / "llama/base/config.json").read_text(encoding="utf-8"))
GONE = "http://127.0.0.1:9"


def families() -> list[dict]:
    """The paper's families with the shapes of the stand-ins, and one kind of calibration after the other."""
    found = copy.deepcopy(PAPER["families"])
    for family in found:
        family |= {"replacement_size": 512, "extension_size": 512, "controls": ["saiga_copy"]}
        family["calibrated"] = []
    llama = found[1]
    llama |= {
        "optimized_keep": 1024,
        "calibrated": [{"vocabulary": "extended", "calibrations": ["self", "saiga_copy"]}],
    }
    return found


def smaller(endpoint: str) -> dict:
    """What differs from `configs/paper.yaml`: sizes, and what a machine without GPUs has."""
    few = {"default": 4, "treeway_abstractive": 4, "cp_sent_en": 4, "cp_sent_ru": 4, "cp_para_en": 4, "cp_para_ru": 4}
    shape = {key: SHAPE[key] for key in PAPER["plan"]["models"]["meta-llama/Meta-Llama-3-8B"]}
    names = ("saiga", "vikhr", "nemo")
    others = [row | ({"model": None} if row["name"] in names else {}) for row in PAPER["comparators"]]
    return {
        "compute": {"threads": 1, "device": "cpu", "dtype": "float32", "gpus_per_job": 0, "memory_mb": 3000},
        "corpus": {"shards": 3, "parts": 2, "validation_fraction": 0.05, "tokenizer_fraction": 1.0},
        "families": families(),
        "comparators": others,
        "subset": {"families": ["llama"], "vocabularies": ["extended"]},
        "vocabulary": {"characters": 1000000, "threads": 1, "report": {"characters": 20000}},
        "pretraining": {
            "block_size": 64, "batch_size": 4, "micro_batch_size": 2, "max_steps": 20, "warmup_steps": 2,
            "reserve": 0.3, "fractions": [1.0], "validation_characters": 2000, "save_steps": 20, "packing_threads": 1,
        },
        "calibration": {
            "copy_examples": {"self": 4, "saiga_copy": 4},
            "copy_characters": [60, 2000],
            "answers": {"prompts": 8, "max_new_tokens": 8, "batch_size": 8, "max_prompt_tokens": 512},
            "judge": {"endpoint": endpoint, "parallel": 4},
            "recipes": {
                "self": {"batch_size": 2, "max_length": 512}, "saiga": {"batch_size": 2, "max_length": 512},
            },
        },
        "evaluation": {"jobs": "stage", "max_prompt_tokens": 512, "limit": 2, "bootstrap_draws": 100,
                       "max_new_tokens": few},
        "report": {"samples": {"prompts": 2, "max_new_tokens": 8}},
        # The plan is that of H100s: the smoke job measures a CPU beside it.
        "plan": {"smoke_factor": 1e12, "text": {"megabytes": 1, "tokens": 100000},
                 "models": {"meta-llama/Meta-Llama-3-8B": shape}},
    }  # fmt: skip


class Cluster:
    """A checkout, and Snakemake in it with the profile of the cluster, its jobs run here."""

    def __init__(self, folder: Path, hub: HubStub, endpoint: str) -> None:
        self.root, self.hub, self.home = copy_checkout(folder / "checkout"), hub, folder / "home"
        self.write("smaller", smaller(endpoint))
        # A SLURM that is down: with the local executor nothing may ask for it.
        self.commands = folder / "bin"
        self.commands.mkdir()
        for command in ("sinfo", "squeue", "sacct"):
            (self.commands / command).write_text("#!/bin/sh\necho 'no configuration source' >&2\nexit 1\n")
            (self.commands / command).chmod(0o755)

    def write(self, name: str, overlay: dict) -> None:
        (self.root / f"configs/{name}.yaml").write_text(yaml.safe_dump(overlay, allow_unicode=True), encoding="utf-8")

    def run(self, *targets: str, online: bool, overlays: tuple[str, ...] = ("smaller",)) -> str:
        """What Snakemake says; `online`: whether the hub answers."""
        given = {"HF_HOME": str(self.home), "HF_TOKEN": TOKEN, "HF_HUB_DISABLE_XET": "1"}
        given["HF_ENDPOINT"] = self.hub.address if online else GONE
        given["PATH"] = f"{self.commands}{os.pathsep}{os.environ['PATH']}"
        files = [f"configs/{name}.yaml" for name in ("paper", *overlays)]
        command = [sys.executable, "-m", "snakemake", "--profile", "slurm", "--executor", "local", "--cores", "2"]
        command += ["--retries", "0", "--latency-wait", "5", "--configfile", *files, "--", *targets]
        done = subprocess.run(
            command, cwd=self.root, env=os.environ | given, capture_output=True, text=True, stdin=subprocess.DEVNULL
        )
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-6000:] + self.logs()
        assert TOKEN not in done.stdout + done.stderr
        return done.stdout + done.stderr

    def logs(self) -> str:
        """The logs that hold an error."""
        texts = {path: path.read_text(encoding="utf-8") for path in (self.root / "results").rglob("logs/**/*.log")}
        return "".join(f"\n== {path.name}\n{text[-1500:]}" for path, text in texts.items() if "rror" in text)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with serving() as hub, judge.serving() as stub:
        fill(hub)
        stub.script = [judge.reply("5")]
        yield Cluster(tmp_path_factory.mktemp("cluster"), hub, stub.address)


@pytest.fixture(scope="module")
def said(cluster: Cluster) -> str:
    """A complete run: commits looked up, everything fetched, then all the rest without the hub."""
    cluster.run("lock_sources", online=True)
    cluster.run("fetch_all", online=True)
    return cluster.run("all", online=False)


@pytest.fixture(scope="module")
def results(cluster: Cluster, said: str) -> Path:
    return cluster.root / "results/paper"


def test_keys_are_those_of_the_paper_overlay() -> None:
    """The run changes no key that `configs/paper.yaml` sets to another kind of work."""
    config = copy.deepcopy(PAPER)
    update_config(config, smaller("http://judge:8000/v1"))
    same = ("scale", "preflight")
    assert [config[key] for key in same] == [PAPER[key] for key in same]
    assert config["corpus"]["sources"] == PAPER["corpus"]["sources"]
    assert (config["evaluation"]["benchmark"], config["calibration"]["source"]) == ("hub", "hub")
    assert config["calibration"]["judge"]["backend"] == "openai"
    for mine, theirs in zip(config["families"], PAPER["families"], strict=True):
        assert [mine[key] for key in ("base", "instruct")] == [theirs[key] for key in ("base", "instruct")]


def test_every_table_is_there(results: Path) -> None:
    for number in (1, 2, 3, 4):
        assert (results / f"tables/table{number}.csv").stat().st_size > 200
    with open(results / "scores.csv", encoding="utf-8", newline="") as file:
        models = {row["model"] for row in csv.DictReader(file) if row["level"] == "micro"}
    assert models >= {
        "llama/base", "llama/instruct", "qwen/instruct", "llama/extended/cpt-100", "llama/extended/conversion",
        "llama/extended/conversion/self", "llama/extended/conversion/saiga_copy", "llama/original/instruct/saiga_copy",
    }  # fmt: skip
    assert (results / "paper/paper.pdf").read_bytes().startswith(b"%PDF")


def test_preflight_and_smoke_job_came_first(said: str, results: Path) -> None:
    assert "model meta-llama/Meta-Llama-3-8B: fetched" in said
    assert "dataset dichspace/darulm: fetched" in said
    assert json.loads((results / "smoke.json").read_text())[0]["what"] == "a step of pre-training"
    trained = (results / "pretraining/llama/extended/manifest.json").stat().st_mtime
    assert (results / "smoke.json").stat().st_mtime < trained


def test_only_what_is_read_was_fetched(results: Path, cluster: Cluster) -> None:
    base = verify(results / "sources/models/llama/base")
    assert base["facts"]["commit"] == COMMIT
    assert {name for name in base["files"] if name.endswith(".safetensors")} == {
        f"model-0000{n}-of-00002.safetensors" for n in (1, 2)
    }
    text = verify(results / "sources/datasets/darulm")
    assert set(text["files"]) == {"README.md", *(f"{name}.jsonl.zst" for name in DARULM)}
    asked = {asked.path for asked in cluster.hub.asked if asked.method == "GET" and "/resolve/" in asked.path}
    assert not [path for path in asked if path.endswith((".bin", ".pth", ".py", "consolidated.safetensors", ".pt"))]


def test_every_document_of_every_file_is_read(results: Path) -> None:
    facts = read_manifest(results / "corpus")["facts"]
    assert facts["documents/read"] == len(list(texts()))
    domains = {name.split("_")[1] for name in DARULM}
    assert {key.split("/")[1] for key in facts if key.startswith("domain/")} == domains


def test_the_judge_graded_every_answer(results: Path, cluster: Cluster) -> None:
    facts = read_manifest(results / "grades/llama")["facts"]
    assert facts == {"answers": 8, "grade/5": 8}


def test_published_donors_take_the_place_of_the_training(cluster: Cluster, said: str) -> None:
    """From a checkpoint in a folder of its repository, among others with the states of their optimisers."""
    repository = PAPER["families"][0]["published_donors"]["extended"]["path"]
    cluster.hub.put(repository, COMMIT, checkpoints(STAND_INS / "mistral/base", (20000, 30000)))
    every = families()
    every[0]["calibrated"] = [{"vocabulary": "extended", "calibrations": ["saiga_copy"]}]  # Figure 3 shows it
    subset = {"families": ["mistral"], "vocabularies": ["extended"]}
    cluster.write("donors", {"donor": "published", "families": every, "subset": subset})
    adopted = "results/paper/pretraining/mistral/extended/manifest.json"
    donor = "results/paper/sources/donors/mistral/extended/manifest.json"
    sources = [f"results/paper/sources/models/mistral/{role}/manifest.json" for role in ("base", "instruct")]
    cluster.run(donor, *sources, online=True, overlays=("smaller", "donors"))
    cluster.run(adopted, online=False, overlays=("smaller", "donors"))
    manifest = verify((cluster.root / donor).parent)
    assert manifest["config"]["subfolder"] == "checkpoint-30000"
    assert not [name for name in manifest["files"] if "optimizer" in name or "/" in name]
    assert read_manifest((cluster.root / adopted).parent)["facts"]["steps"] == 30000
