"""What embedding pre-training is told."""

SWEEP = config["pretraining"]["sweep"]


def packing_recipe():
    settings = config["pretraining"]
    weights = {code: settings["language_weights"].get(code, 0) for code in LANGUAGES}
    return {
        "block_size": settings["block_size"],
        "language_weights": weights if any(weights.values()) else None,
        "domain_weights": settings["domain_weights"] or None,
        "reserve": settings["reserve"],
        "seed": config["seed"],
    }


def pretrain_job(family, vocabulary):
    run = {
        "models": f"{RESULTS}/models/{family}/{vocabulary}",
        "work": work("pretrain", family, vocabulary),
        "output": f"{RESULTS}/pretraining/{family}/{vocabulary}",
        "fractions": config["pretraining"]["fractions"],
    }
    rate = FAMILIES[family]["learning_rate"]
    return training_job(family, vocabulary, rate, share=1.0) | run


def sweep_job(family, vocabulary, rate):
    """A shorter run whose checkpoints are only scored, not kept."""
    run = {
        "work": work("sweep", family, vocabulary, rate),
        "output": f"{RESULTS}/sweep/{family}/{vocabulary}/{rate}",
        "fractions": [1.0],
    }
    job = training_job(family, vocabulary, float(rate), share=SWEEP["share"])
    return job | run


def training_job(family, vocabulary, learning_rate, share):
    settings = config["pretraining"]
    same = ("batch_size", "warmup_steps", "weight_decay", "packing", "float32_weights")
    maybe = ("max_steps", "token_budget", "head_learning_rate")
    how = ("micro_batch_size", "attention", "compile", "activation_checkpointing")
    return compute("pretrain") | {
        "model": Path(model(family, vocabulary, "init")).parent.as_posix(),
        "data": f"{RESULTS}/packed/{family}/{vocabulary}",
        "validation": documents("validation"),
        "optimisation": {key: settings[key] for key in same}
        | {key: settings[key] or None for key in maybe}
        | {"learning_rate": learning_rate, "share": share},
        "execution": {key: settings[key] for key in how},
        "validation_recipe": {
            "languages": list(LANGUAGES),
            "characters": settings["validation_characters"],
            "window": settings["block_size"],
            "seed": config["seed"],
        },
        "log_steps": settings["log_steps"],
        "save_steps": settings["save_steps"],
    }


def learning_rate_text(rate):
    """A learning rate as a part of a path: 0.0002 and 2e-4 are one run."""
    return f"{rate:g}"


def sweep_manifests():
    """{run: {rate: manifest}} of the search of the learning rate."""
    rates = [learning_rate_text(rate) for rate in SWEEP["learning_rates"]]
    return {
        run: {rate: f"{RESULTS}/sweep/{run}/{rate}/manifest.json" for rate in rates}
        for run in SWEEP["runs"]
    }


def pretraining_runs():
    """{run: manifest} of every run, FAMILY/VOCABULARY."""
    return {
        f"{family}/{v}": f"{RESULTS}/pretraining/{family}/{v}/manifest.json"
        for family, settings in FAMILIES.items()
        for v in settings["vocabularies"]
    }


def training_figures():
    """{run or all: {format: path}} of the curves."""
    names = {"all": "training"} | {run: f"training/{run}" for run in pretraining_runs()}
    return {
        run: {
            kind: f"{RESULTS}/figures/{name}.{kind}" for kind in ("pdf", "png", "csv")
        }
        for run, name in names.items()
    }


def search_table():
    """The table of the search of the learning rate, where there is one."""
    if not SWEEP["runs"]:
        return []
    return [f"{RESULTS}/tables/learning_rates.{kind}" for kind in ("csv", "md")]
