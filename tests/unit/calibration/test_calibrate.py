"""Calibration: what the loss covers, order and padding, resume to the bit, merged = adapter."""

import dataclasses
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from fixtures.training import LLAMA3, OPENCHAT, byte_tokenizer, sentencepiece_tokenizer, write_model, write_tokenizer
from lep.calibration.calibrate import CalibrateJob, calibrate
from lep.calibration.trainer import Tuning, answer_loss, encode_examples, order_examples, padding_share
from lep.config import UserError, load_job
from lep.files import sha256_file
from lep.manifest import verify
from lep.models.adapter import merge, publish_merged
from lep.models.chat import IGNORED, encode_conversation, encode_prompt, end_of_turn_ids
from lep.models.folder import load_tokenizer
from safetensors.torch import load_file

ROOT = Path(__file__).parents[3]
LINES = ["В начале сотворил Бог небо и землю.", "Назови первое слово.", "В этом тексте слово небо."]
TALK = [
    {"role": "user", "content": "Назови первое слово."},
    {"role": "assistant", "content": "В начале"},
    {"role": "user", "content": "Дальше?"},
    {"role": "assistant", "content": "небо и землю"},
]


def load(folder: Path, tokenizer, template: str | None):
    from transformers import AutoTokenizer

    write_tokenizer(folder, tokenizer, template)
    return AutoTokenizer.from_pretrained(folder)


@pytest.fixture(params=["llama", "mistral"])
def tokenizer(request, tmp_path: Path):
    if request.param == "llama":
        return load(tmp_path / "t", byte_tokenizer(LINES), LLAMA3)
    return load(tmp_path / "t", sentencepiece_tokenizer(LINES), OPENCHAT)


def test_only_the_assistant_counts_and_its_end_of_turn(tokenizer) -> None:
    ids, labels = encode_conversation(tokenizer, TALK)
    assert ids.count(tokenizer.bos_token_id) == 1
    assert ids[0] == tokenizer.bos_token_id
    end = "<|eot_id|>" if "<|eot_id|>" in tokenizer.get_vocab() else "<|end_of_turn|>"
    said = [token for token in labels if token != IGNORED]
    assert [tokenizer.decode([t]) for t in said].count(end) == 2
    assert tokenizer.decode(said).replace(" ", "") == f"Вначале{end}небоиземлю{end}"
    # by hand: the answer's own tokens and one end of turn each
    lead = "" if end == "<|eot_id|>" else " "
    alone = [tokenizer(lead + m["content"], add_special_tokens=False)["input_ids"] for m in TALK[1::2]]
    extra = 0 if end == "<|eot_id|>" else 1  # SentencePiece puts its own space in front of a text
    assert len(said) == sum(map(len, alone)) + 2 - 2 * extra
    assert end_of_turn_ids(tokenizer) == sorted({tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids(end)})


def test_training_and_prompt_agree(tokenizer) -> None:
    ids, labels = encode_conversation(tokenizer, TALK[:2])
    prompt = encode_prompt(tokenizer, TALK[:1])
    assert ids[: len(prompt)] == prompt
    assert all(label == IGNORED for label in labels[: len(prompt)])
    assert all(label != IGNORED for label in labels[len(prompt) :])


def test_one_bos_whatever_the_template_writes(tmp_path: Path) -> None:
    for number, bos in enumerate(("", "{{ bos_token }}", "{{ bos_token }}{{ bos_token }}")):
        template = bos + OPENCHAT.removeprefix("{{ bos_token }}")
        tokenizer = load(tmp_path / str(number), sentencepiece_tokenizer(LINES), template)
        ids, labels = encode_conversation(tokenizer, TALK)
        assert ids.count(tokenizer.bos_token_id) == 1
        assert labels[0] == IGNORED
        assert encode_prompt(tokenizer, TALK[:1]).count(tokenizer.bos_token_id) == 1


def test_a_tokenizer_without_template_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no chat template"):
        encode_prompt(load(tmp_path / "t", byte_tokenizer(LINES), None), TALK[:1])


@pytest.mark.parametrize("family", ["llama", "mistral"])
def test_the_stand_ins_are_taught_to_answer_and_to_stop(family: str) -> None:
    """The shipped tokenizers and templates: one BOS, labels on the answers alone, each with its end of turn."""
    tokenizer = load_tokenizer(ROOT / f"data/stand_ins/{family}/instruct")
    ids, labels = encode_conversation(tokenizer, TALK)
    assert ids.count(tokenizer.bos_token_id) == 1
    assert ids[0] == tokenizer.bos_token_id
    runs = [list(run) for said, run in itertools.groupby(labels, lambda label: label != IGNORED) if said]
    assert [tokenizer.decode(run[:-1]).strip() for run in runs] == [m["content"] for m in TALK[1::2]]
    assert {run[-1] for run in runs} <= set(end_of_turn_ids(tokenizer))
    prompt = encode_prompt(tokenizer, TALK[:3])
    assert ids[: len(prompt)] == prompt
    assert prompt.count(tokenizer.bos_token_id) == 1


def test_order_and_padding() -> None:
    tuning = Tuning(learning_rate=1.0, weight_decay=0.0, batch_size=2, accumulation=2, epochs=2)
    lengths = [5, 1, 9, 3, 7, 2, 8]
    order = order_examples(lengths, tuning, seed=0)
    assert sorted(order) == sorted([*range(7), *range(7)])
    assert sorted(order[:7]) != order[:7]
    first = [lengths[i] for i in order[:4]]
    assert first == sorted(first, reverse=True)
    assert padding_share([4, 4, 2, 1], 2) == pytest.approx(1 / 12)
    assert padding_share([3], 2) == 0


@pytest.fixture(scope="module")
def material(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("material")
    write_model(folder / "model", LINES)
    write_model(folder / "tied", LINES, tied=True)
    with open(folder / "data.jsonl", "w", encoding="utf-8") as file:
        for number in range(14):
            answer = LINES[number % 3][: 5 + number]
            messages = [{"role": "user", "content": LINES[(number + 1) % 3]}, {"role": "assistant", "content": answer}]
            file.write(json.dumps({"messages": messages}, ensure_ascii=False) + "\n")
    return folder


@pytest.fixture
def make_job(material: Path, tmp_path: Path):
    def make(name: str = "run", parent: str = "model", **lora) -> CalibrateJob:
        values = {
            "parent": str(material / parent),
            "data": str(material / "data.jsonl"),
            "validation": str(material / "data.jsonl"),
            "work": str(tmp_path / name / "work"),
            "output": str(tmp_path / name / "output"),
            "lora": {"rank": 2, "alpha": 4, "full": ["lm_head"]} | lora,
            "tuning": {
                "learning_rate": 0.01,
                "weight_decay": 0.1,
                "batch_size": 2,
                "accumulation": 2,
                "max_length": 200,
            },
            "seed": 1,
            "threads": 1,
            "device": "cpu",
            "dtype": "float32",
            "save_steps": 2,
        }
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(values))
        return load_job(CalibrateJob, path)

    return make


def adapter_logits(job: CalibrateJob, ids: torch.Tensor) -> torch.Tensor:
    from lep.models.store import load_model
    from peft import PeftModel

    model = PeftModel.from_pretrained(load_model(job.parent, "float32", "cpu"), str(job.output / "adapter"))
    with torch.no_grad():
        return model.eval()(input_ids=ids).logits


@pytest.mark.parametrize(
    ("parent", "lora"),
    [
        ("model", {"full": ["lm_head"]}),
        ("model", {"full": ["embed_tokens", "lm_head"], "layers": "first_last"}),
        ("tied", {"full": ["embed_tokens", "lm_head"]}),
    ],
)
def test_merged_equals_adapter(make_job, tmp_path: Path, parent: str, lora: dict) -> None:
    from lep.models.store import load_model

    job = make_job(parent=parent, **lora)
    calibrate(job)
    facts = verify(job.output)["facts"]
    assert facts["examples"] == 14
    assert facts["steps"] == 4
    assert facts["held_out"] == 14
    assert facts["held_out_loss"] < facts["held_out_loss_before"]
    merge(job.output, tmp_path / "merged")
    ids = torch.tensor([[0, 7, 8, 9, 20, 30]])
    merged = load_model(tmp_path / "merged", "float32", "cpu").eval()
    with torch.no_grad():
        torch.testing.assert_close(merged(input_ids=ids).logits, adapter_logits(job, ids), rtol=1e-4, atol=1e-5)
    before = load_model(job.parent, "float32", "cpu")
    changed = {
        name for name, p in before.state_dict().items() if not torch.equal(p, merged.state_dict()[name].to(p.dtype))
    }
    assert ("model.embed_tokens.weight" in changed) == ("embed_tokens" in lora["full"])
    assert "lm_head.weight" in changed
    assert "model.layers.0.mlp.up_proj.weight" in changed
    assert merged.config.tie_word_embeddings == (parent == "tied")
    assert (tmp_path / "merged/chat_template.jinja").is_file()


def test_no_machine_path_in_the_result(make_job, tmp_path: Path) -> None:
    job = make_job()
    calibrate(job)
    for path in job.output.rglob("*.json"):
        if path.name != "run.json":
            assert str(tmp_path.parent.parent) not in path.read_text()
    assert not (job.output / "adapter/README.md").exists()


def test_small_steps_are_not_lost_in_bfloat16(make_job) -> None:
    """At 2e-5 a step of AdamW is a hundredth of a weight's last bit in bfloat16; eight of them must still add up."""
    job = make_job(full=["embed_tokens", "lm_head"])
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


def run_module(job: CalibrateJob, folder: Path, *launcher: str) -> subprocess.Popen:
    path = folder / "job.json"
    path.write_text(json.dumps(dataclasses.asdict(job), default=str))
    environment = os.environ | {"PYTHONPATH": str(ROOT / "scripts"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", *launcher, "lep.calibration.calibrate", "--config", str(path)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_killed_without_warning_it_goes_on_to_the_same_bits(make_job, tmp_path: Path) -> None:
    whole, killed = (dataclasses.replace(make_job(name), save_steps=1) for name in ("whole", "killed"))
    calibrate(whole)
    process = run_module(killed, tmp_path)
    while process.poll() is None and not (killed.work / "checkpoint-2/complete").is_file():
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    calibrate(killed)
    assert sha256_file(whole.output / "manifest.json") == sha256_file(killed.output / "manifest.json")
    assert json.loads((killed.output / "run.json").read_text())["steps_in_this_process"] <= 2


def test_two_processes_train_as_one(make_job, tmp_path: Path, material: Path) -> None:
    """The gradient of a step is that of all its conversations, however they are spread."""
    data = tmp_path / "twelve.jsonl"  # three full steps
    data.write_text("".join((material / "data.jsonl").read_text().splitlines(keepends=True)[:12]))
    one, two = (dataclasses.replace(make_job(name), data=data) for name in ("one", "two"))
    calibrate(one)
    two = dataclasses.replace(two, tuning=dataclasses.replace(two.tuning, accumulation=1))
    process = run_module(two, tmp_path, "lep.compute.launch", "--processes", "2")
    output, _ = process.communicate()
    assert process.returncode == 0, output
    losses = [
        [json.loads(line)["loss"] for line in (job.output / "log.jsonl").read_text().splitlines()] for job in (one, two)
    ]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
    name = "adapter/adapter_model.safetensors"
    expected, found = load_file(one.output / name), load_file(two.output / name)
    for key, tensor in expected.items():
        torch.testing.assert_close(found[key], tensor, rtol=1e-3, atol=1e-4)


def test_a_finished_run_is_published_again_and_stored_once(make_job) -> None:
    job = make_job()
    calibrate(job)
    before = (job.output / "manifest.json").read_bytes()
    file = Path("adapter/adapter_model.safetensors")
    assert (job.work / file).samefile(job.output / file)
    assert not list(job.work.glob("checkpoint-*"))
    (job.output / "manifest.json").unlink()
    calibrate(job)
    assert (job.output / "manifest.json").read_bytes() == before
    assert "steps_in_this_process" in json.loads((job.output / "run.json").read_text())


def test_a_merged_folder_is_an_ordinary_model(make_job, tmp_path: Path) -> None:
    job = make_job()
    calibrate(job)
    publish_merged(job.output, tmp_path / "merged")
    verify(tmp_path / "merged")
    assert not (tmp_path / "merged/adapter").exists()
    ids = torch.tensor([[0, 7, 8, 9]])
    from transformers import AutoModelForCausalLM

    with torch.no_grad():
        logits = AutoModelForCausalLM.from_pretrained(tmp_path / "merged").eval()(input_ids=ids).logits
    torch.testing.assert_close(logits, adapter_logits(job, ids), rtol=1e-4, atol=1e-5)


def test_the_loss_at_the_answers_is_the_models_own(material: Path) -> None:
    from lep.models.store import load_model

    model = load_model(material / "model", "float32", "cpu")
    rows = [encode_conversation(load_tokenizer(material / "model"), talk) for talk in (TALK, TALK[:2])]
    width = max(len(ids) for ids, _ in rows)
    padded = {
        "input_ids": torch.tensor([ids + [1] * (width - len(ids)) for ids, _ in rows]),
        "labels": torch.tensor([labels + [IGNORED] * (width - len(labels)) for _, labels in rows]),
        "attention_mask": torch.tensor([[1] * len(ids) + [0] * (width - len(ids)) for ids, _ in rows]),
    }
    with torch.no_grad():
        loss, count = answer_loss(model, padded)
        expected = model(**padded).loss
    assert (loss / count).item() == pytest.approx(expected.item(), rel=1e-5)


class KilledError(Exception):
    pass


def test_interrupted_and_uninterrupted_end_with_equal_bits(make_job, monkeypatch) -> None:
    import lep.pretraining.resumable

    whole, broken = make_job("whole"), make_job("broken")
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


def test_the_loss_is_that_of_the_answers(make_job) -> None:
    """The first logged loss is the mean over the answer tokens of the first step under the parent."""
    from lep.models.store import load_model

    job = make_job()
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


def test_refusals(make_job, tmp_path: Path) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"messages": [{"role": "user", "content": "a"}]}\n')
    with pytest.raises(UserError, match="line 1: no assistant"):
        calibrate(dataclasses.replace(make_job(), data=bad))
    job = make_job()
    with pytest.raises(UserError, match="at most 5 tokens"):
        calibrate(dataclasses.replace(job, tuning=dataclasses.replace(job.tuning, max_length=5)))
