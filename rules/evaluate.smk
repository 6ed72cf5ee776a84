"""Scores of all models on Darumeru (paper section 2.3): one job per stage of a vocabulary, to share the start-up, or
one per model and group of tasks, whose answers are then joined."""

from darumeru.specs import GROUPS

EVALUATION_ENV = (
    "../envs/vllm.yaml"
    if config["evaluation"]["backend"] == "vllm"
    else "../envs/evaluate.yaml"
)
EVALUATION_GPUS = min(1, COMPUTE["gpus_per_job"])


def evaluations():
    """(family, vocabulary, stage) of every evaluation job."""
    jobs = []
    for family, settings in FAMILIES.items():
        jobs += [(family, "original", "foundation"), (family, "original", "instruct")]
        jobs += [
            (family, v, stage)
            for v in settings["vocabularies"]
            for stage in ("pretraining", "propagation")
        ]
        jobs += [
            (family, v, "calibration")
            for v in dict.fromkeys(c[0] for c in calibrations(family))
        ]
    return jobs


def evaluated_models(family, vocabulary, stage):
    """{name: manifest} of the models that one evaluation job scores."""
    if stage == "foundation":
        return {f"{family}/base": model(family, "base")}
    if stage == "instruct":
        return {f"{family}/instruct": model(family, "instruct")}
    if stage == "calibration":
        return {
            f"{family}/{v}/{parent}/{calibration}": calibrated(
                family, v, parent, calibration
            )
            for v, parent, calibration in calibrations(family)
            if v == vocabulary
        }
    steps = CHECKPOINTS if stage == "pretraining" else METHODS
    return {
        f"{family}/{vocabulary}/{step}": model(family, vocabulary, step)
        for step in steps
    }


def evaluation_folders():
    return [
        f"{RESULTS}/evaluation/{family}/{vocabulary}/{stage}"
        for family, vocabulary, stage in evaluations()
    ]


def benchmark_data():
    """The manifest of the benchmark's records: the miniature, or those of the hub or of a local folder."""
    miniature = config["evaluation"]["benchmark"] == "miniature"
    return (
        f"{RESULTS}/benchmark/manifest.json"
        if miniature
        else f"{RESULTS}/sources/benchmark/manifest.json"
    )


def groups():
    """{group: its tasks among those of this run}."""
    chosen = {
        group: [task for task in tasks if task in config["evaluation"]["tasks"]]
        for group, tasks in GROUPS.items()
    }
    return {group: tasks for group, tasks in chosen.items() if tasks}


def model_key(name):
    """A model's name as one part of a path."""
    return name.replace("/", "--")


def part(family, vocabulary, stage, key, group):
    """The manifest of what one job scores: one model on one group of tasks."""
    return f"{RESULTS}/evaluation_parts/{family}/{vocabulary}/{stage}/{key}/{group}/manifest.json"


def parts(family, vocabulary, stage):
    """All parts of a stage; none where one job scores it as a whole."""
    if config["evaluation"]["jobs"] == "stage":
        return []
    return [
        part(family, vocabulary, stage, model_key(name), group)
        for name in evaluated_models(family, vocabulary, stage)
        for group in groups()
    ]


def evaluate_part_job(family, vocabulary, stage, key, group):
    whole = evaluate_job(family, vocabulary, stage)
    place = (family, vocabulary, stage, key, group)
    return whole | {
        "models": [m for m in whole["models"] if model_key(m["name"]) == key],
        "tasks": groups()[group],
        "work": work("evaluate", *place),
        "output": folder(part(*place)),
    }


def evaluate_job(family, vocabulary, stage):
    settings = config["evaluation"]
    asked = "foundation" if stage in ("foundation", "pretraining") else "instruct"
    models = evaluated_models(family, vocabulary, stage)
    same = ("tasks", "backend", "batch_size", "max_length", "limit", "bootstrap_draws")
    return (
        compute("evaluate")
        | {key: settings[key] for key in same}
        | {
            "models": [
                {"name": name, "path": folder(manifest)}
                for name, manifest in models.items()
            ],
            "shots": settings["shots"][asked],
            "chat": asked == "instruct",
            "data": folder(benchmark_data()),
            "generation": settings["generation"]
            | {"max_new_tokens": settings["max_new_tokens"]},
            "work": work("evaluate", family, vocabulary, stage),
            "output": f"{RESULTS}/evaluation/{family}/{vocabulary}/{stage}",
        }
    )


def sample_job():
    """The same prompts for the original model, after LEP, and after calibration (Figure 3)."""
    settings = config["report"]["samples"]
    return compute("samples") | {
        "families": [
            {"family": family, "models": models}
            for family, models in sampled_models().items()
        ],
        "prompts": [],
        "instructions": folder(instructions()),
        "drawn": settings["prompts"],
        "max_new_tokens": settings["max_new_tokens"],
        "output": f"{RESULTS}/samples.jsonl",
    }


def sampled_models():
    vocabulary, calibration = (
        config["report"]["samples"][key] for key in ("vocabulary", "calibration")
    )
    return {
        family: [
            {
                "name": f"{family}/instruct",
                "path": folder(model(family, "instruct")),
                "label": "original",
            },
            {
                "name": f"{family}/{vocabulary}/conversion",
                "path": folder(model(family, vocabulary, "conversion")),
                "label": "LEP",
            },
            {
                "name": f"{family}/{vocabulary}/conversion/{calibration}",
                "path": folder(
                    calibrated(family, vocabulary, "conversion", calibration)
                ),
                "label": "LEP + calibration",
            },
        ]
        for family in FAMILIES
        if (vocabulary, "conversion", calibration) in calibrations(family)
    }


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
        "{PYTHON} -m lep.evaluate --config {input.job} {params.parts} > {log} 2>&1"


rule evaluate_part:
    input:
        job=job_file(
            "evaluate_part", "{family}", "{vocabulary}", "{stage}", "{key}", "{group}"
        ),
        model=lambda wildcards: {
            model_key(name): manifest
            for name, manifest in evaluated_models(
                wildcards.family, wildcards.vocabulary, wildcards.stage
            ).items()
        }[wildcards.key],
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
        "{PYTHON} -m lep.evaluate --config {input.job} > {log} 2>&1"


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
        "{PYTHON} -m lep.samples --config {input.job} > {log} 2>&1"
