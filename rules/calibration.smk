"""Calibration of the propagated models, with the original instruct models as controls (paper sections 2.4.2, 2.4.3)."""

CALIBRATION = config["calibration"]
USES_VLLM = CALIBRATION["answers"]["backend"] == "vllm"
JUDGE = CALIBRATION["judge"]
JUDGE_IS_FOLDER = JUDGE["backend"] == "local"  # else grading needs no GPU


rule make_instructions:
    input:
        documents="<results>/corpus/train.jsonl",
    output:
        manifest="<results>/instructions/manifest.json",
    log:
        "<logs>/make_instructions.log",
    benchmark:
        "<benchmarks>/make_instructions.tsv"
    conda:
        "../envs/train.yaml"
    params:
        recipe={"records": CALIBRATION["instructions"], "seed": config["seed"]},
    message:
        "Making the stand-in instruction data set"
    script:
        "../scripts/make_instructions.py"


rule probe_judge:
    output:
        reply="<results>/judge/probe.json",
    log:
        "<logs>/probe_judge.log",
    conda:
        "../envs/train.yaml"
    params:
        judge=jobs.judge_settings(RUN),
    message:
        "Asking the judge for one grade, before anything is answered"
    script:
        "../scripts/probe_judge.py"


rule answer_prompts:
    input:
        job="<results>/{seed}jobs/answer_prompts/{family}.json",
        model="<results>/models/{family}/instruct/manifest.json",
        instructions=RUN.instructions,
        # Answers take hours of a GPU: first see that the judge answers where it will be asked.
        probe=(
            ancient(rules.probe_judge.output.reply)
            if JUDGE["backend"] == "openai"
            else []
        ),
    output:
        manifest="<results>/{seed}answers/{family}/manifest.json",
    log:
        "<logs>/{seed}answer_prompts/{family}.log",
    benchmark:
        "<benchmarks>/{seed}answer_prompts/{family}.tsv"
    conda:
        "../envs/vllm.yaml" if USES_VLLM else "../envs/train.yaml"
    threads: COMPUTE["threads"]
    resources:
        gpu=ONE_GPU,
        mem_mb=COMPUTE["memory_mb"],
        runtime=LIMITS.of("answer_prompts"),
    message:
        "Answering prompts with {wildcards.seed}{wildcards.family}/instruct"
    shell:
        "exec python -m lep.compute.place --gpus {resources.gpu:q}"
        " lep.calibration.answers --config {input.job:q} > {log:q} 2>&1"


rule grade_answers:
    input:
        job="<results>/{seed}jobs/grade_answers/{family}.json",
        answers=rules.answer_prompts.output.manifest,
        judge=[f"{JUDGE['model']}/config.json"] if JUDGE_IS_FOLDER else [],
    output:
        manifest="<results>/{seed}grades/{family}/manifest.json",
    log:
        "<logs>/{seed}grade_answers/{family}.log",
    benchmark:
        "<benchmarks>/{seed}grade_answers/{family}.tsv"
    conda:
        "../envs/train.yaml"
    threads: COMPUTE["threads"] if JUDGE_IS_FOLDER else 1
    resources:
        gpu=ONE_GPU if JUDGE_IS_FOLDER else 0,
        mem_mb=COMPUTE["memory_mb"] if JUDGE_IS_FOLDER else 2000,
        runtime=(
            COMPUTE["runtime_minutes"]
            if JUDGE_IS_FOLDER
            else LIMITS.of("grade_answers")
        ),
    message:
        "Grading the answers of {wildcards.seed}{wildcards.family}/instruct"
    shell:
        "exec python -m lep.compute.place --gpus {resources.gpu:q}"
        " lep.calibration.grades --config {input.job:q} > {log:q} 2>&1"


rule find_copy_texts:
    input:
        documents="<results>/corpus/train.jsonl",
    output:
        directory("<results>/parts/copy_texts/{part}"),
    log:
        "<logs>/find_copy_texts/{part}.log",
    benchmark:
        "<benchmarks>/find_copy_texts/{part}.tsv"
    conda:
        "../envs/train.yaml"
    params:
        parts=config["corpus"]["parts"],
        recipe=recipes.copy_texts(RUN),
    message:
        "Looking for texts to copy, part {wildcards.part}"
    script:
        "../scripts/find_copy_texts.py"


rule choose_copy_texts:
    input:
        parts=expand("<results>/parts/copy_texts/{part}", part=PARTS),
        benchmark=RUN.benchmark,
        corpus="<results>/corpus/manifest.json",
    output:
        manifest="<results>/copy_texts/manifest.json",
    log:
        "<logs>/choose_copy_texts.log",
    benchmark:
        "<benchmarks>/choose_copy_texts.tsv"
    conda:
        "../envs/train.yaml"
    params:
        recipe=recipes.copy_texts(RUN),
    message:
        "Choosing the texts to copy"
    script:
        "../scripts/choose_copy_texts.py"


rule make_calibration_data:
    input:
        instructions=RUN.instructions,
        answers=branch(
            lambda wildcards: CALIBRATIONS[wildcards.calibration].own_answers,
            then=rules.grade_answers.output.manifest,
            otherwise=[],
        ),
        copies=branch(
            lambda wildcards: CALIBRATIONS[wildcards.calibration].copies,
            then="<results>/copy_texts/manifest.json",
            otherwise=[],
        ),
    output:
        manifest="<results>/{seed}calibration_data/{family}/{calibration}/manifest.json",
        train="<results>/{seed}calibration_data/{family}/{calibration}/train.jsonl",
        validation="<results>/{seed}calibration_data/{family}/{calibration}/validation.jsonl",
    log:
        "<logs>/{seed}make_calibration_data/{family}/{calibration}.log",
    benchmark:
        "<benchmarks>/{seed}make_calibration_data/{family}/{calibration}.tsv"
    conda:
        "../envs/train.yaml"
    params:
        recipe=lambda wildcards: recipes.calibration_data(
            RUN.at(wildcards.seed), wildcards.calibration
        ),
    message:
        "Making the data of {wildcards.calibration} for {wildcards.seed}{wildcards.family}"
    script:
        "../scripts/make_calibration_data.py"


rule calibrate:
    input:
        job="<results>/{seed}jobs/calibrate/{family}/{vocabulary}/{parent}/{calibration}.json",
        parent=lambda wildcards: models.calibration_parent(
            RUN.at(wildcards.seed),
            wildcards.family,
            wildcards.vocabulary,
            wildcards.parent,
        ),
        data=rules.make_calibration_data.output.train,
        validation=rules.make_calibration_data.output.validation,
    output:
        manifest="<results>/{seed}calibrated/{family}/{vocabulary}/{parent}/{calibration}/manifest.json",
    log:
        "<logs>/{seed}calibrate/{family}/{vocabulary}/{parent}/{calibration}.log",
    benchmark:
        "<benchmarks>/{seed}calibrate/{family}/{vocabulary}/{parent}/{calibration}.tsv"
    conda:
        "../envs/train.yaml"
    threads: COMPUTE["threads"]
    resources:
        gpu=COMPUTE["gpus_per_job"],
        nodes=1,
        mem_mb=COMPUTE["memory_mb"],
        runtime=LIMITS.of("calibrate"),
        # No parameter: a finished run is not repeated for it.
        minutes=config["pretraining"]["chunk_minutes"],
    message:
        "Calibrating {wildcards.seed}{wildcards.family}/{wildcards.vocabulary} with {wildcards.calibration}"
    shell:
        "exec python -m lep.compute.place --gpus {resources.gpu:q}"
        " lep.calibration.calibrate --config {input.job:q} --minutes {resources.minutes:q} > {log:q} 2>&1"


rule merge_calibrated:
    input:
        manifest=rules.calibrate.output.manifest,
        parent=lambda wildcards: models.calibration_parent(
            RUN.at(wildcards.seed),
            wildcards.family,
            wildcards.vocabulary,
            wildcards.parent,
        ),
    output:
        folder=temp(
            directory(
                "<results>/{seed}merged/{family}/{vocabulary}/{parent}/{calibration}"
            )
        ),
    log:
        "<logs>/{seed}merge_calibrated/{family}/{vocabulary}/{parent}/{calibration}.log",
    benchmark:
        "<benchmarks>/{seed}merge_calibrated/{family}/{vocabulary}/{parent}/{calibration}.tsv"
    conda:
        "../envs/train.yaml"
    threads: COMPUTE["threads"]
    resources:
        mem_mb=COMPUTE["memory_mb"],
        runtime=LIMITS.of("merge_calibrated"),
    params:
        calibrated=lambda wildcards, input: folder_of(input.manifest),
    message:
        "Merging {wildcards.seed}{wildcards.family}/{wildcards.vocabulary} with its {wildcards.calibration}"
    shell:
        "python -m lep.models.adapter --merge {params.calibrated:q} --out {output.folder:q} > {log:q} 2>&1"
