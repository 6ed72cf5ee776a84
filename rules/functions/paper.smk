"""Which artefacts the report is made from."""

PUBLISHED = "data/published_scores.csv"


def adapted():
    """(family, vocabulary) of every adapted vocabulary."""
    return [
        (family, v)
        for family, settings in FAMILIES.items()
        for v in settings["vocabularies"]
    ]


def measured():
    """{kind: {model: manifest}} of all artefacts whose facts go to metrics.csv."""
    pairs = adapted()
    packed = [] if PUBLISHED_DONORS else pairs
    return {
        "vocabulary": {f"{f}/{v}": vocabulary(f, v) for f, v in pairs},
        "operator": {
            f"{f}/{v}": f"{RESULTS}/operators/{f}/{v}/manifest.json" for f, v in pairs
        },
        "packing": {
            f"{f}/{v}": f"{RESULTS}/packed/{f}/{v}/manifest.json" for f, v in packed
        },
        "pretraining": {
            f"{f}/{v}": f"{RESULTS}/pretraining/{f}/{v}/manifest.json" for f, v in pairs
        },
        "propagation": {
            f"{f}/{v}/{method}": model(f, v, method)
            for f, v in pairs
            for method in METHODS
        },
        "calibration": {
            Path(f, *calibration).as_posix(): calibrated(f, *calibration)
            for f in FAMILIES
            for calibration in calibrations(f)
        },
    }


def all_manifests():
    """Every published artefact, for the checks and the report."""
    models = [
        model(family, role) for family in FAMILIES for role in ("base", "instruct")
    ]
    models += [model(other, "instruct") for other in COMPARATORS]
    models += [
        model(f, v, step)
        for f, v in adapted()
        for step in ("init", *CHECKPOINTS, "donor")
    ]
    found = [
        manifest for artefacts in measured().values() for manifest in artefacts.values()
    ]
    folders = [f"{folder}/manifest.json" for folder in evaluation_folders()]
    return [
        rules.build_corpus.output.manifest,
        benchmark_data(),
        *models,
        *found,
        *folders,
    ]


def reported_families():
    """The families without the numbers of their training, which are no reason to draw tables and figures again."""
    numbers = (
        "learning_rate",
        "replacement_size",
        "extension_size",
        "optimized_keep",
    )
    return [
        {key: value for key, value in family.items() if key not in numbers}
        for family in config["families"]
    ]


def row_settings():
    """Which models the tables show."""
    return {"families": reported_families(), "comparators": config["comparators"]}


def report_settings():
    """What the report lists of the configuration."""
    return {
        "scale": config["scale"],
        "seed": config["seed"],
        "bootstrap_draws": config["evaluation"]["bootstrap_draws"],
        "sample_tokens": config["report"]["samples"]["max_new_tokens"],
        "compute": {key: COMPUTE[key] for key in ("threads", "device", "dtype")},
        **{key: config[key] for key in ("vocabulary", "pretraining", "evaluation")},
    }


def model_cards():
    """{model: its card} of every adapted model."""
    found = {
        f"{f}/{v}/{step}": model(f, v, step)
        for f, v in adapted()
        for step in ("donor", *METHODS)
    }
    found |= measured()["calibration"]
    return {name: f"{folder(manifest)}/README.md" for name, manifest in found.items()}


def card_origins():
    """What the cards say of a family's parents, and of the data."""
    calibration = config["calibration"]
    data = calibration["dataset"]
    return {
        name: {
            **{
                role: {"licence": "unknown", **family[role]}
                for role in ("base", "instruct")
            },
            "corpus": [source["name"] for source in config["corpus"]["sources"]],
            "instructions": (
                f"{data['repository']} at {data['revision']}"
                if calibration["source"] == "hub"
                else "stand-in instructions made from the corpus"
            ),
        }
        for name, family in FAMILIES.items()
    }
