"""What the calibration is told."""

ANSWER_ENV = (
    "../envs/vllm.yaml"
    if config["calibration"]["answers"]["backend"] == "vllm"
    else "../envs/train.yaml"
)


def instructions():
    """The manifest of the instruction data set: made from the corpus, or fetched from the hub."""
    made = config["calibration"]["source"] == "made"
    return (
        f"{RESULTS}/instructions/manifest.json"
        if made
        else f"{RESULTS}/sources/datasets/instructions/manifest.json"
    )


def local_judge():
    """The configuration of a judge that is a model folder; nothing for other judges."""
    judge = config["calibration"]["judge"]
    return f"{judge['model']}/config.json" if judge["backend"] == "local" else []


def merged(family, vocabulary, parent, calibration):
    """The ordinary model folder of a calibrated model, there for as long as a job needs it."""
    return f"{RESULTS}/merged/{family}/{vocabulary}/{parent}/{calibration}"


def parent_model(family, vocabulary, parent):
    """The model that a calibration starts from."""
    return (
        model(family, "instruct")
        if vocabulary == "original"
        else model(family, vocabulary, parent)
    )


def answer_job(family):
    settings = config["calibration"]["answers"]
    judge = {
        key: config["calibration"]["judge"][key]
        for key in ("backend", "endpoint", "model", "parallel")
    }
    return compute("answers") | {
        "model": folder(model(family, "instruct")),
        "instructions": folder(instructions()),
        "prompts": settings["prompts"],
        "max_new_tokens": settings["max_new_tokens"],
        "batch_size": settings["batch_size"],
        "backend": settings["backend"],
        "max_prompt_tokens": settings["max_prompt_tokens"],
        "judge": judge,
        "work": work("answers", family),
        "output": f"{RESULTS}/answers/{family}",
    }


def calibration_recipe(wildcards):
    settings = config["calibration"]
    return {
        "kind": wildcards.calibration,
        "copy_examples": settings["copy_examples"].get(wildcards.calibration, 0),
        "copy_instruction": settings["copy_instruction"],
        "copy_characters": settings["copy_characters"],
        "copy_domains": settings["copy_domains"],
        "copy_language": next(iter(LANGUAGES)),
        "reserve": config["pretraining"]["reserve"],
        "minimum_score": settings["minimum_score"],
        "minimum_grade": settings["judge"]["minimum_grade"],
        "validation_percent": settings["validation_percent"],
        "seed": config["seed"],
    }


def calibrate_job(family, vocabulary, parent, calibration):
    recipe = config["calibration"]["recipes"][
        "self" if calibration == "self" else "saiga"
    ]
    data = f"{RESULTS}/calibration_data/{family}/{calibration}"
    lora = ("rank", "alpha", "layers", "targets", "full")
    tuning = {key: value for key, value in recipe.items() if key not in lora}
    return compute("calibrate") | {
        "parent": folder(parent_model(family, vocabulary, parent)),
        "data": f"{data}/train.jsonl",
        "validation": f"{data}/validation.jsonl",
        "work": work("calibrate", family, vocabulary, parent, calibration),
        "output": folder(calibrated(family, vocabulary, parent, calibration)),
        "lora": {key: recipe[key] for key in lora},
        "tuning": tuning,
    }
