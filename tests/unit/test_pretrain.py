"""Pre-training: closed forms of loss and bits per character, the frozen body, kill and resume to the bit."""

import dataclasses
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy
import pytest
import torch
from lep.config import UserError, load_job
from lep.loss import chunked_cross_entropy
from lep.manifest import publish, read_manifest, sha256_file, staging, verify
from lep.packing import PackingRecipe, pack_corpus
from lep.pretrain import BlockDataset, PretrainJob, checkpoint_steps, count_steps, freeze_body, pretrain
from lep.trainer import COMPLETE, hash_frozen
from lep.validation import ScoredText, ValidationRecipe, split_windows, validate
from torch.nn import functional
from training_fixtures import tiny_model, write_model

LINES = ["В начале сотворил Бог небо и землю.", "И сказал Бог: да будет свет.", "И стал свет."]


def test_chunked_loss_equals_the_plain_one() -> None:
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(37, 8, generator=generator, dtype=torch.float64).requires_grad_()
    weight = torch.randn(50, 8, generator=generator, dtype=torch.float64).requires_grad_()
    targets = torch.randint(0, 50, (37,), generator=generator)
    plain = functional.cross_entropy(hidden @ weight.T, targets, reduction="sum")
    expected = torch.autograd.grad(plain * 0.5, (hidden, weight))
    for chunk in (1, 10, 100):
        ours = chunked_cross_entropy(hidden, weight, targets, chunk)
        assert ours.item() == pytest.approx(plain.item(), rel=1e-5)
        for found, wanted in zip(torch.autograd.grad(ours * 0.5, (hidden, weight)), expected, strict=True):
            torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def test_uniform_model_costs_log_v_per_token() -> None:
    model = tiny_model(rows=40, tied=False)
    with torch.no_grad():
        model.get_output_embeddings().weight.zero_()
    texts = [ScoredText("ru", [[1, *range(3, 20)], [1, 5, 6]], 60), ScoredText("en", [[1, 7]], 10)]
    scores = validate(model, texts, ValidationRecipe(["ru", "en"], 100, window=7))
    assert scores["loss_per_token"] == pytest.approx(math.log(40))
    assert scores["bits_per_character"] == pytest.approx(math.log2(40) * 20 / 70)
    assert scores["bits_per_character_ru"] == pytest.approx(math.log2(40) * 19 / 60)


def test_validation_ignores_padding_and_batching() -> None:
    model = tiny_model(rows=40, tied=False).eval()
    ids = [[1, *range(3, 12)], [1, 5, 6]]
    expected = 0.0
    with torch.no_grad():
        for document in ids:  # shorter than the window: one plain forward pass each
            logits = model(torch.tensor([document])).logits[0]
            expected += functional.cross_entropy(logits[:-1], torch.tensor(document[1:]), reduction="sum").item()
    for batch_size in (1, 2):
        recipe = ValidationRecipe(["ru"], 100, window=64, batch_size=batch_size)
        assert validate(model, [ScoredText("ru", ids, 10)], recipe)["loss_per_token"] == pytest.approx(expected / 11)


@pytest.mark.parametrize("length", [1, 2, 7, 8, 13, 14])
def test_every_token_but_the_first_is_a_target_once(length: int) -> None:
    windows = split_windows(list(range(length)), 7)
    assert [token for window in windows for token in window[1:]] == list(range(1, length))
    assert all(2 <= len(window) <= 7 for window in windows)


def test_the_order_of_data_is_a_permutation_per_epoch() -> None:
    blocks = numpy.arange(10)[:, None]
    dataset = BlockDataset(blocks, 20, seed=3)
    first, second = dataset.__getitems__(list(range(10))), dataset.__getitems__(list(range(10, 20)))
    assert sorted(first[:, 0]) == sorted(second[:, 0]) == list(range(10))
    assert first[:, 0].tolist() != second[:, 0].tolist()
    fresh = BlockDataset(blocks, 20, seed=3)
    assert [int(fresh[i][0]) for i in range(12, 15)] == second[2:5, 0].tolist()


def test_steps_and_checkpoint_names(make_job) -> None:
    job = make_job()
    assert checkpoint_steps(300, [0.25, 0.5, 1.0]) == {"cpt-025": 75, "cpt-050": 150, "cpt-100": 300}
    assert count_steps(33, dataclasses.replace(job.optimisation, max_steps=None)) == 8
    for fractions in ([], [0.5], [1.0, 0.5], [0.0, 1.0]):
        with pytest.raises(UserError, match="fractions"):
            checkpoint_steps(300, fractions)
    with pytest.raises(UserError, match="do not fit"):
        checkpoint_steps(2, [0.1, 0.2, 1.0])
    with pytest.raises(UserError, match="do not fill one step"):
        count_steps(3, dataclasses.replace(job.optimisation, max_steps=None))


@pytest.mark.parametrize("tied", [False, True])
def test_only_the_matrices_train(tied: bool) -> None:
    model = tiny_model(rows=40, tied=tied)
    freeze_body(model)
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trained == {"model.embed_tokens.weight"} | (set() if tied else {"lm_head.weight"})
    before = hash_frozen(model)
    with torch.no_grad():
        model.get_input_embeddings().weight.add_(1)
    assert hash_frozen(model) == before
    with torch.no_grad():
        model.model.norm.weight[0] += 1e-6
    assert hash_frozen(model) != before


@pytest.fixture(scope="module")
def material(tmp_path_factory) -> Path:
    """A tiny model, a corpus packed with its tokenizer, and validation documents."""
    folder = tmp_path_factory.mktemp("material")
    write_model(folder / "model", LINES)
    built = staging(folder / "corpus")
    for split in ("train", "validation"):
        with open(built / f"{split}.jsonl", "w", encoding="utf-8") as file:
            for number in range(40 if split == "train" else 3):
                lines = [LINES[(number + k) % 3] for k in range(3)]
                paragraphs = [{"id": str(k), "text": line} for k, line in enumerate(lines)]
                document = {
                    "id": str(number),
                    "group": str(number),
                    "source": "s",
                    "language": "ru",
                    "title": f"{number}",
                }
                file.write(json.dumps({**document, "paragraphs": paragraphs}, ensure_ascii=False) + "\n")
    publish(built, folder / "corpus", recipe_version=1)
    pack_corpus(folder / "corpus/train.jsonl", folder / "model", folder / "packed", PackingRecipe(16, reserve=0))
    return folder


@pytest.fixture
def make_job(material: Path, tmp_path: Path):
    def make(name: str = "run", **changes) -> PretrainJob:
        values = {
            "model": str(material / "model"),
            "data": str(material / "packed"),
            "validation": str(material / "corpus/validation.jsonl"),
            "work": str(tmp_path / name / "work"),
            "models": str(tmp_path / name / "models"),
            "output": str(tmp_path / name / "output"),
            "optimisation": {
                "learning_rate": 0.01,
                "batch_size": 2,
                "accumulation": 2,
                "max_steps": 9,
                "warmup_steps": 2,
            },
            "validation_recipe": {"languages": ["ru"], "characters": 200, "window": 16},
            "fractions": [0.5, 1.0],
            "seed": 1,
            "threads": 1,
            "device": "cpu",
            "dtype": "float32",
            "log_steps": 2,
            "save_steps": 3,
        } | changes
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(values))
        return load_job(PretrainJob, path)

    return make


def results(job: PretrainJob) -> dict[str, str]:
    """Hashes of everything the run decided."""
    files = [*(job.models / "cpt-050").iterdir(), *(job.models / "cpt-100").iterdir(), *job.output.iterdir()]
    return {f"{p.parent.name}/{p.name}": sha256_file(p) for p in files if p.name != "run.json"}


class KilledError(Exception):
    pass


def test_a_run_interrupted_anywhere_ends_with_equal_bits(make_job, monkeypatch) -> None:
    import lep.trainer

    whole = make_job("whole")
    pretrain(whole)
    expected = results(whole)
    on_save = lep.trainer.Schedule.on_save
    on_step_end = lep.trainer.Schedule.on_step_end
    broken = make_job("broken")

    def die_at(step: int, before_saving: bool) -> None:
        def saving(self, args, state, control, **kwargs):
            if state.global_step == step and before_saving:
                raise KilledError  # the checkpoint is written but not marked complete
            on_save(self, args, state, control, **kwargs)

        def stepping(self, args, state, control, **kwargs):
            if state.global_step == step and not before_saving:
                raise KilledError
            on_step_end(self, args, state, control, **kwargs)

        monkeypatch.setattr(lep.trainer.Schedule, "on_save", saving)
        monkeypatch.setattr(lep.trainer.Schedule, "on_step_end", stepping)
        with pytest.raises(KilledError):
            pretrain(broken)

    die_at(3, before_saving=True)
    assert not (broken.work / "checkpoint-3" / COMPLETE).exists()
    die_at(5, before_saving=False)  # right at a checkpoint for the model store, step 5 of 9
    assert (broken.work / "checkpoint-3" / COMPLETE).exists()
    die_at(8, before_saving=False)
    monkeypatch.setattr(lep.trainer.Schedule, "on_save", on_save)
    monkeypatch.setattr(lep.trainer.Schedule, "on_step_end", on_step_end)
    pretrain(broken)
    assert results(broken) == expected
    assert json.loads((broken.output / "run.json").read_text())["steps_in_this_process"] == 3  # from step 6

    shutil.rmtree(broken.output)
    shutil.rmtree(broken.models)
    monkeypatch.setattr("lep.pretrain.make_trainer", None)
    pretrain(broken)  # a finished run publishes again, without training
    assert results(broken) == expected


def test_sigkill_and_restart_of_the_command(make_job, tmp_path: Path) -> None:
    many = {"learning_rate": 0.01, "batch_size": 2, "max_steps": 150, "warmup_steps": 2}
    whole, killed = (
        make_job("whole", optimisation=many, save_steps=10),
        make_job("kill", optimisation=many, save_steps=10),
    )
    pretrain(whole)
    command = [sys.executable, "-m", "lep.pretrain", "--config", str(tmp_path / "kill.json")]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while (
        not list(killed.work.glob("checkpoint-*/complete")) and time.monotonic() < deadline and process.poll() is None
    ):
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (killed.work / "finished.json").exists()
    pretrain(killed)
    assert json.loads((killed.output / "run.json").read_text())["steps_in_this_process"] < 150
    assert results(killed) == results(whole)


def test_facts_of_a_run(make_job, material: Path) -> None:
    job = make_job()
    pretrain(job)
    metrics = json.loads((job.output / "metrics.json").read_text())
    assert [c["name"] for c in metrics["checkpoints"]] == ["init", "cpt-050", "cpt-100"]
    assert [c["tokens"] for c in metrics["checkpoints"]] == [0, 5 * 64, 9 * 64]
    assert metrics["checkpoints"][-1]["bits_per_character"] < metrics["checkpoints"][0]["bits_per_character"]
    log = [json.loads(line) for line in (job.output / "log.jsonl").read_text().splitlines()]
    assert [entry["step"] for entry in log] == [1, 2, 3, 4, 5, 6, 8, 9]
    manifest = verify(job.models / "cpt-100")
    assert manifest["parents"]["model"] == sha256_file(material / "model/manifest.json")
    body = next((material / "model").glob("body-*.safetensors"))
    assert os.path.samefile(body, job.models / "cpt-100" / body.name)
    assert read_manifest(job.output)["facts"]["steps"] == 9
    assert not list(job.work.glob("checkpoint-*"))


def test_the_loss_is_the_models_own(make_job, material: Path) -> None:
    """The first logged loss is the mean cross-entropy of the first global batch under the initial model."""
    from lep.model_store import load_model
    from lep.packing import open_blocks

    job = make_job()
    pretrain(job)
    first = json.loads((job.output / "log.jsonl").read_text().splitlines()[0])
    dataset = BlockDataset(open_blocks(job.data), 4, job.seed)
    ids = torch.from_numpy(dataset.__getitems__([0, 1, 2, 3]).astype(numpy.int64))
    with torch.no_grad():
        expected = load_model(job.model, "float32", "cpu")(input_ids=ids, labels=ids).loss.item()
    assert first["loss"] == pytest.approx(expected, abs=2e-6)


def test_another_job_does_not_go_on_from_old_work(make_job) -> None:
    job = make_job()
    pretrain(job)
    other = make_job(seed=2)
    pretrain(other)
    assert read_manifest(other.output)["seed"] == 2
    assert json.loads((other.output / "run.json").read_text())["steps_in_this_process"] == 9


def test_foreign_data_are_refused(make_job, material: Path, tmp_path: Path) -> None:
    write_model(tmp_path / "other", [*LINES, "Совсем другой текст, другой словарь."], rows=400)
    with pytest.raises(UserError, match="pack the corpus with this model's tokenizer"):
        pretrain(make_job(model=str(tmp_path / "other")))
