"""Disk space of a whole run, from the configuration alone."""

from lep.names import CALIBRATIONS
from lep.planning.cost import CostModel
from lep.workflow.models import calibrations, controls
from lep.workflow.run import is_local


def disk_parts(costs: CostModel) -> dict[str, int]:
    """Bytes by purpose at the end of the whole run; nothing is deleted on the way."""
    run, config, plan = costs.run, costs.config, costs.plan
    parts = {"fetched models": 0, "models": 0, "calibrated models": 0, "packed corpora": 0, "restart points": 0}
    checkpoints, seeds = len(run.checkpoints), len(run.seeds)
    for family, settings in run.families.items():
        shape = costs.models[family].shape
        # Base and instruct model: as fetched, and once more in the model store.
        parts["fetched models"] += 0 if is_local(settings["base"]) else 2 * costs.full_bytes(family)
        parts["models"] += 2 * costs.full_bytes(family)
        # Of an instruct model that is fine-tuned here: two restart points, and what they train twice.
        parts["restart points"] += 3 * costs.full_bytes(family) if run.tunes_instruct(family) else 0
        for vocabulary in settings["vocabularies"]:
            derived = shape.derived_bytes(costs.rows(family, vocabulary))
            made = controls(run, family, vocabulary)
            trained_again = "direct" in made  # with one checkpoint
            # For each seed checkpoints, propagated models and controls; a donor links to a checkpoint.
            each = checkpoints + len(run.methods) + len(made) + trained_again
            parts["models"] += (1 + trained_again + seeds * each) * derived
            if run.adopts_donors:
                parts["fetched models"] += shape.full_bytes(costs.rows(family, vocabulary))
                continue
            # The work folder: a copy of each checkpoint, and two restart points with both moments of the optimiser.
            parts["restart points"] += seeds * (checkpoints + 2 * 3 + trained_again * (1 + 2 * 3)) * derived
            token_bytes = 2 if costs.rows(family, vocabulary) <= 2**16 else 4
            parts["packed corpora"] += plan["text"]["tokens"] * token_bytes
    for pair, settings in run.pairs.items():
        shape = costs.models[pair].shape
        if pair in run.further:  # itself, and what is propagated to it
            parts["fetched models"] += 0 if is_local(settings["instruct"]) else costs.full_bytes(pair)
            parts["models"] += costs.full_bytes(pair)
            rows = [costs.rows(pair, vocabulary) for vocabulary in settings["vocabularies"]]
            parts["models"] += seeds * len(run.methods) * sum(map(shape.derived_bytes, rows))
        for vocabulary, _, calibration in calibrations(run, pair):
            recipe = config["calibration"]["recipes"][CALIBRATIONS[calibration].recipe]
            matrix = costs.rows(pair, vocabulary) * shape.hidden_size * shape.itemsize
            parts["calibrated models"] += seeds * len(recipe["full"]) * matrix
    for name, other in run.comparators.items():
        parts["fetched models"] += 0 if is_local(other["model"]) else costs.full_bytes(name)
        parts["models"] += costs.full_bytes(name)
    # Text as fetched, and as the cleaned corpus.
    parts["text"] = 2 * plan["text"]["megabytes"] * 1_000_000
    return parts
