"""Disk that a whole run takes, reckoned from the configuration before anything is fetched or made."""

from lep.planning.cost import CostModel


def disk_parts(load: CostModel) -> dict[str, int]:
    """Bytes by purpose, when everything of the run is there and nothing was freed in between."""
    parts = {"fetched models": 0, "models": 0, "calibrated models": 0, "packed corpora": 0, "restart points": 0}
    checkpoints = len(load.config["pretraining"]["fractions"])
    methods = len(load.config["propagation"]["methods"])
    for family, settings in load.families.items():
        shape = load.models[family].shape
        parts["fetched models"] += 2 * load.full_bytes(family) if not _is_local(settings["base"]["path"]) else 0
        parts["models"] += 2 * load.full_bytes(family)
        published = load.config["donor"] == "published"
        for vocabulary in settings["vocabularies"]:
            derived = shape.derived_bytes(load.rows(family, vocabulary))
            # The initial model, the checkpoints and the propagated ones; the donor is linked to a checkpoint.
            parts["models"] += (1 + checkpoints + methods) * derived
            if published:
                parts["fetched models"] += shape.full_bytes(load.rows(family, vocabulary))
                continue
            # Its own copy of each checkpoint, and two restart points with both moments of the optimiser.
            parts["restart points"] += (checkpoints + 2 * 3) * derived
            wide = 2 if load.rows(family, vocabulary) <= 2**16 else 4
            parts["packed corpora"] += load.plan["text"]["tokens"] * wide
        for vocabulary, calibration in _calibrations(settings):
            recipe = load.config["calibration"]["recipes"]["self" if calibration == "self" else "saiga"]
            matrix = load.rows(family, vocabulary) * shape.hidden_size * shape.itemsize
            parts["calibrated models"] += len(recipe["full"]) * matrix
    # As fetched, and as the clean corpus.
    parts["text"] = 2 * load.plan["text"]["megabytes"] * 1_000_000
    return parts


def _calibrations(settings: dict) -> list[tuple[str, str]]:
    controls = [("original", calibration) for calibration in settings["controls"]]
    return controls + [(row["vocabulary"], name) for row in settings["calibrated"] for name in row["calibrations"]]


def _is_local(path: str) -> bool:
    return path.startswith(("data/", ".", "/"))
