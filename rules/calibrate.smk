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
        judge=local_judge(),
    output:
        manifest=f"{RESULTS}/answers/{{family}}/manifest.json",
    log:
        logs("answer_prompts/{family}"),
    benchmark:
        times("answer_prompts/{family}")
    conda:
        ANSWER_ENV
    threads: COMPUTE["threads"]
    resources:
        gpu=min(1, COMPUTE["gpus_per_job"]),
        mem_mb=COMPUTE["memory_mb"],
        runtime=COMPUTE["runtime_minutes"],
    message:
        "Answering and grading prompts with {wildcards.family}/instruct"
    shell:
        "exec python -m lep.compute.place --gpus {resources.gpu} lep.calibration.answers --config {input.job} > {log} 2>&1"


rule make_calibration_data:
    input:
        instructions=instructions(),
        answers=lambda wildcards: (
            f"{RESULTS}/answers/{wildcards.family}/manifest.json"
            if wildcards.calibration == "self"
            else []
        ),
        documents=documents("train"),
        benchmark=benchmark_data(),
    output:
        manifest=f"{RESULTS}/calibration_data/{{family}}/{{calibration}}/manifest.json",
        train=f"{RESULTS}/calibration_data/{{family}}/{{calibration}}/train.jsonl",
        validation=f"{RESULTS}/calibration_data/{{family}}/{{calibration}}/validation.jsonl",
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
        validation=rules.make_calibration_data.output.validation,
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
        nodes=1,
        mem_mb=COMPUTE["memory_mb"],
        runtime=COMPUTE["runtime_minutes"],
        # No parameter: a finished run is not repeated for it.
        minutes=config["pretraining"]["chunk_minutes"],
    message:
        "Calibrating {wildcards.family}/{wildcards.vocabulary} with {wildcards.calibration}"
    shell:
        "exec python -m lep.compute.place --gpus {resources.gpu} lep.calibration.calibrate --config {input.job} --minutes {resources.minutes} > {log} 2>&1"


rule merge_calibrated:
    input:
        manifest=calibrated("{family}", "{vocabulary}", "{parent}", "{calibration}"),
        parent=lambda wildcards: parent_model(
            wildcards.family, wildcards.vocabulary, wildcards.parent
        ),
    output:
        folder=temp(
            directory(merged("{family}", "{vocabulary}", "{parent}", "{calibration}"))
        ),
    log:
        logs("merge_calibrated/{family}/{vocabulary}/{parent}/{calibration}"),
    benchmark:
        times("merge_calibrated/{family}/{vocabulary}/{parent}/{calibration}")
    conda:
        "../envs/train.yaml"
    threads: COMPUTE["threads"]
    resources:
        mem_mb=COMPUTE["memory_mb"],
        runtime=COMPUTE["runtime_minutes"],
    params:
        calibrated=lambda wildcards, input: folder(input.manifest),
    message:
        "Merging {wildcards.family}/{wildcards.vocabulary} with its {wildcards.calibration}"
    shell:
        "python -m lep.models.adapter --merge {params.calibrated} --out {output.folder} > {log} 2>&1"
