"""Pre-training: closed forms of loss and bits per character, the frozen body, kill and resume to the bit."""

import contextlib
import dataclasses
import json
import math
import multiprocessing
import os
import random
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import lep.log
import lep.pretraining.resumable
import numpy
import pytest
import torch
from fixtures.training import tiny_model, write_model
from lep.compute import stop
from lep.config import UserError, load_job
from lep.files import sha256_file
from lep.manifest import publish, read_manifest, staging, verify
from lep.models.store import load_model
from lep.pretraining.loss import chunked_cross_entropy
from lep.pretraining.packing import Blocks, encode_document, load_encoder, open_blocks, pack_corpus
from lep.pretraining.pretrain import PretrainJob, checkpoint_steps, pretrain
from lep.pretraining.resumable import COMPLETE, hash_frozen
from lep.pretraining.selection import PackingRecipe
from lep.pretraining.trainer import BlockDataset, count_steps, freeze_body, split_batch
from lep.pretraining.validation import ScoredText, ValidationRecipe, split_windows, validate
from safetensors.torch import load_file
from torch.nn import functional

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
    blocks = Blocks([numpy.arange(4)[:, None], numpy.arange(4, 10)[:, None]])
    dataset = BlockDataset(blocks, 20, seed=3)
    first, second = dataset.__getitems__(list(range(10))), dataset.__getitems__(list(range(10, 20)))
    assert sorted(first[:, 0]) == sorted(second[:, 0]) == list(range(10))
    assert first[:, 0].tolist() != second[:, 0].tolist()
    fresh = BlockDataset(blocks, 20, seed=3)
    assert [int(fresh[i][0]) for i in range(12, 15)] == second[2:5, 0].tolist()


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


def test_the_step_is_the_same_for_any_number_of_processes() -> None:
    assert split_batch(256, 4, 64) == (4, 1)
    assert split_batch(256, 4, 8) == (4, 8)
    assert split_batch(256, 6, 1) == (4, 64)
    assert split_batch(16, 16, 4) == (4, 1)
    with pytest.raises(UserError, match="use a multiple of 3"):
        split_batch(256, 4, 3)


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
                "batch_size": 4,
                "max_steps": 9,
                "warmup_steps": 2,
            },
            "execution": {"micro_batch_size": 2},
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
    whole = make_job("whole")
    pretrain(whole)
    expected = results(whole)
    on_save = lep.pretraining.resumable.Schedule.on_save
    on_step_end = lep.pretraining.resumable.Schedule.on_step_end
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

        monkeypatch.setattr(lep.pretraining.resumable.Schedule, "on_save", saving)
        monkeypatch.setattr(lep.pretraining.resumable.Schedule, "on_step_end", stepping)
        with pytest.raises(KilledError):
            pretrain(broken)

    die_at(3, before_saving=True)
    assert not (broken.work / "checkpoint-3" / COMPLETE).exists()
    die_at(5, before_saving=False)  # right at a checkpoint for the model store, step 5 of 9
    assert (broken.work / "checkpoint-3" / COMPLETE).exists()
    die_at(8, before_saving=False)
    monkeypatch.setattr(lep.pretraining.resumable.Schedule, "on_save", on_save)
    monkeypatch.setattr(lep.pretraining.resumable.Schedule, "on_step_end", on_step_end)
    pretrain(broken)
    assert results(broken) == expected
    assert json.loads((broken.output / "run.json").read_text())["steps_in_this_process"] == 3  # from step 6

    shutil.rmtree(broken.output)
    shutil.rmtree(broken.models)
    monkeypatch.setattr("lep.pretraining.pretrain.make_trainer", None)
    pretrain(broken)  # a finished run publishes again, without training
    assert results(broken) == expected


def in_a_child(job: PretrainJob, **environment: str) -> multiprocessing.Process:
    """The training in a forked process (no second import of torch), asked to stop by signals, without its output."""

    def target() -> None:
        os.environ.update(environment)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        stop.listen()
        with lep.log.logged():
            pretrain(job)
        os._exit(0)

    process = multiprocessing.get_context("fork").Process(target=target)
    process.start()
    return process


LONG = {"learning_rate": 0.01, "batch_size": 4, "max_steps": 120, "warmup_steps": 2}


def wait_for(found: Callable[[], object], process: multiprocessing.Process) -> None:
    deadline = time.monotonic() + 60
    while not found() and process.is_alive() and time.monotonic() < deadline:
        time.sleep(0.002)
    assert process.is_alive(), "the training ended too soon"


def has_lines(path: Path, count: int) -> bool:
    return path.is_file() and path.read_text().count("\n") >= count


def test_sigkill_at_random_moments_gives_equal_bits(make_job) -> None:
    """Whatever is being computed or written: the next start goes on, and the end is that of an undisturbed run."""
    whole, killed = (make_job(name, optimisation=LONG, save_steps=7) for name in ("whole", "killed"))
    pretrain(whole)
    seconds = json.loads((whole.output / "run.json").read_text())["training_seconds"]
    draw = random.Random(4)
    log = killed.work / "log.jsonl"
    for _ in range(5):
        log.unlink(missing_ok=True)  # written when the training goes on
        process = in_a_child(killed)
        wait_for(log.exists, process)
        time.sleep(draw.uniform(0, seconds / 4))
        process.kill()
        process.join()
        assert process.exitcode in (-signal.SIGKILL, 0)
    pretrain(killed)
    assert results(killed) == results(whole)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_stops_with_a_checkpoint_and_a_code(make_job, number: signal.Signals) -> None:
    whole, stopped = (make_job(name, optimisation=LONG, save_steps=1000) for name in ("whole", "stopped"))
    pretrain(whole)
    process = in_a_child(stopped)
    wait_for(lambda: has_lines(stopped.work / "log.jsonl", 3), process)
    os.kill(process.pid, number)
    process.join()
    assert process.exitcode == stop.REQUEUE == 75
    checkpoint = next(stopped.work.glob("checkpoint-*"))
    assert (checkpoint / COMPLETE).exists()
    assert not stopped.output.exists()
    pretrain(stopped)
    assert results(stopped) == results(whole)  # the log as well
    done = json.loads((stopped.output / "run.json").read_text())["steps_in_this_process"]
    assert done == 120 - int(checkpoint.name.split("-")[1])


def test_a_long_run_goes_on_in_chunks(make_job, monkeypatch) -> None:
    """Each start works for a while and stops, as where a partition limits the time."""
    whole, chunks = make_job("whole"), make_job("chunks", save_steps=1000)
    pretrain(whole)
    starts, asked = 0, 0

    def requested() -> str | None:
        nonlocal asked
        asked += 1
        return "time limit" if asked % 4 == 0 else None

    monkeypatch.setattr("lep.compute.stop.requested", requested)
    while not chunks.output.exists():
        starts += 1
        with contextlib.suppress(SystemExit):
            pretrain(chunks)
    assert starts == 3
    assert results(chunks) == results(whole)


def test_the_time_limit_counts_from_the_start_of_the_process(monkeypatch) -> None:
    handlers = [signal.getsignal(number) for number in stop.SIGNALS]
    try:
        stop.listen(minutes=2)
        monkeypatch.setattr("time.monotonic", lambda: stop._STARTED + 119)
        assert stop.requested() is None
        monkeypatch.setattr("time.monotonic", lambda: stop._STARTED + 121)
        assert stop.requested() == "time limit"
    finally:
        stop.listen()
        for number, handler in zip(stop.SIGNALS, handlers, strict=True):
            signal.signal(number, handler)


def test_a_full_disk_is_said_and_harms_nothing(make_job, monkeypatch) -> None:
    """A limit of the size of files fails a checkpoint's writing as a full disk does, in the middle."""
    whole, full = make_job("whole", optimisation=LONG), make_job("full", optimisation=LONG)
    pretrain(whole)
    monkeypatch.setattr(
        "lep.pretraining.resumable.Schedule.on_save",
        stop_growing(lep.pretraining.resumable.Schedule.on_save, full.work, 9),
    )
    try:
        with pytest.raises(UserError, match=r"could not be written .* make room and run the same command again"):
            pretrain(full)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    monkeypatch.undo()
    assert {path.name for path in full.work.glob("checkpoint-*")} == {"checkpoint-6", "checkpoint-9"}
    pretrain(full)
    assert results(full) == results(whole)


def stop_growing(on_save: Callable, work: Path, step: int) -> Callable:
    """`on_save`, and from `step` on no file may have more than 20 kB."""

    def saving(self, args, state, control, **kwargs) -> None:
        on_save(self, args, state, control, **kwargs)
        if state.global_step == step:
            resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))

    return saving


def test_two_processes_train_as_one(make_job) -> None:
    """DDP over gloo: the same sequences a step, so the same curve and the same weights up to rounding."""
    one, two = make_job("one"), make_job("two", save_steps=4)
    pretrain(one)
    port = free_port()
    places = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "LOCAL_WORLD_SIZE": "2"}
    children = [in_a_child(two, RANK=str(n), LOCAL_RANK=str(n), **places) for n in range(2)]
    for child in children:
        child.join(120)
    assert [child.exitcode for child in children] == [0, 0]
    curves = [[json.loads(line) for line in (job.output / "log.jsonl").read_text().splitlines()] for job in (one, two)]
    for ours, theirs in zip(*curves, strict=True):
        assert theirs == pytest.approx(ours, rel=2e-4)
    for kind in ("input", "head"):
        ours, theirs = (load_file(job.work / "cpt-100.safetensors")[kind] for job in (one, two))
        torch.testing.assert_close(theirs, ours, rtol=1e-3, atol=1e-4)
    assert json.loads((two.output / "run.json").read_text())["processes"] == 2


def test_a_run_goes_on_with_another_number_of_processes(make_job) -> None:
    """Two processes are asked to stop, one goes on with the same data in the same order."""
    whole, moved = (make_job(name, optimisation=LONG, save_steps=1000) for name in ("whole", "moved"))
    pretrain(whole)
    places = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "LOCAL_WORLD_SIZE": "2"}
    children = [in_a_child(moved, RANK=str(n), LOCAL_RANK=str(n), **places) for n in range(2)]
    wait_for(lambda: has_lines(moved.work / "log.jsonl", 3), children[0])
    os.kill(children[1].pid, signal.SIGUSR1)  # one is asked, both stop after the same step
    for child in children:
        child.join(120)
    assert [child.exitcode for child in children] == [stop.REQUEUE] * 2
    pretrain(moved)
    ours, theirs = (json.loads((job.output / "metrics.json").read_text())["checkpoints"] for job in (whole, moved))
    for mine, its in zip(ours, theirs, strict=True):
        assert its.pop("name") == mine.pop("name")
        assert its == pytest.approx(mine, rel=1e-3)
    assert json.loads((moved.output / "run.json").read_text())["steps_in_this_process"] < 120


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def test_the_launcher_passes_signals_and_the_exit_code(tmp_path: Path) -> None:
    module = tmp_path / "waits.py"
    module.write_text(
        "import os, pathlib, sys, time\nfrom lep.compute import stop\nstop.listen()\n"
        "pathlib.Path(sys.argv[1], os.environ['RANK']).touch()\n"
        "end = time.monotonic() + 60\n"
        "while not stop.requested() and time.monotonic() < end:\n    time.sleep(0.01)\n"
        "sys.exit(stop.REQUEUE if stop.requested() == 'SIGUSR1' else 1)\n"
    )
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", ""), str(Path(lep.log.__file__).parents[1])])
    command = [sys.executable, "-m", "lep.compute.launch", "--processes", "2", "waits", str(tmp_path)]
    process = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": path}, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not ((tmp_path / "0").exists() and (tmp_path / "1").exists()) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGUSR1)
    assert process.wait(60) == stop.REQUEUE


def test_facts_of_a_run(make_job, material: Path) -> None:
    job = make_job()
    pretrain(job)
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


def test_the_loss_is_the_models_own(make_job, material: Path) -> None:
    """The first logged loss is the mean cross-entropy of the first global batch under the initial model."""
    job = make_job()
    pretrain(job)
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
def test_the_end_of_a_document_is_learnt(make_job, packing: str) -> None:
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
