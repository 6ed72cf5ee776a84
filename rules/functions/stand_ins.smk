"""What the training of the stand-ins is told."""


def stand_in_job(family, role):
    settings = config["stand_in_training"]
    recipe = {
        key: value[role]
        for key, value in settings.items()
        if key in ("steps", "learning_rate")
    }
    parent = f"{RESULTS}/stand_ins/{family}/base" if role == "instruct" else None
    return recipe | {
        "family": family,
        "role": role,
        "parent": parent,
        "corpus": documents("train"),
        "tokenizer": f"{RESULTS}/stand_ins/{family}/tokenizer",
        "output": f"{RESULTS}/stand_ins/{family}/{role}",
        "work": work("stand_ins", family, role),
        "russian": settings["russian_share"],
        "seed": config["seed"],
        "threads": COMPUTE["threads"],
    }
