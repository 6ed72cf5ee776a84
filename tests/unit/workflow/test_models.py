"""Which models a run has: rules, checks, cards and plans must speak of the same ones."""

import pytest
from darumeru.specs import GROUPS
from fixtures.configuration import SCALES, configured
from lep.names import parse_model_name
from lep.workflow.models import (
    adapted,
    all_manifests,
    calibration_parent,
    calibrations,
    compared_evaluations,
    controls,
    evaluated_input,
    evaluated_models,
    evaluation_parts,
    evaluations,
    measured_artefacts,
    model_cards,
    models_of_vocabulary,
    path_key,
    propagated,
    propagation_inputs,
    sampled_models,
    scored_models,
    sweep_runs,
    vocabularies,
)
from lep.workflow.run import Run, folder_of

scales = pytest.mark.parametrize("scale", SCALES)


@scales
def test_every_name_is_a_name_of_the_grammar(scale: str) -> None:
    run = configured(scale)
    for name in [*scored_models(run), *model_cards(run)]:
        assert str(parse_model_name(name)) == name


@scales
def test_every_model_is_scored_once(scale: str) -> None:
    names = scored_models(configured(scale))
    assert len(names) == len(set(names))


@scales
def test_every_calibrated_model_is_scored_with_its_own_artefact(scale: str) -> None:
    run = configured(scale)
    scored = {
        name: manifest
        for place in evaluations(run)
        if place[-1] == "calibration"
        for name, manifest in evaluated_models(run, *place).items()
    }
    made = {"/".join((f, *c)): run.calibrated(f, *c) for f in run.pairs for c in calibrations(run, f)}
    assert scored == made == measured_artefacts(run)["calibration"]


@scales
def test_every_adapted_model_is_scored(scale: str) -> None:
    """All but the initial ones; the donor is one of the checkpoints."""
    run = configured(scale)
    made = {f"{f}/{v}/{step}" for f, v in adapted(run) for step in (*run.checkpoints, *run.methods)}
    assert made | measured_artefacts(run)["calibration"].keys() <= set(scored_models(run))


@scales
def test_manifests_are_unique_and_hold_all_that_is_scored(scale: str) -> None:
    run = configured(scale)
    manifests = all_manifests(run)
    assert len(manifests) == len(set(manifests))
    scored = {manifest for place in evaluations(run) for manifest in evaluated_models(run, *place).values()}
    assert scored <= set(manifests)
    assert {run.evaluation(*place) for place in evaluations(run)} <= set(manifests)


@scales
def test_a_card_lies_beside_each_adapted_model(scale: str) -> None:
    run = configured(scale)
    cards = model_cards(run)
    assert {card.removesuffix("README.md") + "manifest.json" for card in cards.values()} <= set(all_manifests(run))
    made = {f"{f}/{v}/donor" for f, v in adapted(run)}
    made |= {f"{pair}/{v}/{method}" for pair, v in propagated(run) for method in run.methods_of(pair)}
    assert set(cards) == made | measured_artefacts(run)["calibration"].keys()


def test_a_further_instruct_shares_base_donor_and_operator() -> None:
    """Only what its own rows are made of, and its own scores, are made again."""
    run = configured()
    assert run.further == ["mistral@second", "llama@second"]
    first, second = (propagation_inputs(run, name, "extended") for name in ("llama", "llama@second"))
    assert {role for role in first if first[role] != second[role]} == {"instruct"}
    assert second["instruct"] == "results/mini/models/llama@second/instruct/manifest.json"
    places = [place[1:] for place in evaluations(run) if place[0] == "llama@second"]
    assert places == [("original", "instruct"), ("extended", "propagation")]
    assert "llama@second" not in {family for family, _ in adapted(run)}
    assert not [name for name in scored_models(run) if name.startswith("llama@second") and "/cpt-" in name]
    assert list(models_of_vocabulary(run, "llama@second", "original")) == ["llama@second/instruct"]
    assert list(models_of_vocabulary(run, "llama@second", "extended")) == [
        f"llama@second/extended/{method}" for method in run.methods
    ]
    assert "llama/extended/donor" in models_of_vocabulary(run, "llama", "extended")
    alone = configured(propagation={"instructs": "first", "controls": []})
    assert (alone.further, {stage for _, _, stage in compared_evaluations(alone)}) == ([], {"propagation"})
    with_others = configured(propagation={"controls": []})
    assert {stage for _, _, stage in compared_evaluations(with_others)} == {"instruct", "propagation"}


def test_a_further_instruct_is_scored_with_the_methods_that_it_names() -> None:
    run = configured("ci")
    assert [name for name in scored_models(run) if "@" in name] == [
        "mistral@second/instruct",
        "mistral@second/extended/conversion",
    ]
    assert [name for name in model_cards(run) if "@" in name] == ["mistral@second/extended/conversion"]


def test_a_subset_leaves_out_further_instructs_with_their_vocabularies() -> None:
    assert configured(subset={"vocabularies": ["bpe"], "families": []}).further == []
    assert configured(subset={"vocabularies": ["extended"], "families": ["llama"]}).further == ["llama@second"]


def test_controls_come_first_and_start_from_the_instruct_model() -> None:
    run = configured("ci")
    assert calibrations(run, "llama") == [
        ("original", "instruct", "saiga_copy"),
        ("optimized", "conversion", "self"),
        ("optimized", "conversion", "saiga_copy"),
    ]
    assert [calibration_parent(run, "llama", v, parent) for v, parent, _ in calibrations(run, "llama")[:2]] == [
        run.model("llama", "instruct"),
        run.model("llama", "optimized", "conversion"),
    ]


def test_controls_of_the_propagation_are_scored_beside_its_methods() -> None:
    run = configured()
    assert controls(run, "llama", "extended") == ["donor_body", "direct"]
    assert controls(run, "llama", "bpe") == controls(run, "mistral", "extended") == []
    scored = evaluated_models(run, "llama", "extended", "propagation")
    steps = ["swap", "overlap", "conversion", "donor_body", "direct"]
    assert list(scored) == [f"llama/extended/{step}" for step in steps]
    assert not [name for name in model_cards(run) if name.endswith(("donor_body", "direct"))]
    compared = compared_evaluations(run)
    assert [place for place in compared if place[2] == "instruct"] == [
        (pair, "original", "instruct") for pair in ("mistral", "mistral@second", "llama", "llama@second")
    ]
    assert len(compared) == 4 + len(propagated(run))


def test_controls_of_the_propagation_are_off_at_paper_scale() -> None:
    run = configured("paper")
    assert not [name for name in scored_models(run) if name.endswith(("donor_body", "direct"))]
    assert {place[2] for place in compared_evaluations(run)} == {"propagation"}
    families = [run.families["llama"] | {"control_vocabularies": ["bpe"]}]
    asked = configured("paper", families=families, propagation={"controls": ["original", "direct"]})
    assert "llama/bpe/direct" in scored_models(asked)
    others = {place[0] for place in compared_evaluations(asked)}
    assert others == {"llama"}  # comparators have no propagation


def test_comparators_are_scored_as_instruct_models() -> None:
    run = configured("paper")
    assert ("qwen", "original", "instruct") in evaluations(run)
    assert evaluated_models(run, "qwen", "original", "instruct") == {"qwen/instruct": run.model("qwen", "instruct")}


def test_two_of_the_three_methods_are_all_that_is_spoken_of() -> None:
    """No list of models, artefacts or cards waits for a method that is not run."""
    run = configured(propagation={"methods": ["conversion", "swap"]})
    asked = [*scored_models(run), *all_manifests(run), *model_cards(run).items(), *measured_artefacts(run).values()]
    assert "overlap" not in str(asked)
    whole = configured()
    gone = set(scored_models(whole)) - set(scored_models(run))
    assert gone == {f"{pair}/{v}/overlap" for pair, v in propagated(whole)}


def test_published_donors_pack_no_text() -> None:
    run = configured("paper", donor="published")
    assert measured_artefacts(run)["packing"] == {}
    assert not [manifest for manifest in all_manifests(run) if "/packed/" in manifest]
    assert len(measured_artefacts(run)["pretraining"]) == len(adapted(run))


def test_one_job_scores_a_stage_or_one_model_on_one_group() -> None:
    assert evaluation_parts(configured(), "llama", "bpe", "propagation") == []
    run = configured("paper")
    parts = evaluation_parts(run, "llama", "bpe", "propagation")
    assert len(parts) == len(set(parts)) == len(run.methods) * len(GROUPS)
    assert parts[0] == run.manifest("evaluation_parts/llama/bpe/propagation/llama--bpe--swap", next(iter(GROUPS)))


@pytest.mark.parametrize("scale", ["ci", "paper"])
def test_a_part_reads_a_model_folder(scale: str) -> None:
    """A calibrated model is an adapter, and is merged before a part of an evaluation reads it."""
    run = configured(scale)
    for place in evaluations(run):
        for name, manifest in evaluated_models(run, *place).items():
            read = evaluated_input(run, *place, path_key(name))
            parts = name.split("/")
            assert read == (run.merged(*parts) if place[-1] == "calibration" else manifest)


@scales
def test_sampled_models_are_scored_ones(scale: str) -> None:
    run = configured(scale)
    shown = sampled_models(run)
    assert bool(shown) == run.is_benchmarked
    manifests = {folder_of(manifest) for manifest in all_manifests(run)}
    for family, models in shown.items():
        assert [model["label"] for model in models] == ["original", "LEP", "LEP + calibration"]
        assert {model["name"] for model in models} <= set(scored_models(run))
        assert {model["path"] for model in models} <= manifests
        assert models[0]["name"] == f"{family}/instruct"


def test_learning_rates_are_runs_by_value() -> None:
    sweep = {"runs": ["llama/bpe"], "learning_rates": [0.0002, 2e-4, 0.001], "share": 0.2}
    run: Run = configured(pretraining={"sweep": sweep})
    assert sweep_runs(run) == {
        "llama/bpe": {
            rate: f"results/mini/sweep/llama/bpe/{rate}/manifest.json" for rate in ("0.0002", "0.001")
        }
    }  # fmt: skip


@scales
def test_vocabularies_are_measured_with_the_original_ones(scale: str) -> None:
    run = configured(scale)
    found = vocabularies(run)
    assert set(found) == {f"{f}/{v}" for f in run.families for v in ("original", *run.families[f]["vocabularies"])}
    assert len(set(found.values())) == len(found)
