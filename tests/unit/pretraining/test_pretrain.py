"""Pre-training: steps and checkpoints, facts, the curve of a fixed seed, several processes, refused jobs."""

import dataclasses
import json
import math
import os
from pathlib import Path

import numpy
import pytest
import torch
from fixtures.pretraining import LINES, LONG
from fixtures.processes import exit_codes, in_two_children
from fixtures.training import write_model
from lep.config import UserError
from lep.files import sha256_file
from lep.manifest import read_manifest, verify
from lep.models.store import load_model
from lep.pretraining.packing import encode_document, load_encoder, open_blocks
from lep.pretraining.pretrain import checkpoint_steps, pretrain
from lep.pretraining.trainer import BlockDataset, count_steps
from safetensors.torch import load_file


def test_steps_and_checkpoint_names(make_job) -> None:
    job = make_job()
    assert checkpoint_steps(300, [0.25, 0.5, 1.0]) == {"cpt-025": 75, "cpt-050": 150, "cpt-100": 300}
    epoch = dataclasses.replace(job.optimisation, max_steps=None)
    assert count_steps(33, 16, epoch) == 8
    assert count_steps(33, 16, dataclasses.replace(epoch, token_budget=3 * 64 + 63)) == 3
    assert count_steps(33, 16, dataclasses.replace(epoch, share=0.2)) == 1
    assert count_steps(33, 16, job.optimisation) == 9
    for fractions in ([], [0.5], [1.0, 0.5], [0.0, 1.0]):
        with pytest.raises(UserError, match="fractions"):
            checkpoint_steps(300, fractions)
    with pytest.raises(UserError, match="do not fit"):
        checkpoint_steps(2, [0.1, 0.2, 1.0])
    with pytest.raises(UserError, match="do not fill one step"):
        count_steps(3, 16, epoch)


def test_two_processes_train_as_one(make_job, short_run) -> None:
    """DDP over gloo: the same sequences a step, so the same curve and the same weights up to rounding."""
    one, two = short_run, make_job("two", save_steps=4)
    assert exit_codes(in_two_children(pretrain, two)) == [0, 0]
    curves = [[json.loads(line) for line in (job.output / "log.jsonl").read_text().splitlines()] for job in (one, two)]
    for ours, theirs in zip(*curves, strict=True):
        assert theirs == pytest.approx(ours, rel=2e-4)
    for kind in ("input", "head"):
        ours, theirs = (load_file(job.work / "cpt-100.safetensors")[kind] for job in (one, two))
        torch.testing.assert_close(theirs, ours, rtol=1e-3, atol=1e-4)
    assert json.loads((two.output / "run.json").read_text())["processes"] == 2


def test_facts_of_a_run(short_run, material: Path) -> None:
    job = short_run
    metrics = json.loads((job.output / "metrics.json").read_text())
    assert [c["name"] for c in metrics["checkpoints"]] == ["init", "cpt-050", "cpt-100"]
    assert [c["trained_tokens"] for c in metrics["checkpoints"]] == [0, 5 * 64, 9 * 64]
    assert metrics["checkpoints"][-1]["bits_per_character"] < metrics["checkpoints"][0]["bits_per_character"]
    log = [json.loads(line) for line in (job.output / "log.jsonl").read_text().splitlines()]
    assert [entry["step"] for entry in log] == [1, 2, 4, 6, 8, 9]
    manifest = verify(job.models / "cpt-100")
    assert manifest["parents"]["model"] == sha256_file(material / "model/manifest.json")
    body = next((material / "model").glob("body-*.safetensors"))
    assert os.path.samefile(body, job.models / "cpt-100" / body.name)
    assert read_manifest(job.output)["facts"]["steps"] == 9
    assert not list(job.work.glob("checkpoint-*"))


def test_the_loss_is_the_models_own(short_run) -> None:
    """The first logged loss is the mean cross-entropy of the first global batch under the initial model."""
    job = short_run
    first = json.loads((job.output / "log.jsonl").read_text().splitlines()[0])
    dataset = BlockDataset(open_blocks(job.data), 4, job.seed)
    ids = torch.from_numpy(dataset.__getitems__([0, 1, 2, 3]).astype(numpy.int64))
    with torch.no_grad():
        expected = load_model(job.model, "float32", "cpu")(input_ids=ids, labels=ids).loss.item()
    assert first["loss"] == pytest.approx(expected, abs=2e-6)
    facts = read_manifest(job.data)["facts"]
    bits = expected / math.log(2) * facts["tokens"] / facts["characters"]
    assert first["bits_per_character"] == pytest.approx(bits, abs=2e-6)


def test_curve_of_a_fixed_seed(make_job) -> None:
    """Recorded once: what moves it, moves every number of the workflow, and needs a new RECIPE_VERSION."""
    job = make_job(log_steps=1)
    pretrain(job)
    curve = [json.loads(line)["loss"] for line in (job.output / "log.jsonl").read_text().splitlines()]
    assert curve == pytest.approx(
        [5.745572, 5.75701, 5.674109, 5.445385, 5.384583, 5.154459, 5.088598, 4.996754, 4.996773], rel=1e-4
    )


@pytest.mark.parametrize("packing", ["paper", "masked"])
def test_the_end_of_a_document_is_learnt(make_job, long_run, packing: str) -> None:
    job = long_run
    if packing != job.optimisation.packing:
        job = make_job(optimisation=LONG | {"packing": packing})
        pretrain(job)
    encoder, special = load_encoder(job.model)
    with open(job.data.parent / "corpus/train.jsonl", encoding="utf-8") as file:
        ids, _ = encode_document(json.loads(file.readline()), encoder, special)
    assert ids[-1] == special.eos
    chances = []
    for folder in (job.model, job.models / "cpt-100"):
        with torch.no_grad():
            logits = load_model(folder, "float32", "cpu")(torch.tensor([ids[:-1]])).logits[0, -1]
        chances.append(float(logits.softmax(-1)[special.eos]))
    assert chances[0] < 0.02
    assert chances[1] > 0.2


def test_foreign_data_are_refused(make_job, material: Path, tmp_path: Path) -> None:
    write_model(tmp_path / "other", [*LINES, "Совсем другой текст, другой словарь."], rows=400)
    with pytest.raises(UserError, match="pack the corpus with this model's tokenizer"):
        pretrain(make_job(model=str(tmp_path / "other")))


@pytest.mark.parametrize("learning_rate", [1e30, 1e38])
def test_a_diverged_training_stops_and_publishes_nothing(make_job, learning_rate: float) -> None:
    job = make_job(f"diverged-{learning_rate:g}")
    recipe = dataclasses.replace(job.optimisation, learning_rate=learning_rate, max_gradient_norm=0.0)
    job = dataclasses.replace(job, optimisation=recipe)
    message = r"has diverged: .* is NaN or infinite (at|after) step \d+; nothing of this run is published. Lower"
    with pytest.raises(UserError, match=message):
        pretrain(job)
    assert not job.output.exists()
    assert not job.models.exists()
    with pytest.raises(UserError, match="has diverged"):  # a restart finds no broken weights to go on from
        pretrain(job)
    assert not job.output.exists()
