"""Calibration of the propagated models, with the original instruct models as controls (paper sections 2.4.2, 2.4.3)."""


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


rule make_instructions:
    input:
        documents=documents("train"),
        code=library("instructions"),
    output:
        manifest=f"{RESULTS}/instructions/manifest.json",
    log:
        logs("make_instructions"),
    benchmark:
        times("make_instructions")
    conda:
        "../envs/train.yaml"
    params:
        recipe={
            "records": config["calibration"]["instructions"],
            "seed": config["seed"],
        },
    message:
        "Making the stand-in instruction data set"
    script:
        "../scripts/make_instructions.py"


rule answer_prompts:
    input:
        job=job_file("answers", "{family}"),
        model=model("{family}", "instruct"),
        instructions=instructions(),
    output:
        manifest=f"{RESULTS}/answers/{{family}}/manifest.json",
    log:
        logs("answer_prompts/{family}"),
    benchmark:
        times("answer_prompts/{family}")
    conda:
        "../envs/train.yaml"
    threads: COMPUTE["threads"]
    resources:
        gpu=min(1, COMPUTE["gpus_per_job"]),
        mem_mb=COMPUTE["memory_mb"],
        runtime=COMPUTE["runtime_minutes"],
    message:
        "Answering and grading prompts with {wildcards.family}/instruct"
    shell:
        "{PYTHON} -m lep.answers --config {input.job} > {log} 2>&1"


rule make_calibration_data:
    input:
        instructions=instructions(),
        answers=lambda wildcards: (
            f"{RESULTS}/answers/{wildcards.family}/manifest.json"
            if wildcards.calibration == "self"
            else []
        ),
        documents=documents("train"),
        code=library("calibration_data"),
    output:
        manifest=f"{RESULTS}/calibration_data/{{family}}/{{calibration}}/manifest.json",
        train=f"{RESULTS}/calibration_data/{{family}}/{{calibration}}/train.jsonl",
    log:
        logs("make_calibration_data/{family}/{calibration}"),
    benchmark:
        times("make_calibration_data/{family}/{calibration}")
    conda:
        "../envs/train.yaml"
    params:
        recipe=calibration_recipe,
    message:
        "Making the data of {wildcards.calibration} for {wildcards.family}"
    script:
        "../scripts/make_calibration_data.py"


rule calibrate:
    input:
        job=job_file(
            "calibrate", "{family}", "{vocabulary}", "{parent}", "{calibration}"
        ),
        parent=lambda wildcards: parent_model(
            wildcards.family, wildcards.vocabulary, wildcards.parent
        ),
        data=rules.make_calibration_data.output.train,
    output:
        manifest=calibrated("{family}", "{vocabulary}", "{parent}", "{calibration}"),
    log:
        logs("calibrate/{family}/{vocabulary}/{parent}/{calibration}"),
    benchmark:
        times("calibrate/{family}/{vocabulary}/{parent}/{calibration}")
    conda:
        "../envs/train.yaml"
    threads: COMPUTE["threads"]
    resources:
        gpu=COMPUTE["gpus_per_job"],
        mem_mb=COMPUTE["memory_mb"],
        runtime=COMPUTE["runtime_minutes"],
    message:
        "Calibrating {wildcards.family}/{wildcards.vocabulary} with {wildcards.calibration}"
    shell:
        "{TRAIN} lep.calibrate --config {input.job} > {log} 2>&1"
