"""Scores of all models on Darumeru (paper section 2.3): one job per stage of a vocabulary, to share the start-up, or
one per model and group of tasks, whose answers are then joined."""


rule evaluate:
    input:
        job=job_file("evaluate", "{family}", "{vocabulary}", "{stage}"),
        models=lambda wildcards: list(evaluated_models(**wildcards).values()),
        benchmark=benchmark_data(),
        parts=lambda wildcards: parts(**wildcards),
    output:
        manifest=f"{RESULTS}/evaluation/{{family}}/{{vocabulary}}/{{stage}}/manifest.json",
        scores=f"{RESULTS}/evaluation/{{family}}/{{vocabulary}}/{{stage}}/scores.csv",
        samples=f"{RESULTS}/evaluation/{{family}}/{{vocabulary}}/{{stage}}/samples.jsonl.gz",
    log:
        logs("evaluate/{family}/{vocabulary}/{stage}"),
    benchmark:
        times("evaluate/{family}/{vocabulary}/{stage}")
    conda:
        EVALUATION_ENV
    threads: COMPUTE["threads"]
    resources:
        gpu=0 if config["evaluation"]["jobs"] == "group" else EVALUATION_GPUS,
        mem_mb=COMPUTE["memory_mb"],
        runtime=COMPUTE["runtime_minutes"],
    params:
        parts=lambda wildcards, input: (
            "--parts " + " ".join(map(folder, input.parts)) if input.parts else ""
        ),
    message:
        "Evaluating {wildcards.family}/{wildcards.vocabulary}, {wildcards.stage}"
    shell:
        "exec python -m lep.compute.place --gpus {resources.gpu}"
        " lep.evaluation.evaluate --config {input.job} {params.parts} > {log} 2>&1"


rule evaluate_part:
    input:
        job=job_file(
            "evaluate_part", "{family}", "{vocabulary}", "{stage}", "{key}", "{group}"
        ),
        model=lambda wildcards: evaluated_input(
            wildcards.family, wildcards.vocabulary, wildcards.stage, wildcards.key
        ),
        benchmark=benchmark_data(),
    output:
        manifest=part("{family}", "{vocabulary}", "{stage}", "{key}", "{group}"),
    log:
        logs("evaluate_part/{family}/{vocabulary}/{stage}/{key}/{group}"),
    benchmark:
        times("evaluate_part/{family}/{vocabulary}/{stage}/{key}/{group}")
    conda:
        EVALUATION_ENV
    threads: COMPUTE["threads"]
    resources:
        gpu=EVALUATION_GPUS,
        mem_mb=COMPUTE["memory_mb"],
        runtime=COMPUTE["runtime_minutes"],
    message:
        "Evaluating {wildcards.key} on {wildcards.group}"
    shell:
        "exec python -m lep.compute.place --gpus {resources.gpu} lep.evaluation.evaluate --config {input.job} > {log} 2>&1"


rule sample_answers:
    input:
        job=job_file("samples", "all"),
        models=[
            f"{entry['path']}/manifest.json"
            for models in sampled_models().values()
            for entry in models
        ],
        instructions=instructions(),
    output:
        samples=f"{RESULTS}/samples.jsonl",
    log:
        logs("sample_answers"),
    benchmark:
        times("sample_answers")
    conda:
        "../envs/train.yaml"
    threads: COMPUTE["threads"]
    resources:
        gpu=min(1, COMPUTE["gpus_per_job"]),
        mem_mb=COMPUTE["memory_mb"],
        runtime=COMPUTE["runtime_minutes"],
    message:
        "Answering the sample prompts of Figure 3"
    shell:
        "exec python -m lep.compute.place --gpus {resources.gpu} lep.evaluation.sample_answers --config {input.job} > {log} 2>&1"
