"""Scores of all models on Darumeru (paper section 2.3).

One job scores all models of a stage of a vocabulary, which saves start-up; or one job scores one model on one group of
tasks, which spreads over a cluster, and `evaluate` joins the answers (`evaluation.jobs`).
"""

BY_GROUP = config["evaluation"]["jobs"] == "group"
EVALUATION_ENV = (
    "../envs/vllm.yaml"
    if config["evaluation"]["backend"] == "vllm"
    else "../envs/evaluate.yaml"
)


rule evaluate:
    input:
        job="<results>/{seed}jobs/evaluate/{family}/{vocabulary}/{stage}.json",
        models=lambda wildcards: list(
            models.evaluated_models(*RUN.place(wildcards)).values()
        ),
        benchmark=RUN.benchmark,
        parts=lambda wildcards: models.evaluation_parts(*RUN.place(wildcards)),
    output:
        manifest="<results>/{seed}evaluation/{family}/{vocabulary}/{stage}/manifest.json",
        scores="<results>/{seed}evaluation/{family}/{vocabulary}/{stage}/scores.csv",
        samples="<results>/{seed}evaluation/{family}/{vocabulary}/{stage}/samples.jsonl.gz",
    log:
        "<logs>/{seed}evaluate/{family}/{vocabulary}/{stage}.log",
    benchmark:
        "<benchmarks>/{seed}evaluate/{family}/{vocabulary}/{stage}.tsv"
    conda:
        EVALUATION_ENV
    threads: COMPUTE["threads"]
    resources:
        gpu=0 if BY_GROUP else ONE_GPU,
        mem_mb=COMPUTE["memory_mb"],
        runtime=LIMITS.of("evaluate"),
    params:
        parts=lambda wildcards, input: (
            ["--parts", *map(folder_of, input.parts)] if input.parts else []
        ),
    message:
        "Evaluating {wildcards.seed}{wildcards.family}/{wildcards.vocabulary}, {wildcards.stage}"
    shell:
        "exec python -m lep.compute.place --gpus {resources.gpu:q}"
        " lep.evaluation.evaluate --config {input.job:q} {params.parts:q} > {log:q} 2>&1"


rule evaluate_part:
    input:
        job="<results>/{seed}jobs/evaluate_part/{family}/{vocabulary}/{stage}/{key}/{group}.json",
        model=lambda wildcards: models.evaluated_input(
            *RUN.place(wildcards), wildcards.key
        ),
        benchmark=RUN.benchmark,
    output:
        manifest="<results>/{seed}evaluation_parts/{family}/{vocabulary}/{stage}/{key}/{group}/manifest.json",
    log:
        "<logs>/{seed}evaluate_part/{family}/{vocabulary}/{stage}/{key}/{group}.log",
    benchmark:
        "<benchmarks>/{seed}evaluate_part/{family}/{vocabulary}/{stage}/{key}/{group}.tsv"
    conda:
        EVALUATION_ENV
    threads: COMPUTE["threads"]
    resources:
        gpu=ONE_GPU,
        mem_mb=COMPUTE["memory_mb"],
        runtime=LIMITS.of("evaluate_part"),
    message:
        "Evaluating {wildcards.seed}{wildcards.key} on {wildcards.group}"
    shell:
        "exec python -m lep.compute.place --gpus {resources.gpu:q}"
        " lep.evaluation.evaluate --config {input.job:q} > {log:q} 2>&1"


rule measure_language:
    input:
        job="<results>/jobs/measure_language/{family}/{vocabulary}.json",
        models=lambda wildcards: list(
            models.models_of_vocabulary(RUN, **wildcards).values()
        ),
        validation="<results>/corpus/validation.jsonl",
    output:
        manifest="<results>/language/{family}/{vocabulary}/manifest.json",
    log:
        "<logs>/measure_language/{family}/{vocabulary}.log",
    benchmark:
        "<benchmarks>/measure_language/{family}/{vocabulary}.tsv"
    conda:
        "../envs/evaluate.yaml"
    threads: COMPUTE["threads"]
    resources:
        gpu=ONE_GPU,
        mem_mb=COMPUTE["memory_mb"],
        runtime=LIMITS.of("measure_language"),
    message:
        "Measuring the languages of {wildcards.family}/{wildcards.vocabulary}"
    shell:
        "exec python -m lep.compute.place --gpus {resources.gpu:q}"
        " lep.evaluation.language --config {input.job:q} > {log:q} 2>&1"


rule sample_answers:
    input:
        job="<results>/jobs/sample_answers/samples.json",
        models=[
            f"{entry['path']}/manifest.json"
            for entries in models.sampled_models(RUN).values()
            for entry in entries
        ],
        instructions=RUN.instructions,
    output:
        samples="<results>/samples.jsonl",
    log:
        "<logs>/sample_answers.log",
    benchmark:
        "<benchmarks>/sample_answers.tsv"
    conda:
        "../envs/train.yaml"
    threads: COMPUTE["threads"]
    resources:
        gpu=ONE_GPU,
        mem_mb=COMPUTE["memory_mb"],
        runtime=LIMITS.of("sample_answers"),
    message:
        "Answering the sample prompts of Figure 3"
    shell:
        "exec python -m lep.compute.place --gpus {resources.gpu:q}"
        " lep.evaluation.sample_answers --config {input.job:q} > {log:q} 2>&1"
