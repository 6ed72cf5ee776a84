"""Which models are evaluated together, and what the jobs are told."""

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
    return jobs + [(other, "original", "instruct") for other in COMPARATORS]


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


def evaluated_input(family, vocabulary, stage, key):
    """What a part of an evaluation reads: the manifest of a model or, of a calibrated one, its merged folder."""
    models = evaluated_models(family, vocabulary, stage)
    name, manifest = next(item for item in models.items() if model_key(item[0]) == key)
    return merged(*Path(name).parts) if stage == "calibration" else manifest


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
    return "--".join(Path(name).parts)


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
    read = evaluated_input(family, vocabulary, stage, key)
    path = read if stage == "calibration" else folder(read)
    return whole | {
        "models": [
            model | {"path": path}
            for model in whole["models"]
            if model_key(model["name"]) == key
        ],
        "tasks": groups()[group],
        "work": work("evaluate", *place),
        "output": folder(part(*place)),
    }


def evaluate_job(family, vocabulary, stage):
    settings = config["evaluation"]
    asked = "foundation" if stage in ("foundation", "pretraining") else "instruct"
    models = evaluated_models(family, vocabulary, stage)
    same = (
        "tasks",
        "backend",
        "batch_size",
        "max_prompt_tokens",
        "max_model_tokens",
        "limit",
        "bootstrap_draws",
    )
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
