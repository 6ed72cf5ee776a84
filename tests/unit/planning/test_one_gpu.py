"""The paper's models on one card: the overlay is valid, its jobs fit, and the table of memory is computed."""

import json
import re
from pathlib import Path

import pytest
import yaml
from fixtures.checkout import ROOT
from fixtures.configuration import configuration
from lep.planning.cost import CostModel
from lep.planning.finding import OK
from lep.planning.preflight import check_memory
from lep.workflow.models import adapted, calibrations
from lep.workflow.run import Run
from lep.workflow.settings import apply_subset, check_settings
from snakemake.utils import update_config

OVERLAY = ROOT / "configs/paper/one-gpu.yaml"
CARDS = (24, 40, 48, 80)  # GB


def one_gpu(**changes: object) -> dict:
    config = configuration("paper")
    update_config(config, yaml.safe_load(OVERLAY.read_text(encoding="utf-8")))
    update_config(config, changes)
    return json.loads(json.dumps(config))


def memory(config: dict) -> dict[str, float]:
    """GB by job, of trainings and of the largest scored and answering model."""
    config = apply_subset(config)
    run, costs = Run(config, ROOT), CostModel(config, ROOT)
    found = {}
    for family, v in adapted(run) if not run.adopts_donors else ():
        found[f"pre-training {family} {v}"] = costs.cost("pretrain", {"family": family, "vocabulary": v})
    for family in run.families:
        for v, parent, name in calibrations(run, family):
            wildcards = {"family": family, "vocabulary": v, "parent": parent, "calibration": name}
            found[f"calibration {name} {family} {v}"] = costs.cost("calibrate", wildcards)
    for family, v in adapted(run):
        place = {"family": family, "vocabulary": v, "stage": "propagation"}
        found[f"evaluation {family} {v}"] = costs.cost("evaluate", place)
    return {name: cost.device_bytes / 1e9 for name, cost in found.items()}


def test_the_overlay_is_valid_and_trains_no_embeddings() -> None:
    config = one_gpu()
    check_settings(config, ROOT)
    config = apply_subset(config)
    assert (config["scale"], config["donor"], config["compute"]["gpus_per_job"]) == ("one_gpu", "published", 1)
    assert config["compute"]["dtype"] == "bfloat16"
    paper = configuration("paper")["calibration"]["recipes"]
    for name, recipe in config["calibration"]["recipes"].items():
        assert recipe["batch_size"] == paper[name]["batch_size"]


def test_every_job_fits_the_card() -> None:
    sizes = memory(one_gpu())
    assert max(sizes.values()) < 48
    # The next smaller kind of card does not hold them all.
    assert max(sizes.values()) > 40


def test_preflight_counts_no_training_that_donors_replace() -> None:
    (finding,) = check_memory(apply_subset(one_gpu()), ROOT)
    assert (finding.state, "pre-training" in finding.what) == (OK, False)


def test_the_table_of_memory_is_what_the_shapes_give() -> None:
    """Rows of docs/cluster.md: a job, its GB, and the cards that hold it."""
    shapes = memory(one_gpu(donor="trained", pretraining={"micro_batch_size": 1, "activation_checkpointing": True}))
    text = Path(ROOT / "docs/cluster.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(.+?)` \| (\d+) \|((?: [✓–] \|){4})$", text, re.MULTILINE)
    assert len(rows) >= 8
    for name, size, marks in rows:
        assert round(shapes[name]) == int(size), name
        assert [mark == "✓" for mark in re.findall("[✓–]", marks)] == [shapes[name] < card for card in CARDS], name


@pytest.mark.parametrize("recipe", ["self", "saiga"])
def test_without_checkpointing_it_would_not_fit(recipe: str) -> None:
    changed = {recipe: {"activation_checkpointing": False}}
    assert max(memory(one_gpu(calibration={"recipes": changed})).values()) > 48
