"""The smoke job: it runs the trainers of a run on random models, and holds measured seconds against the plan's."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from fixtures.checkout import ROOT
from fixtures.configuration import configuration
from lep.planning.cost import CostModel
from lep.smoke import Measured, judge, smoke, write_random_model
from lep.workflow.settings import apply_subset


def config(factor: float = 1e9, **changes: object) -> dict:
    """The ci scale with small batches; a plan that no machine contradicts."""
    values = configuration("ci", **changes)
    values["plan"]["smoke_factor"] = factor
    for recipe in values["calibration"]["recipes"].values():
        recipe |= {"batch_size": 4, "micro_batch_size": 2}
    values["evaluation"] |= {"batch_size": 2, "max_prompt_tokens": 32}
    return apply_subset(json.loads(json.dumps(values)))


@pytest.mark.parametrize(
    ("seconds", "planned", "factor", "passes"),
    [(1.0, 1.0, 2, True), (1.9, 1.0, 2, True), (2.1, 1.0, 2, False), (0.4, 1.0, 2, False), (0.6, 1.0, 2, True)],
)
def test_a_difference_beyond_the_factor_is_named(seconds: float, planned: float, factor: float, passes: bool) -> None:
    found = judge([Measured("a step of calibration", seconds, planned, "plan.utilisation.calibration")], factor)
    assert found == [] if passes else len(found) == 1
    if not passes:
        assert f"takes {seconds:.3g} s, but {planned:.3g} s are planned" in found[0]
        assert "correct plan.utilisation.calibration" in found[0]


def test_the_days_that_follow_are_shown() -> None:
    text = str(Measured("a step of pre-training", 4.0, 2.0, "plan.utilisation.pretraining", repeats=43200))
    assert "4 s measured, 2 s planned (2.00 times)" in text
    assert "the longest run: 2 days, planned 1" in text


@pytest.mark.parametrize("tied", [False, True])
def test_the_random_model_has_the_true_shape(tied: bool, tmp_path: Path) -> None:
    costs = CostModel(config(), ROOT)
    values = {**costs.shape_values(costs.run.families["llama"]), "tie_word_embeddings": tied}
    write_random_model(values, 1000, "bfloat16", tmp_path / "model", seed=1)
    from lep.models.store import load_model

    model = load_model(tmp_path / "model")
    assert model.get_input_embeddings().weight.shape == (1000, values["hidden_size"])
    assert next(model.parameters()).dtype == torch.bfloat16
    matrices = (1 if tied else 2) * 1000 * values["hidden_size"]
    assert sum(p.numel() for p in model.parameters()) == costs.models["llama"].shape.body_parameters + matrices


def test_all_pieces_of_work_are_measured(tmp_path: Path) -> None:
    """Through the trainers of the run, at its largest vocabulary; nothing is left behind."""
    found = smoke(config(), ROOT, tmp_path / "work")
    assert [entry.what.split(" of ")[0] for entry in found] == ["a step", "a step", "2 answers"]
    assert all(entry.seconds > 0 and entry.planned > 0 for entry in found)
    assert found[0].repeats == 12  # steps of a pre-training run at this scale
    assert not (tmp_path / "work").exists()


def test_published_donors_need_no_step_of_pretraining(tmp_path: Path) -> None:
    found = smoke(config(donor="published"), ROOT, tmp_path / "work")
    assert [entry.what.split(" of ")[1].split()[0] for entry in found] == ["calibration", "16"]


@pytest.mark.parametrize(("factor", "code"), [(1e9, 0), (1.000001, 1)])
def test_the_command_exits_with_what_it_found(factor: float, code: int, tmp_path: Path) -> None:
    """Also in two processes, as a training of two GPUs starts."""
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config(factor)))
    command = [sys.executable, "-m", "lep.compute.launch", "--processes", "2", "lep.smoke"]
    command += ["--config", str(path), "--output", str(tmp_path / "smoke.json")]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "scripts"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    assert (tmp_path / "smoke.json").exists() == (code == 0)
    assert ("are planned: find out why" in done.stderr) == (code == 1)
    assert not list(tmp_path.glob("*.work"))
