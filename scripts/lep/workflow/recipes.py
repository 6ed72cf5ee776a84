"""Parameters of the light rules: the part of the configuration that each of them takes, and no more."""

from lep.methods import METHODS
from lep.names import CALIBRATIONS, ROLES, VOCABULARIES
from lep.workflow.run import Run

Recipe = dict[str, object]


def cleaning(run: Run) -> Recipe:
    """How the corpus is read and cleaned."""
    keys = ("quality", "near_duplicates", "broken_records", "maximum_record_mb")
    return {key: run.config["corpus"][key] for key in keys} | {"languages": run.languages}


def splits(run: Run) -> Recipe:
    """How groups of documents are dealt out into the splits."""
    keys = ("validation_fraction", "benchmark_fraction", "tokenizer_fraction")
    return {key: run.config["corpus"][key] for key in keys} | {"seed": run.config["seed"]}


def vocabulary_model(run: Run, family: str, vocabulary: str) -> str:
    """The SentencePiece model that the new tokens of a vocabulary come from: trained, or brought along."""
    kind = VOCABULARIES[vocabulary]
    name = f"{kind.model_type}-{run.families[family][kind.size_key]}"
    given = name in run.config["vocabulary"]["models"]
    return run.manifest("vocabularies", "given" if given else "sentencepiece", name)


def vocabulary_models(run: Run) -> dict[str, str]:
    """The SentencePiece model of each new vocabulary, by family/vocabulary; published donors bring theirs ready."""
    if run.adopts_donors:
        return {}
    return {
        f"{f}/{v}": vocabulary_model(run, f, v) for f, family in run.families.items() for v in family["vocabularies"]
    }


def vocabulary_text(run: Run) -> Recipe:
    """The text that SentencePiece models are trained on."""
    settings = run.config["vocabulary"]
    weights = {code: settings["language_weights"].get(code, 0) for code in run.languages}
    weights = {code: weight for code, weight in weights.items() if weight} or None
    return {
        "characters": settings["characters"],
        "languages": list(weights or run.languages),
        "weights": weights,
        "threads": settings["threads"],
    }


def kept_tokens(run: Run, family: str, vocabulary: str) -> int | None:
    """How many of the first old tokens a vocabulary keeps; None where its kind decides."""
    return run.families[family]["optimized_keep"] if VOCABULARIES[vocabulary].keeps == "some" else None


def union(run: Run, vocabulary: str) -> Recipe:
    """How old and new tokens are united; vocabularies that replace the old ones have no such choice."""
    return {} if VOCABULARIES[vocabulary].replaces else run.config["vocabulary"]["extended"]


def packing(run: Run) -> Recipe:
    """How the corpus is cut into blocks of tokens."""
    settings = run.config["pretraining"]
    weights = {code: settings["language_weights"].get(code, 0) for code in run.languages}
    return {
        "block_size": settings["block_size"],
        "language_weights": weights if any(weights.values()) else None,
        "domain_weights": settings["domain_weights"] or None,
        "reserve": settings["reserve"],
        "seed": run.config["seed"],
    }


def propagation(run: Run) -> Recipe:
    """How new rows are propagated; settings of methods that do not run are left out."""
    settings = run.config["propagation"]
    maps = {METHODS[method].map for method in run.methods}
    return {
        "token_text": settings["token_text"],
        "ridge_penalty": settings["ridge_penalty"] if "ridge" in maps else None,
        "own": settings["own"] if "own" in maps else "",
    }


def calibration_data(run: Run, calibration: str) -> Recipe:
    """What the data of a calibration are made of."""
    settings = run.config["calibration"]
    same = ("copy_instruction", "minimum_score", "validation_percent")
    copies = settings["copy_examples"].get(calibration, 0) if CALIBRATIONS[calibration].copies else 0
    return {key: settings[key] for key in same} | {
        "kind": calibration,
        "copy_examples": copies,
        "minimum_grade": settings["judge"]["minimum_grade"],
        "seed": run.seed,
    }


def tuning_instructions(run: Run) -> Recipe:
    """The instructions that an instruct model is fine-tuned on: English, and all of them good."""
    spoilt = ("russian_share", "regex_bad_share", "low_score_share", "unscored_share")
    return {"records": run.config["instruct_tuning"]["instructions"], "seed": run.config["seed"]} | dict.fromkeys(
        spoilt, 0.0
    )


def tuning_data(run: Run) -> Recipe:
    """What the data of that fine-tuning are made of: the instructions alone."""
    return calibration_data(run, "saiga") | {"copy_examples": 0}


def copy_texts(run: Run) -> Recipe:
    """Which texts the copy task of the calibrations takes."""
    return {
        "characters": run.config["calibration"]["copy_characters"],
        "domains": run.config["calibration"]["copy_domains"],
        "language": next(iter(run.languages)),
        "reserve": run.config["pretraining"]["reserve"],
        "seed": run.config["seed"],
    }


def vocabulary_report(run: Run) -> Recipe:
    """How vocabularies are measured and reported."""
    return run.config["vocabulary"]["report"] | {"languages": run.languages}


def families(run: Run) -> list[Recipe]:
    """The families as the report takes them: without the numbers of their training, which repeat no table or figure."""
    numbers = ("learning_rate", "replacement_size", "extension_size", "optimized_keep")
    return [{k: v for k, v in family.items() if k not in numbers} for family in run.config["families"]]


def rows(run: Run) -> Recipe:
    """Which models the tables show."""
    return {"families": families(run), "comparators": run.config["comparators"], "methods": run.methods}


def report(run: Run) -> Recipe:
    """What the report lists of the configuration."""
    return {
        "scale": run.config["scale"],
        "seeds": list(run.seeds.values()),
        "bootstrap_draws": run.config["evaluation"]["bootstrap_draws"],
        "sample_tokens": run.config["report"]["samples"]["max_new_tokens"],
        "compute": {key: run.config["compute"][key] for key in ("threads", "device", "dtype")},
        **{key: run.config[key] for key in ("vocabulary", "pretraining", "evaluation")},
    }


def card_origins(run: Run) -> dict[str, Recipe]:
    """What the model cards say of the source models of a pair and of the data."""
    settings = run.config["calibration"]
    data = settings["dataset"]
    hub = f"{data['repository']} at {data['revision']}"
    instructions = hub if settings["source"] == "hub" else "stand-in instructions made from the corpus"
    return {
        name: {
            **{role: {"licence": "unknown", **family[role]} for role in ROLES},
            "tuned_instruct": run.tunes_instruct(name),
            "corpus": [source["name"] for source in run.config["corpus"]["sources"]],
            "instructions": instructions,
            "donors": {v: {"licence": "unknown", **d} for v, d in family.get("published_donors", {}).items()}
            if run.adopts_donors
            else {},
        }
        for name, family in run.pairs.items()
    }
