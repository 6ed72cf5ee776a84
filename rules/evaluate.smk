"""Scores of all models on Darumeru (paper section 2.3): one job per stage of a vocabulary, to share the start-up."""

STAGES = {
    "foundation": "foundation",
    "pretraining": "foundation",
}  # the others are asked as instruct models


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
    """The manifest of the benchmark's records: the miniature, or fetched from the hub."""
    miniature = config["evaluation"]["benchmark"] == "miniature"
    return (
        f"{RESULTS}/benchmark/manifest.json"
        if miniature
        else f"{RESULTS}/sources/benchmark/manifest.json"
    )


def evaluate_job(family, vocabulary, stage):
    settings = config["evaluation"]
    asked = "foundation" if stage in ("foundation", "pretraining") else "instruct"
    models = evaluated_models(family, vocabulary, stage)
    same = ("tasks", "batch_size", "max_length", "limit", "bootstrap_draws")
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
    output:
        manifest=f"{RESULTS}/evaluation/{{family}}/{{vocabulary}}/{{stage}}/manifest.json",
        scores=f"{RESULTS}/evaluation/{{family}}/{{vocabulary}}/{{stage}}/scores.csv",
        samples=f"{RESULTS}/evaluation/{{family}}/{{vocabulary}}/{{stage}}/samples.jsonl.gz",
    log:
        logs("evaluate/{family}/{vocabulary}/{stage}"),
    benchmark:
        times("evaluate/{family}/{vocabulary}/{stage}")
    conda:
        "../envs/evaluate.yaml"
    threads: COMPUTE["threads"]
    resources:
        gpu=min(1, COMPUTE["gpus_per_job"]),
        mem_mb=COMPUTE["memory_mb"],
        runtime=COMPUTE["runtime_minutes"],
    message:
        "Evaluating {wildcards.family}/{wildcards.vocabulary}, {wildcards.stage}"
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
