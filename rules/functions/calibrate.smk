"""What the calibration is told."""


def instructions():
    """The manifest of the instruction data set: made from the corpus, or fetched from the hub."""
    made = config["calibration"]["source"] == "made"
    return (
        f"{RESULTS}/instructions/manifest.json"
        if made
        else f"{RESULTS}/sources/datasets/instructions/manifest.json"
    )


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
        for key in ("backend", "endpoint", "model")
    }
    return compute("answers") | {
        "model": folder(model(family, "instruct")),
        "instructions": folder(instructions()),
        "prompts": settings["prompts"],
        "max_new_tokens": settings["max_new_tokens"],
        "batch_size": settings["batch_size"],
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
        "reserve": config["pretraining"]["reserve"],
        "minimum_score": settings["minimum_score"],
        "minimum_grade": settings["judge"]["minimum_grade"],
        "seed": config["seed"],
    }


def calibrate_job(family, vocabulary, parent, calibration):
    recipe = config["calibration"]["recipes"][
        "self" if calibration == "self" else "saiga"
    ]
    lora = ("rank", "alpha", "layers", "targets", "full")
    tuning = {key: value for key, value in recipe.items() if key not in lora}
    return compute("calibrate") | {
        "parent": folder(parent_model(family, vocabulary, parent)),
        "data": f"{RESULTS}/calibration_data/{family}/{calibration}/train.jsonl",
        "work": work("calibrate", family, vocabulary, parent, calibration),
        "output": folder(calibrated(family, vocabulary, parent, calibration)),
        "lora": {key: recipe[key] for key in lora},
        "tuning": tuning,
    }
