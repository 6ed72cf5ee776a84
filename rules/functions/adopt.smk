"""Where published donors come from, and what is made of them."""

PUBLISHED_DONORS = config["donor"] == "published"


def published_donor(wildcards):
    """What a published model is read from: fetched, or a folder of one's own."""
    reference = FAMILIES[wildcards.family]["published_donors"][wildcards.vocabulary]
    if is_local(reference):
        return f"{reference['path']}/config.json"
    return f"{RESULTS}/sources/donors/{wildcards.family}/{wildcards.vocabulary}/manifest.json"


def donor_reference(family, vocabulary):
    reference = FAMILIES[family]["published_donors"][vocabulary]
    return reference | {
        "revision": pinned("model", reference["path"], reference["revision"])
    }


def hub_donors():
    """(family, vocabulary) of every donor that this configuration takes from the hub."""
    if not PUBLISHED_DONORS:
        return []
    return [
        (family, v)
        for family, settings in FAMILIES.items()
        for v in settings["vocabularies"]
        if not is_local(settings["published_donors"][v])
    ]


def adopt_job(family, vocabulary):
    settings = training_job(family, vocabulary, learning_rate=1.0, share=1.0)
    same = ("model", "validation", "validation_recipe")
    reference = FAMILIES[family]["published_donors"][vocabulary]
    place = SimpleNamespace(family=family, vocabulary=vocabulary)
    return compute("adopt") | {
        **{key: settings[key] for key in same},
        "base": folder(model(family, "base")),
        "donor": folder(published_donor(place)),
        "models": f"{RESULTS}/models/{family}/{vocabulary}",
        "output": f"{RESULTS}/pretraining/{family}/{vocabulary}",
        "steps": reference.get("steps", 0),
        "tokens_per_step": config["pretraining"]["batch_size"]
        * config["pretraining"]["block_size"],
    }
