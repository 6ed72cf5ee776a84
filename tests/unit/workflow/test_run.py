"""What follows from a configuration as a whole, and where the artefacts of a run are."""

from pathlib import Path

import pytest
from fixtures.configuration import configured
from lep.workflow.run import Run, folder_of, is_local


def test_places_of_artefacts() -> None:
    run = configured()
    places = {
        run.documents("train"): "corpus/train.jsonl",
        run.model("llama", "base"): "models/llama/base/manifest.json",
        run.model("llama", "bpe", "cpt-050"): "models/llama/bpe/cpt-050/manifest.json",
        run.model("{family}", "{vocabulary}", "init"): "models/{family}/{vocabulary}/init/manifest.json",
        run.calibrated("llama", "original", "instruct", "saiga"): (
            "calibrated/llama/original/instruct/saiga/manifest.json"
        ),
        run.merged("llama", "extended", "conversion", "self"): "merged/llama/extended/conversion/self",
        run.evaluation("llama", "bpe", "propagation"): "evaluation/llama/bpe/propagation/manifest.json",
        run.evaluation("llama", "bpe", "propagation", "scores.csv"): "evaluation/llama/bpe/propagation/scores.csv",
        run.work("pretrain", "llama", "bpe"): "work/pretrain/llama/bpe",
    }
    for found, place in places.items():
        assert found == f"results/mini/{place}"
    assert folder_of(run.model("llama", "base")) == "results/mini/models/llama/base"


def test_a_further_seed_has_a_folder_of_what_it_changes() -> None:
    run = configured(seeds=3)
    assert run.seeds == {"": 42, "seed-43/": 43, "seed-44/": 44}
    assert configured(seeds=[42, 7]).seeds == {"": 42, "seed-7/": 7}
    first, second, _ = run.repeats
    assert (first, second.seed) == (run, 43)
    assert second.model("llama", "bpe", "cpt-050") == "results/mini/seed-43/models/llama/bpe/cpt-050/manifest.json"
    assert second.work("pretrain", "llama", "bpe") == "results/mini/seed-43/work/pretrain/llama/bpe"
    for shared in (("llama", "base"), ("llama", "bpe", "init")):
        assert second.model(*shared) == first.model(*shared)
    assert second.vocabulary("llama", "bpe") == first.vocabulary("llama", "bpe")


def test_original_vocabularies_come_with_the_model_or_from_a_package() -> None:
    assert configured().vocabulary("llama", "original") == "results/mini/models/llama/base/manifest.json"
    run = configured("tokenizers")
    assert run.vocabulary("llama", "original") == "results/tokenizers/vocabularies/originals/llama/manifest.json"
    assert run.vocabulary("llama", "bpe") == "results/tokenizers/vocabularies/llama/bpe/manifest.json"


def test_vocabularies_are_measured_on_text_that_is_held_back() -> None:
    assert configured().heldout == "results/mini/corpus/benchmark.jsonl"
    assert configured("paper").heldout == "results/paper/corpus/validation.jsonl"


@pytest.mark.parametrize(
    ("scale", "benchmark", "instructions"),
    [
        ("mini", "benchmark", "instructions"),
        ("paper", "sources/benchmark", "sources/datasets/instructions"),
    ],
)
def test_sources_that_are_made_or_fetched(scale: str, benchmark: str, instructions: str) -> None:
    run = configured(scale)
    assert run.benchmark == f"results/{scale}/{benchmark}/manifest.json"
    assert run.instructions == f"results/{scale}/{instructions}/manifest.json"


def test_checkpoints_are_named_by_their_per_cent() -> None:
    run = configured(pretraining={"fractions": [0.07, 0.29, 0.575, 1.0]})  # 100 * 0.29 is 28.999999999999996
    assert run.checkpoints == ["cpt-007", "cpt-029", "cpt-057", "cpt-100"]
    assert configured("paper", donor="published").checkpoints == ["cpt-100"]


def test_the_first_language_decides_on_the_benchmark() -> None:
    assert configured().is_benchmarked
    run = configured("greek")
    assert (run.languages, run.is_benchmarked) == ({"el": "greek", "en": "latin"}, False)


def test_comparators_without_a_model_are_no_part_of_the_run() -> None:
    assert configured().comparators == {}
    assert list(configured("paper").comparators) == ["saiga", "vikhr", "qwen", "nemo"]


def test_a_subset_is_all_that_there_is() -> None:
    run = configured(subset={"families": ["llama"], "vocabularies": ["bpe"]})
    assert {name: family["vocabularies"] for name, family in run.families.items()} == {"llama": ["bpe"]}


@pytest.mark.parametrize("path", ["data/stand_ins/llama/base", "./mine", "../mine", "/models/mine"])
def test_folders_are_told_from_ids_of_the_hub(path: str) -> None:
    assert is_local({"path": path})
    assert not is_local({"path": "org/data"})


def test_paths_are_relative_wherever_the_checkout_is() -> None:
    here = configured()
    there = Run(here.config, Path("/somewhere/else"))
    assert here.model("llama", "base") == there.model("llama", "base")
