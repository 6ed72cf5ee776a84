"""Settings of the expensive jobs: each is what its module takes, and no two jobs share a place."""

import importlib
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from darumeru.specs import GROUPS, SPECS
from fixtures.configuration import SCALES, configuration, configured
from lep.calibration.answers import AnswerJob
from lep.calibration.calibrate import CalibrateJob
from lep.calibration.grades import GradeJob
from lep.config import UserError, parse_job
from lep.evaluation.harness import EvaluateJob
from lep.evaluation.language import LanguageJob
from lep.evaluation.sample_answers import SampleJob
from lep.pretraining.adopt import AdoptJob
from lep.pretraining.pretrain import PretrainJob
from lep.stand_ins.train import ARCHITECTURES, StandInJob
from lep.workflow.jobs import JOBS, MODULES, job_settings, recipe_version
from lep.workflow.models import (
    adapted,
    all_manifests,
    calibrations,
    controls,
    evaluated_models,
    evaluations,
    path_key,
    sweep_runs,
)
from lep.workflow.run import Run, folder_of

ROOT = Path(__file__).parents[3]
CLASSES = {
    "train_stand_in": StandInJob,
    "adopt_donor": AdoptJob,
    "pretrain": PretrainJob,
    "pretrain_direct": PretrainJob,
    "pretrain_sweep": PretrainJob,
    "answer_prompts": AnswerJob,
    "grade_answers": GradeJob,
    "calibrate": CalibrateJob,
    "tune_instruct": CalibrateJob,
    "evaluate": EvaluateJob,
    "evaluate_part": EvaluateJob,
    "measure_language": LanguageJob,
    "sample_answers": SampleJob,
}
WITH_PUBLISHED_DONORS = "paper, published donors"


def run_of(scale: str) -> Run:
    return configured("paper", donor="published") if scale == WITH_PUBLISHED_DONORS else configured(scale)


def targets(run: Run) -> Iterator[tuple[str, ...]]:
    """Rule and wildcards of every expensive job that the run can have."""
    for family in run.families:
        yield from (("answer_prompts", family), ("grade_answers", family))
        yield from (("calibrate", family, *calibration) for calibration in calibrations(run, family))
        if family in ARCHITECTURES:
            yield from (("train_stand_in", family, role) for role in ("base", "instruct"))
    for family, vocabulary in adapted(run):
        yield "adopt_donor" if run.adopts_donors else "pretrain", family, vocabulary
        if "direct" in controls(run, family, vocabulary):
            yield "pretrain_direct", family, vocabulary
    for name, rates in sweep_runs(run).items():
        yield from (("pretrain_sweep", *name.split("/"), rate) for rate in rates)
    yield from (("tune_instruct", family) for family in run.families if run.tunes_instruct(family))
    for place in evaluations(run):
        yield "evaluate", *place
        if run.config["evaluation"]["jobs"] == "group":
            for name in evaluated_models(run, *place):
                yield from (("evaluate_part", *place, path_key(name), group) for group in GROUPS)
    if run.config["evaluation"]["language"]["characters"]:
        yield from (
            ("measure_language", family, v) for family, v in [*adapted(run), *((f, "original") for f in run.families)]
        )
    yield "sample_answers", "samples"


scales = pytest.mark.parametrize("scale", [*SCALES, WITH_PUBLISHED_DONORS])


@scales
def test_every_job_is_one_of_its_module(scale: str) -> None:
    """Written as JSON and read again, with no key too many or of another type."""
    run = run_of(scale)
    for rule, *target in targets(run):
        settings = json.loads(json.dumps(job_settings(run, rule, *target)))
        job = parse_job(CLASSES[rule], settings, f"{rule} {target}")
        assert job.recipe_version == importlib.import_module(MODULES[rule]).RECIPE_VERSION
        assert job.seed == run.config["seed"]


def test_every_rule_was_asked() -> None:
    runs = [run_of(scale) for scale in ("mini", "ci", "laptop", "paper", WITH_PUBLISHED_DONORS)]
    assert {rule for run in runs for rule, *_ in targets(run)} == JOBS.keys() == MODULES.keys() == CLASSES.keys()


def test_an_unknown_key_is_refused() -> None:
    settings = job_settings(configured(), "calibrate", "llama", "extended", "conversion", "self")
    with pytest.raises(UserError, match="  rnak: "):
        parse_job(CalibrateJob, settings | {"rnak": 8}, "here")


@scales
def test_a_further_seed_writes_into_its_folder_and_names_its_seed(scale: str) -> None:
    run = replace(run_of(scale), config=run_of(scale).config | {"seeds": 2})
    _, further = run.repeats
    shared = {"train_stand_in", "tune_instruct", "measure_language", "pretrain_sweep", "sample_answers"}
    of_sources = [
        target for target in targets(run) if "evaluate" in target[0] and target[3] in ("foundation", "instruct")
    ]
    repeated = [target for target in targets(run) if target[0] not in shared and target not in of_sources]
    assert {rule for rule, *_ in repeated} & {"pretrain", "adopt_donor"}
    for target in repeated:
        settings = job_settings(further, *target)
        assert settings["seed"] == 43
        for key in ("output", "models", "work"):
            given = settings.get(key, [])
            for path in [given] if isinstance(given, str) else [model["path"] for model in given]:
                assert path.startswith(f"{run.results}/seed-43/"), (target, key)


@scales
def test_no_two_jobs_write_to_one_place(scale: str) -> None:
    run = run_of(scale)
    jobs = [job_settings(run, *target) for target in targets(run)]
    outputs = [job["output"] for job in jobs]
    assert len(outputs) == len(set(outputs))
    works = [job["work"] for job in jobs if "work" in job]
    assert len(works) == len(set(works))
    assert all(work.startswith(f"{run.results}/work/") for work in works)


@scales
def test_outputs_are_what_the_graph_expects(scale: str) -> None:
    run = run_of(scale)
    expected = {folder_of(manifest) for manifest in all_manifests(run)}
    for rule, *target in targets(run):
        if rule in ("pretrain", "adopt_donor", "calibrate", "evaluate"):
            assert job_settings(run, rule, *target)["output"] in expected


@scales
def test_models_are_evaluated_by_their_folders(scale: str) -> None:
    run = run_of(scale)
    folders = {folder_of(manifest) for manifest in all_manifests(run)}
    for place in evaluations(run):
        job = job_settings(run, "evaluate", *place)
        assert [model["name"] for model in job["models"]] == list(evaluated_models(run, *place))
        assert {model["path"] for model in job["models"]} <= folders
        assert (job["tasks"], job["chat"]) == (list(SPECS), place[-1] not in ("foundation", "pretraining"))
        assert job["shots"] == run.config["evaluation"]["shots"]["instruct" if job["chat"] else "foundation"]


def test_parts_of_an_evaluation_differ_from_the_whole_in_model_tasks_and_places() -> None:
    run = configured("paper")
    place = ("llama", "extended", "calibration")
    whole = job_settings(run, "evaluate", *place)
    part = job_settings(run, "evaluate_part", *place, "llama--extended--conversion--self", "daru_sum")
    assert {key for key in whole if whole[key] != part[key]} == {"models", "tasks", "work", "output"}
    assert part["tasks"] == list(GROUPS["daru_sum"])
    merged = run.merged("llama", "extended", "conversion", "self")
    assert part["models"] == [{"name": "llama/extended/conversion/self", "path": merged}]


def test_the_sweep_is_a_shorter_training() -> None:
    run = configured("paper")
    whole = job_settings(run, "pretrain", "llama", "extended")
    tried = job_settings(run, "pretrain_sweep", "llama", "extended", "2e-05")
    assert {key for key in whole if whole[key] != tried.get(key)} == {
        "models", "optimisation", "work", "output", "fractions",
    }  # fmt: skip
    assert tried["optimisation"] == whole["optimisation"] | {"learning_rate": 0.00002, "share": 0.2}
    assert tried["fractions"] == [1.0]


def test_the_control_direct_is_the_donor_s_training_on_the_instruct_model() -> None:
    """The same data, steps, rate and seed: nothing but the model and its places differs, and one checkpoint is kept."""
    run = configured()
    donor, direct = (job_settings(run, rule, "llama", "extended") for rule in ("pretrain", "pretrain_direct"))
    differing = {key for key in donor if donor[key] != direct[key]}
    assert differing == {"model", "models", "work", "output", "fractions"}
    assert direct["model"] == "results/mini/models/llama/extended/on_instruct/init"
    assert direct["fractions"] == [1.0]


def test_zero_is_not_set() -> None:
    optimisation = job_settings(configured(), "pretrain", "llama", "bpe")["optimisation"]
    assert (optimisation["max_steps"], optimisation["token_budget"], optimisation["head_learning_rate"]) == (
        120, None, None,
    )  # fmt: skip
    limited = configured(pretraining={"max_steps": 0, "token_budget": 7, "head_learning_rate": 0.1})
    optimisation = job_settings(limited, "pretrain", "llama", "bpe")["optimisation"]
    assert (optimisation["max_steps"], optimisation["token_budget"], optimisation["head_learning_rate"]) == (
        None, 7, 0.1,
    )  # fmt: skip


@pytest.mark.parametrize(("calibration", "recipe"), [("self", "self"), ("saiga", "saiga"), ("saiga_copy", "saiga")])
def test_a_calibration_follows_its_recipe(calibration: str, recipe: str) -> None:
    run = configured()
    job = job_settings(run, "calibrate", "llama", "extended", "conversion", calibration)
    assert job["lora"] | job["tuning"] == run.config["calibration"]["recipes"][recipe]
    assert job["data"] == f"results/mini/calibration_data/llama/{calibration}/train.jsonl"


def test_a_stand_in_for_an_instruct_starts_from_its_base() -> None:
    run = configured()
    base, instruct = (job_settings(run, "train_stand_in", "llama", role) for role in ("base", "instruct"))
    assert (base["parent"], instruct["parent"]) == (None, base["output"])
    assert [job["steps"] for job in (base, instruct)] == list(run.config["stand_in_training"]["steps"].values())
    assert base["russian"] < instruct["russian"]


def test_a_further_stand_in_is_another_training_on_the_same_base() -> None:
    run = configured()
    first, second = (job_settings(run, "train_stand_in", name, "instruct") for name in ("llama", "llama@second"))
    differing = {key for key in first | second if first.get(key) != second.get(key)}
    assert differing == {"seed", "steps", "russian", "kinds", "output", "work"}
    assert second["output"] == "results/mini/stand_ins/llama@second/instruct"
    assert second["steps"] == run.config["stand_in_training"]["further_instruct"]["steps"]["llama"]
    parse_job(StandInJob, second, "second")


def test_a_calibration_of_a_further_instruct_starts_from_its_own_model() -> None:
    tuned = [{"vocabulary": "extended", "calibrations": ["self"]}]
    families = configuration()["families"]
    families[1]["instructs"][0] |= {"calibrated": tuned, "controls": ["saiga"]}
    run = configured(families=families)
    job = job_settings(run, "calibrate", "llama@second", "extended", "conversion", "self")
    assert job["parent"] == "results/mini/models/llama@second/extended/conversion"
    assert job["data"] == "results/mini/calibration_data/llama@second/self/train.jsonl"
    assert job_settings(run, "answer_prompts", "llama@second")["model"] == "results/mini/models/llama@second/instruct"
    control = job_settings(run, "calibrate", "llama@second", "original", "instruct", "saiga")
    assert control["parent"] == "results/mini/models/llama@second/instruct"


def test_a_job_depends_on_the_version_of_its_module(tmp_path: Path) -> None:
    module = tmp_path / "scripts/lep/pretraining/pretrain.py"
    module.parent.mkdir(parents=True)
    module.write_text("import torch\n\nRECIPE_VERSION = 41\n", encoding="utf-8")
    assert recipe_version(tmp_path, "lep.pretraining.pretrain") == 41
    run = Run(configured().config, tmp_path)
    assert job_settings(run, "pretrain", "llama", "bpe")["recipe_version"] == 41


@pytest.mark.parametrize("module", sorted(set(MODULES.values())))
def test_expensive_modules_state_their_version_once(module: str) -> None:
    text = ROOT.joinpath("scripts", *module.split(".")).with_suffix(".py").read_text(encoding="utf-8")
    assert len(re.findall(r"^RECIPE_VERSION = \d+$", text, re.MULTILINE)) == 1
