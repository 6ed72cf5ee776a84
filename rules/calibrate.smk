"""Calibration of the propagated models, with the original instruct models as controls (paper sections 2.4.2, 2.4.3)."""


rule make_instructions:
    input:
        documents=documents("train"),
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
        "python -m lep.answers --config {input.job} > {log} 2>&1"


rule make_calibration_data:
    input:
        instructions=instructions(),
        answers=lambda wildcards: (
            f"{RESULTS}/answers/{wildcards.family}/manifest.json"
            if wildcards.calibration == "self"
            else []
        ),
        documents=documents("train"),
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
    params:
        launcher=LAUNCHER,
    message:
        "Calibrating {wildcards.family}/{wildcards.vocabulary} with {wildcards.calibration}"
    shell:
        "python -m {params.launcher} lep.calibrate --config {input.job} > {log} 2>&1"
