"""What a run reads from the hub, held before it starts against a hub of the true layouts."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from fixtures.checkout import ROOT
from fixtures.configuration import configuration
from fixtures.darumeru_hub import to_parquet
from fixtures.hub import HubStub, serving
from fixtures.true_hub import COMMIT, DARULM, TOKEN, fill
from lep.workflow.settings import apply_subset

SHAPE = json.loads((ROOT / "data/stand_ins/mistral/base/config.json").read_text(encoding="utf-8"))


@pytest.fixture
def hub() -> Iterator[HubStub]:
    with serving() as stub:
        fill(stub)
        yield stub


def overlay(**changes: object) -> dict:
    """The paper overlay without comparators, for a machine without GPUs."""
    config = configuration("paper", comparators=[], compute={"gpus_per_job": 0, "device": "cpu"}, **changes)
    config["plan"]["models"] = {family["base"]["path"]: SHAPE for family in config["families"]}
    config["plan"]["text"] |= {"megabytes": 1, "tokens": 1}
    config["calibration"]["judge"]["backend"] = "stand_in"
    return apply_subset(config)


def check(hub: HubStub, tmp_path: Path, config: dict, token: str = TOKEN) -> tuple[int, str]:
    """Exit code and output of the command, in a folder with what it reads of a checkout."""
    (tmp_path / "data").mkdir(exist_ok=True)
    for name in ("requirements.txt", "data/sources.csv"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    given = {"HF_ENDPOINT": hub.address, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "0", "HF_TOKEN": token}
    done = subprocess.run(
        [sys.executable, "-m", "lep.planning.preflight", "--config", "config.yaml"],
        cwd=tmp_path, env=os.environ | given | {"PATH": "/nowhere"}, capture_output=True, text=True,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout


def test_every_file_is_listed_and_no_weights_are_fetched(hub: HubStub, tmp_path: Path) -> None:
    code, said = check(hub, tmp_path, overlay())
    assert code == 0, said
    assert f"dataset dichspace/darulm at commit {COMMIT}: can be fetched, 77 files, 0.00 GB" in said
    assert all(f"        {name}.jsonl.zst  " in said for name in DARULM)
    assert "model meta-llama/Meta-Llama-3-8B at commit" in said
    assert said.count("model-00002-of-00002.safetensors  ") == 4
    assert "consolidated" not in said
    for path in ("rcb/test/0000.parquet", "anatomy/dev/0000.parquet", "default/train/0000.parquet", "train.parquet"):
        assert f"        {path}  " in said, path
    assert "mmlu_nlpcoreteam" not in said
    loaded = {asked.path for asked in hub.asked if asked.method == "GET" and "/resolve/" in asked.path}
    assert not [path for path in loaded if path.endswith(".safetensors")]
    whole = [asked.path for asked in hub.asked if asked.method == "GET" and asked.path.endswith((".zst", ".parquet"))]
    assert len(whole) < 100, "one record of each table, and of one file of text"


def test_mmlu_of_the_authors_is_one_configuration(hub: HubStub, tmp_path: Path) -> None:
    mmlu = {"repository": "RefalMachine/darumeru", "revision": "unpinned", "configuration": "mmlu_nlpcoreteam"}
    hub.repositories.pop("NLPCoreTeam/mmlu_ru")
    code, said = check(hub, tmp_path, overlay(evaluation={"datasets": {"nlpcore_mmlu": mmlu}}))
    assert code == 0, said
    assert said.count("        mmlu_nlpcoreteam/test/0000.parquet  ") == 1


def parquet(repository: str) -> Callable[[HubStub], dict[str, bytes]]:
    return lambda hub: hub.repositories[repository][hub.branches[repository, "refs/convert/parquet"]]


FAULTS = {
    "no repository": (
        lambda hub: hub.repositories.pop("dichspace/darulm"),
        r"dataset dichspace/darulm at revision unpinned could not be fetched \(RepositoryNotFoundError\)",
    ),
    "no subject": (
        lambda hub: parquet("NLPCoreTeam/mmlu_ru")(hub).pop("anatomy/test/0000.parquet"),
        r"dataset NLPCoreTeam/mmlu_ru at commit c{40} lacks anatomy/test/\*\.parquet\n +-> name another revision",
    ),
    "no split": (
        lambda hub: parquet("RussianNLP/rucola")(hub).pop("default/train/0000.parquet"),
        r"dataset RussianNLP/rucola at commit c{40} lacks default/train/\*\.parquet",
    ),
    "no field": (
        lambda hub: parquet("RussianNLP/rucola")(hub).update({"default/train/0000.parquet": to_parquet([{"x": 1}])}),
        "dataset RussianNLP/rucola, default/train/0000.parquet, record 1 has no field 'sentence'; found the columns x",
    ),
    "no scores": (
        lambda hub: next(iter(hub.repositories["IlyaGusev/saiga_scored"].values())).update(
            {"train.parquet": to_parquet([{"messages": "m", "source": "s"}])}
        ),
        "the first record of train.parquet has no opus_score, is_bad_by_regex; it has messages, source",
    ),
    "no text": (
        lambda hub: hub.repositories["dichspace/darulm"].update({COMMIT: {"a.jsonl": b'{"content": "x"}\n'}}),
        r"the first record of a.jsonl has no text; it has content\n +-> name yours with `text_column` of this source",
    ),
    "no table": (
        lambda hub: parquet("RussianNLP/rucola")(hub).update({"default/train/0000.parquet": b"no table"}),
        r"RussianNLP/rucola, default/train/0000.parquet cannot be read \(",
    ),
    "pickles": (
        lambda hub: hub.put("mistralai/Mistral-7B-v0.1", COMMIT, {"config.json": b"", "pytorch_model.bin": b""}),
        r"mistralai/Mistral-7B-v0\.1 has no safetensors of a model .* only pytorch_model\.bin",
    ),
    "another account": (lambda hub: setattr(hub, "token", "hf_another"), "meta-llama/Meta-Llama-3-8B is gated"),
}


@pytest.mark.parametrize(("change", "message"), FAULTS.values(), ids=FAULTS.keys())
def test_each_fault_is_one_message(
    hub: HubStub, tmp_path: Path, change: Callable[[HubStub], object], message: str
) -> None:
    change(hub)
    code, said = check(hub, tmp_path, overlay())
    assert code == 1
    failed = [entry for entry in re.split(r"\n(?=\S)", said) if entry.startswith("FAILED")]
    assert len(failed) == (2 if "Llama" in message else 1), said
    assert re.search(message, failed[0]), failed[0]


def test_donors_that_nobody_saw_are_named(hub: HubStub, tmp_path: Path) -> None:
    code, said = check(hub, tmp_path, overlay(donor="published", subset={"families": ["llama"], "vocabularies": []}))
    name = "RefalMachine/llama3_extended_darulm_20_05_24_part1-2_64000_bpe_full_lr2e4_bs256"
    assert f"note    model {name} was not seen on the hub when the configuration was written (seen: false)" in said
    assert "128000_bpe_full_lr2e4_bs256/checkpoint-30000 was not seen" not in said
    assert code == 1  # none is on the stub
