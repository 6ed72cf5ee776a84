"""What embedding pre-training is told."""


def packing_recipe():
    settings = config["pretraining"]
    weights = settings["language_weights"]
    return {
        "block_size": settings["block_size"],
        "language_weights": weights if any(weights.values()) else None,
        "reserve": settings["reserve"],
        "seed": config["seed"],
    }


def pretrain_job(family, vocabulary):
    settings = config["pretraining"]
    same = ("batch_size", "accumulation", "warmup_steps", "weight_decay")
    optimisation = {key: settings[key] for key in same}
    optimisation["learning_rate"] = FAMILIES[family]["learning_rate"]
    optimisation["max_steps"] = settings["max_steps"] or None
    return compute("pretrain") | {
        "model": Path(model(family, vocabulary, "init")).parent.as_posix(),
        "data": f"{RESULTS}/packed/{family}/{vocabulary}",
        "validation": documents("validation"),
        "work": work("pretrain", family, vocabulary),
        "models": f"{RESULTS}/models/{family}/{vocabulary}",
        "output": f"{RESULTS}/pretraining/{family}/{vocabulary}",
        "optimisation": optimisation,
        "validation_recipe": {
            "languages": list(settings["language_weights"]),
            "characters": settings["validation_characters"],
            "window": settings["block_size"],
            "seed": config["seed"],
        },
        "fractions": settings["fractions"],
        "log_steps": settings["log_steps"],
        "save_steps": settings["save_steps"],
    }
