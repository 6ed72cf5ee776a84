"""Calibration: what the loss covers, several processes, resume to the bit, refusals."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from fixtures.processes import exit_codes, in_a_child, in_two_children, wait_for
from lep.calibration.calibrate import calibrate
from lep.calibration.trainer import encode_examples, order_examples
from lep.config import UserError
from lep.files import sha256_file
from lep.manifest import verify
from lep.models.chat import IGNORED
from lep.models.folder import load_tokenizer
from safetensors.torch import load_file


def test_no_machine_path_in_the_result(make_calibrate_job, tmp_path: Path) -> None:
    job = make_calibrate_job()
    calibrate(job)
    for path in job.output.rglob("*.json"):
        if path.name != "run.json":
            assert str(tmp_path.parent.parent) not in path.read_text()
    assert not (job.output / "adapter/README.md").exists()


def test_small_steps_are_not_lost_in_bfloat16(make_calibrate_job) -> None:
    """At 2e-5 a step of AdamW is a hundredth of a weight's last bit in bfloat16; eight of them must still add up."""
    job = make_calibrate_job(full=["embed_tokens", "lm_head"])
    tuning = dataclasses.replace(job.tuning, learning_rate=2e-5, epochs=2, schedule="constant")
    calibrate(dataclasses.replace(job, dtype="bfloat16", tuning=tuning, save_steps=100))
    saved = load_file(job.output / "adapter/adapter_model.safetensors")
    assert {saved[f"base_model.model.{name}.weight"].dtype for name in ("lm_head", "model.embed_tokens")} == {
        torch.bfloat16
    }
    lora = {name: tensor for name, tensor in saved.items() if "lora_B" in name}
    assert lora
    for tensor in lora.values():  # they start at zero
        assert tensor.dtype == torch.float32
        assert 2e-5 < tensor.abs().max() < 2e-4
    facts = verify(job.output)["facts"]
    assert facts["held_out_loss"] < facts["held_out_loss_before"]


def test_killed_without_warning_it_goes_on_to_the_same_bits(make_calibrate_job) -> None:
    whole, killed = (make_calibrate_job(name) for name in ("whole", "killed"))
    tuning = dataclasses.replace(whole.tuning, epochs=2)  # eight steps
    whole, killed = (dataclasses.replace(job, tuning=tuning, save_steps=1) for job in (whole, killed))
    calibrate(whole)
    process = in_a_child(calibrate, killed)
    wait_for((killed.work / "checkpoint-2/complete").is_file, process)
    process.kill()
    process.join()
    calibrate(killed)
    assert sha256_file(whole.output / "manifest.json") == sha256_file(killed.output / "manifest.json")
    assert json.loads((killed.output / "run.json").read_text())["steps_in_this_process"] <= 6


def test_two_processes_train_as_one(make_calibrate_job, tmp_path: Path, calibration_folder: Path) -> None:
    """The gradient of a step is that of all its conversations, however they are spread."""
    data = tmp_path / "twelve.jsonl"  # three full steps
    data.write_text("".join((calibration_folder / "data.jsonl").read_text().splitlines(keepends=True)[:12]))
    one, two = (dataclasses.replace(make_calibrate_job(name), data=data) for name in ("one", "two"))
    calibrate(one)
    said = [tmp_path / f"said-{n}" for n in range(2)]
    assert exit_codes(in_two_children(calibrate, two, said)) == [0, 0]
    assert not [path for path in said if "find_unused_parameters" in path.read_text()]  # torch warns of a vain search
    losses = [
        [json.loads(line)["loss"] for line in (job.output / "log.jsonl").read_text().splitlines()] for job in (one, two)
    ]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
    name = "adapter/adapter_model.safetensors"
    expected, found = load_file(one.output / name), load_file(two.output / name)
    for key, tensor in expected.items():
        torch.testing.assert_close(found[key], tensor, rtol=1e-3, atol=1e-4)


def test_a_finished_run_is_published_again_and_stored_once(make_calibrate_job) -> None:
    job = make_calibrate_job()
    calibrate(job)
    before = (job.output / "manifest.json").read_bytes()
    file = Path("adapter/adapter_model.safetensors")
    assert (job.work / file).samefile(job.output / file)
    assert not list(job.work.glob("checkpoint-*"))
    (job.output / "manifest.json").unlink()
    calibrate(job)
    assert (job.output / "manifest.json").read_bytes() == before
    assert "steps_in_this_process" in json.loads((job.output / "run.json").read_text())


class KilledError(Exception):
    pass


def test_interrupted_and_uninterrupted_end_with_equal_bits(make_calibrate_job, monkeypatch) -> None:
    import lep.pretraining.resumable

    whole, broken = make_calibrate_job("whole"), make_calibrate_job("broken")
    calibrate(whole)
    original = lep.pretraining.resumable.Schedule.on_step_end

    def stop(self, args, state, control, **kwargs):
        if state.global_step == 3:
            raise KilledError
        original(self, args, state, control, **kwargs)

    monkeypatch.setattr(lep.pretraining.resumable.Schedule, "on_step_end", stop)
    with pytest.raises(KilledError):
        calibrate(broken)
    monkeypatch.setattr(lep.pretraining.resumable.Schedule, "on_step_end", original)
    calibrate(broken)
    for name in ("adapter/adapter_model.safetensors", "adapter/adapter_config.json", "log.jsonl", "metrics.json"):
        assert sha256_file(whole.output / name) == sha256_file(broken.output / name), name
    assert json.loads((broken.output / "run.json").read_text())["steps_in_this_process"] == 2
    head = "base_model.model.lm_head.weight"
    assert head in load_file(whole.output / "adapter/adapter_model.safetensors")


def test_the_loss_is_that_of_the_answers(make_calibrate_job) -> None:
    """The first logged loss is the mean over the answer tokens of the first step under the parent."""
    from lep.models.store import load_model

    job = make_calibrate_job()
    calibrate(job)
    first = json.loads((job.output / "log.jsonl").read_text().splitlines()[0])["loss"]
    examples, _ = encode_examples(job.data, load_tokenizer(job.parent), 200)
    order = order_examples([len(e["input_ids"]) for e in examples], job.tuning, job.seed)
    model = load_model(job.parent, "float32", "cpu")
    total = count = 0
    for index in order[:4]:
        ids, labels = (torch.tensor([examples[index][key]]) for key in ("input_ids", "labels"))
        with torch.no_grad():
            n = int((labels[:, 1:] != IGNORED).sum())
            total += model(input_ids=ids, labels=labels).loss.item() * n
        count += n
    assert first == pytest.approx(total / count, abs=1e-5)


def test_refusals(make_calibrate_job, tmp_path: Path) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"messages": [{"role": "user", "content": "a"}]}\n')
    with pytest.raises(UserError, match="line 1: `messages` has no assistant"):
        calibrate(dataclasses.replace(make_calibrate_job(), data=bad))
    job = make_calibrate_job()
    with pytest.raises(UserError, match="at most 5 tokens"):
        calibrate(dataclasses.replace(job, tuning=dataclasses.replace(job.tuning, max_length=5)))


def test_a_diverged_calibration_stops_and_publishes_nothing(make_calibrate_job) -> None:
    job = make_calibrate_job("diverged")
    job = dataclasses.replace(job, tuning=dataclasses.replace(job.tuning, learning_rate=1e30, max_gradient_norm=0.0))
    message = r"has diverged: .* is NaN or infinite (at|after) step \d+.*Lower the learning rate"
    with pytest.raises(UserError, match=message):
        calibrate(job)
    assert not job.output.exists()
    # Started again it stops again: no restart point has the broken weights.
    with pytest.raises(UserError, match="has diverged"):
        calibrate(job)
    assert not job.output.exists()
