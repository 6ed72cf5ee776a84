"""Settings of the expensive jobs: each is written as JSON before its job starts, and is all that the job is told.

`JOBS` maps a rule to the function that gives the settings of its job, from the wildcards of its target in their order.
"""

import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from darumeru.specs import GROUPS, SPECS

from lep.names import CALIBRATIONS, family_of
from lep.workflow.models import (
    calibration_parent,
    evaluated_input,
    evaluated_models,
    evaluation_part,
    models_of_vocabulary,
    path_key,
    sampled_models,
)
from lep.workflow.run import Run, folder_of
from lep.workflow.sources import published_donor

# The library module that an expensive rule runs; its RECIPE_VERSION decides whether finished jobs are repeated.
MODULES = {
    "train_stand_in": "lep.stand_ins.train",
    "adopt_donor": "lep.pretraining.adopt",
    "pretrain": "lep.pretraining.pretrain",
    "pretrain_direct": "lep.pretraining.pretrain",
    "pretrain_sweep": "lep.pretraining.pretrain",
    "answer_prompts": "lep.calibration.answers",
    "grade_answers": "lep.calibration.grades",
    "calibrate": "lep.calibration.calibrate",
    "tune_instruct": "lep.calibration.calibrate",
    "evaluate": "lep.evaluation.evaluate",
    "evaluate_part": "lep.evaluation.evaluate",
    "measure_language": "lep.evaluation.language",
    "sample_answers": "lep.evaluation.sample_answers",
}
Settings = dict[str, object]


def recipe_version(root: Path, module: str) -> int:
    """RECIPE_VERSION of a library module, read without importing it (torch takes seconds)."""
    text = root.joinpath("scripts", *module.split(".")).with_suffix(".py").read_text(encoding="utf-8")
    return int(re.search(r"^RECIPE_VERSION = (\d+)$", text, re.MULTILINE)[1])


def job_settings(run: Run, rule: str, *target: str) -> Settings:
    """The settings of one job of an expensive rule."""
    return JOBS[rule](run, *target) | {"recipe_version": recipe_version(run.root, MODULES[rule])}


def forget_progress(run: Run, rule: str, written: str) -> None:
    """Delete what a job keeps of its progress, so that it begins anew; `written` is the file of its settings."""
    target = Path(written).relative_to(f"{run.trained}/jobs/{rule}").with_suffix("").parts
    if work := job_settings(run, rule, *target).get("work"):
        shutil.rmtree(run.root / str(work), ignore_errors=True)


def _compute(run: Run) -> Settings:
    """Placement and seed, which most jobs take."""
    return {key: run.config["compute"][key] for key in ("threads", "device", "dtype")} | {"seed": run.seed}


def _train_stand_in(run: Run, family: str, role: str) -> Settings:
    """A further instruct model differs in seed, steps, share of Russian and kinds of instructions."""
    settings, own = run.config["stand_in_training"], family_of(family)
    further = settings["further_instruct"]
    stand_in = f"{run.results}/stand_ins/{own}"
    return {
        "family": own,
        "role": role,
        "parent": f"{stand_in}/base" if role == "instruct" else None,
        "corpus": run.documents("train"),
        "tokenizer": f"{stand_in}/tokenizer",
        "output": folder_of(run.manifest("stand_ins", family, role)),
        "work": run.work("stand_ins", family, role),
        "russian": settings["russian_share"][role],
        **{key: settings[key][role] for key in ("steps", "long_share", "learning_rate")},
        "seed": run.config["seed"],
        "threads": run.config["compute"]["threads"],
        **(further | {"steps": further["steps"][own]} if own != family else {}),
    }


def _pretrain(run: Run, family: str, vocabulary: str) -> Settings:
    rate = run.families[family]["learning_rate"]
    return _training(run, family, vocabulary, rate, share=1.0) | {
        "models": f"{run.trained}/models/{family}/{vocabulary}",
        "work": run.work("pretrain", family, vocabulary),
        "output": folder_of(run.of_seed("pretraining", family, vocabulary)),
        "fractions": run.config["pretraining"]["fractions"],
    }


def _pretrain_direct(run: Run, family: str, vocabulary: str) -> Settings:
    """The training of `pretrain` with the instruct model instead of the base; only its last checkpoint is kept."""
    models = folder_of(run.model(family, vocabulary, "on_instruct", "cpt-100"))
    return _pretrain(run, family, vocabulary) | {
        "model": folder_of(run.model(family, vocabulary, "on_instruct", "init")),
        "models": str(Path(models).parent),
        "work": run.work("direct", family, vocabulary),
        "output": folder_of(run.of_seed("direct", family, vocabulary)),
        "fractions": [1.0],
    }


def _pretrain_sweep(run: Run, family: str, vocabulary: str, rate: str) -> Settings:
    """A shorter run whose only checkpoint is scored and not kept."""
    share = run.config["pretraining"]["sweep"]["share"]
    return _training(run, family, vocabulary, float(rate), share) | {
        "work": run.work("sweep", family, vocabulary, rate),
        "output": folder_of(run.manifest("sweep", family, vocabulary, rate)),
        "fractions": [1.0],
    }


def _training(run: Run, family: str, vocabulary: str, learning_rate: float, share: float) -> Settings:
    settings = run.config["pretraining"]
    same = ("batch_size", "warmup_steps", "weight_decay", "packing", "float32_weights")
    or_none = ("max_steps", "token_budget", "head_learning_rate")  # 0 in the configuration: not set
    execution = ("micro_batch_size", "attention", "compile", "activation_checkpointing")
    return _compute(run) | {
        "model": folder_of(run.model(family, vocabulary, "init")),
        "data": folder_of(run.manifest("packed", family, vocabulary)),
        "validation": run.documents("validation"),
        "optimisation": {key: settings[key] for key in same}
        | {key: settings[key] or None for key in or_none}
        | {"learning_rate": learning_rate, "share": share},
        "execution": {key: settings[key] for key in execution},
        "validation_recipe": _validation_recipe(run),
        "log_steps": settings["log_steps"],
        "save_steps": settings["save_steps"],
    }


def _validation_recipe(run: Run) -> Settings:
    settings = run.config["pretraining"]
    return {
        "languages": list(run.languages),
        "characters": settings["validation_characters"],
        "window": settings["block_size"],
        "seed": run.config["seed"],
    }


def _adopt_donor(run: Run, family: str, vocabulary: str) -> Settings:
    settings = run.config["pretraining"]
    reference = run.families[family]["published_donors"][vocabulary]
    return _compute(run) | {
        "model": folder_of(run.model(family, vocabulary, "init")),
        "base": folder_of(run.model(family, "base")),
        "donor": folder_of(published_donor(run, family, vocabulary)),
        "models": f"{run.trained}/models/{family}/{vocabulary}",
        "output": folder_of(run.of_seed("pretraining", family, vocabulary)),
        "validation": run.documents("validation"),
        "validation_recipe": _validation_recipe(run),
        "steps": reference.get("steps", 0),
        "tokens_per_step": settings["batch_size"] * settings["block_size"],
    }


def _answer_prompts(run: Run, family: str) -> Settings:
    settings = run.config["calibration"]
    same = ("prompts", "max_new_tokens", "batch_size", "backend", "max_prompt_tokens")
    return (
        _compute(run)
        | {key: settings["answers"][key] for key in same}
        | {
            "model": folder_of(run.model(family, "instruct")),
            "instructions": folder_of(run.instructions),
            "work": run.work("answers", family),
            "output": folder_of(run.of_seed("answers", family)),
        }
    )


def judge_settings(run: Run) -> Settings:
    """The judge, as `lep.calibration.judge` takes it."""
    same = ("backend", "endpoint", "model", "parallel", "maximum_failed_share")
    return {key: run.config["calibration"]["judge"][key] for key in same}


def _grade_answers(run: Run, family: str) -> Settings:
    return {
        "answers": folder_of(run.of_seed("answers", family)),
        "judge": judge_settings(run),
        "work": run.work("grades", family),
        "output": folder_of(run.of_seed("grades", family)),
        "seed": run.seed,
        **{key: run.config["compute"][key] for key in ("threads", "device")},
    }


def _calibrate(run: Run, family: str, vocabulary: str, parent: str, calibration: str) -> Settings:
    recipe = run.config["calibration"]["recipes"][CALIBRATIONS[calibration].recipe]
    data = f"{run.trained}/calibration_data/{family}/{calibration}"
    return _tuning(run, data, recipe) | {
        "parent": folder_of(calibration_parent(run, family, vocabulary, parent)),
        "work": run.work("calibrate", family, vocabulary, parent, calibration),
        "output": folder_of(run.calibrated(family, vocabulary, parent, calibration)),
    }


def _tune_instruct(run: Run, family: str) -> Settings:
    data = folder_of(run.manifest("instruct", "data"))
    return _tuning(run, data, run.config["instruct_tuning"]["recipe"]) | {
        "parent": folder_of(run.model(family, "base")),
        "work": run.work("instruct", family),
        "output": folder_of(run.manifest("instruct", family, "tuned")),
    }


def _tuning(run: Run, data: str, recipe: Mapping) -> Settings:
    lora = ("rank", "alpha", "layers", "targets", "full")
    return _compute(run) | {
        "data": f"{data}/train.jsonl",
        "validation": f"{data}/validation.jsonl",
        "lora": {key: recipe[key] for key in lora},
        "tuning": {key: value for key, value in recipe.items() if key not in lora},
    }


def _evaluate(run: Run, family: str, vocabulary: str, stage: str) -> Settings:
    settings = run.config["evaluation"]
    shots = "foundation" if stage in ("foundation", "pretraining") else "instruct"
    same = ("backend", "batch_size", "max_prompt_tokens", "max_model_tokens", "limit", "bootstrap_draws")
    models = evaluated_models(run, family, vocabulary, stage)
    return (
        _compute(run)
        | {key: settings[key] for key in same}
        | {
            "tasks": list(SPECS),
            "models": [{"name": name, "path": folder_of(manifest)} for name, manifest in models.items()],
            "shots": settings["shots"][shots],
            "chat": shots == "instruct",
            "data": folder_of(run.benchmark),
            "generation": settings["generation"] | {"max_new_tokens": settings["max_new_tokens"]},
            "work": run.work("evaluate", family, vocabulary, stage),
            "output": folder_of(run.evaluation(family, vocabulary, stage)),
        }
    )


def _evaluate_part(run: Run, family: str, vocabulary: str, stage: str, key: str, group: str) -> Settings:
    """One model on one group of tasks; a calibrated model is read from its merged folder."""
    name = next(name for name in evaluated_models(run, family, vocabulary, stage) if path_key(name) == key)
    read = evaluated_input(run, family, vocabulary, stage, key)
    return _evaluate(run, family, vocabulary, stage) | {
        "models": [{"name": name, "path": read if stage == "calibration" else folder_of(read)}],
        "tasks": list(GROUPS[group]),
        "work": run.work("evaluate", family, vocabulary, stage, key, group),
        "output": folder_of(evaluation_part(run, family, vocabulary, stage, key, group)),
    }


def _measure_language(run: Run, family: str, vocabulary: str) -> Settings:
    settings = run.config["evaluation"]["language"]
    found = models_of_vocabulary(run, family, vocabulary)
    return _compute(run) | {
        "models": [{"name": name, "path": folder_of(manifest)} for name, manifest in found.items()],
        "validation": run.documents("validation"),
        "recipe": _validation_recipe(run) | {"characters": settings["characters"]},
        **{key: settings[key] for key in ("rankings", "speed_tokens")},
        "work": run.work("language", family, vocabulary),
        "output": folder_of(run.of_seed("language", family, vocabulary)),
    }


def _sample_answers(run: Run, name: str) -> Settings:
    """The same prompts for the original model, after LEP, and after calibration (Figure 3)."""
    settings = run.config["report"]["samples"]
    return _compute(run) | {
        "families": [{"family": family, "models": models} for family, models in sampled_models(run).items()],
        "instructions": folder_of(run.instructions),
        "prompts": settings["prompts"],
        "max_new_tokens": settings["max_new_tokens"],
        "output": f"{run.results}/{name}.jsonl",
    }


JOBS: dict[str, Callable[..., Settings]] = {
    "train_stand_in": _train_stand_in,
    "adopt_donor": _adopt_donor,
    "pretrain": _pretrain,
    "pretrain_direct": _pretrain_direct,
    "pretrain_sweep": _pretrain_sweep,
    "answer_prompts": _answer_prompts,
    "grade_answers": _grade_answers,
    "calibrate": _calibrate,
    "tune_instruct": _tune_instruct,
    "evaluate": _evaluate,
    "evaluate_part": _evaluate_part,
    "measure_language": _measure_language,
    "sample_answers": _sample_answers,
}
