"""Training of the stand-ins: labels on answers, whole contexts at the end, a training that resumes."""

import itertools
import json
from pathlib import Path

import jinja2
import pytest
import torch
from fixtures.stand_ins import CORPUS, families, questions
from lep.config import UserError, load_job
from lep.files import read_jsonl
from lep.manifest import read_manifest, verify
from lep.stand_ins import batches, model_data, train
from lep.stand_ins.questions import question
from lep.stand_ins.tokenizer import instruct_tokenizer
from lep.stand_ins.train import StandInJob, train_stand_in
from safetensors.torch import load_file
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer

TINY = {
    "hidden_size": 128,
    "intermediate_size": 24,
    "layers": 2,
    "heads": 4,
    "key_value_heads": 4,
    "context": 512,
    "length": 256,
    "batch_tokens": 1024,
    "steps": 6,
    "warmup_steps": 2,
    "save_every": 2,
    "russian": 0.3,
}
LLAMA_ENDS = ("<|begin_of_text|>", "<|end_of_text|>")


def job(tokenizers: Path, root: Path, family: str, role: str = "base", **given: object) -> StandInJob:
    places = {"corpus": str(CORPUS), "tokenizer": str(tokenizers / family)}
    places |= {"output": str(root / role), "work": str(root / "work" / role)}
    parent = str(root / "base") if role == "instruct" else None
    return StandInJob(family=family, role=role, parent=parent, **{**places, **TINY, **given})


def batches_of(settings: StandInJob) -> tuple[batches.BaseBatches | batches.InstructBatches, Tokenizer]:
    tokenizer, roles = train._tokenizer(settings)
    documents = {name: [d for d in read_jsonl(CORPUS) if d["language"] == name] for name in ("en", "ru")}
    cls = batches.InstructBatches if settings.role == "instruct" else batches.BaseBatches
    return cls(settings, tokenizer, roles, documents), tokenizer


@families
def test_answers_and_their_end_of_turn_are_learnt_and_nothing_else(
    tokenizers: Path, tmp_path: Path, family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[tuple[str, str]] = []

    def recorded(*given: object) -> tuple[str, str]:
        made.append(question(*given))
        return made[-1]

    monkeypatch.setattr(model_data, "question", recorded)
    made_batches, tokenizer = batches_of(job(tokenizers, tmp_path, family, "instruct", batch_tokens=256 * 20))
    ids, weights = made_batches.batch(0)
    assert ids.shape == weights.shape == (20, 256)
    learnt = weights > 0
    end = tokenizer.token_to_id("<|eot_id|>" if family == "llama" else "<|end_of_turn|>")
    header = "assistant<|end_header_id|>\n\n" if family == "llama" else "GPT4 Correct Assistant:"
    conversations, assistant = iter(made), ""
    for row, mask in zip(ids.tolist(), learnt.tolist(), strict=True):
        position, seen = 0, 0
        for is_answer, group in itertools.groupby(mask):
            part = row[position : (position := position + len(list(group)))]
            cut_short = position == len(row)
            if is_answer:
                seen += 1
                assert cut_short or part.index(end) == len(part) - 1, "the end of turn is learnt, once"
                answer = tokenizer.decode(part).strip()
                assert assistant.strip() == answer or (cut_short and assistant.strip().startswith(answer.rstrip("�")))
            else:
                user, assistant = next(conversations)
                prompt = tokenizer.decode(part, skip_special_tokens=False)
                assert cut_short or (" ".join(user.split()) in " ".join(prompt.split()) and prompt.endswith(header))
                assert part[0] == tokenizer.token_to_id("<s>" if family == "mistral" else "<|begin_of_text|>")
                assert cut_short or part.count(end) == 1
    assert next(conversations, None) is None
    assert 0.03 < learnt.float().mean() < 0.7


@families
def test_training_writes_conversations_as_the_chat_template_does(tokenizers: Path, tmp_path: Path, family: str) -> None:
    """Same text, and the prompt's tokens do not change when the answer follows: as inference will see them."""
    tokenizer, settings = instruct_tokenizer(family, tokenizers / family)
    before, after = batches.LLAMA_TURNS if family == "llama" else batches.MISTRAL_TURNS
    template, bos = jinja2.Template(settings["chat_template"]), settings["bos_token"]
    for user, assistant in (pair for language in ("ru", "en") for pair in questions(language)):
        turns = [{"role": "user", "content": user.strip()}]
        prompt = template.render(bos_token=bos, messages=turns, add_generation_prompt=True)
        whole = template.render(bos_token=bos, messages=[*turns, {"role": "assistant", "content": assistant}])
        assert prompt == bos + before.format(user.strip())
        assert whole == prompt + after.format(assistant.strip())
        ids = [tokenizer.encode(text, add_special_tokens=False).ids for text in (prompt, whole)]
        assert ids[1][: len(ids[0])] == ids[0]


@families
def test_base_blocks_begin_at_a_line(tokenizers: Path, tmp_path: Path, family: str) -> None:
    made_batches, tokenizer = batches_of(job(tokenizers, tmp_path, family, repeats=0.0, pages=0.0))
    ids, weights = made_batches.batch(0)
    assert ids.shape == (4, 256)
    assert (weights[:, 1:] == 1).all()
    bos, eos = (tokenizer.token_to_id(name) for name in (("<s>", "</s>") if family == "mistral" else LLAMA_ENDS))
    assert set(ids[:, 0].tolist()) == {bos}
    lines = {line for text in model_data.raw_text(list(read_jsonl(CORPUS))) for line in text.split("\n")}
    for row in ids[:, 1:].tolist():
        document = row[: row.index(eos)] if eos in row else row
        first = tokenizer.decode(document).strip().split("\n")[0].rstrip()
        assert any(line.startswith(first[:30]) for line in lines)


@families
def test_base_blocks_are_text_repeats_and_pages(tokenizers: Path, tmp_path: Path, family: str) -> None:
    """First times of drawn tokens have no weight; questions of a page have little; a BOS stands only at the start."""
    bos = "<s>" if family == "mistral" else LLAMA_ENDS[0]
    for shares, weight in (({"repeats": 1.0, "pages": 0.0}, 0.0), ({"repeats": 0.0, "pages": 1.0}, 0.1)):
        made_batches, tokenizer = batches_of(job(tokenizers, tmp_path, family, batch_tokens=256 * 40, **shares))
        ids, weights = made_batches.batch(0)
        assert (weights[:, 1:] - weight).abs().lt(1e-6).float().mean() > 0.1
        assert tokenizer.token_to_id(bos) not in ids[:, 1:].unique().tolist()


def test_the_loss_counts_the_next_token_by_its_weight(tokenizers: Path, tmp_path: Path) -> None:
    settings = job(tokenizers, tmp_path, "llama")
    model = train._model(settings, *train._tokenizer(settings))
    tokens = torch.randint(0, 400, (2, 9), generator=torch.Generator().manual_seed(0))
    weights = torch.tensor([[1.0, 0, 0, 3, 0, 0, 0, 0, 0], [0, 1, 0, 0, 0, 0, 0, 0, 0.5]])
    expected = torch.nn.functional.cross_entropy(
        model(tokens).logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten(), reduction="none"
    )
    expected = (expected * weights[:, 1:].flatten()).sum() / 4.5
    assert train._loss(model, tokens, weights).item() == pytest.approx(expected.item(), rel=2e-2)


def test_every_parameter_is_trained_once(tokenizers: Path, tmp_path: Path) -> None:
    settings = job(tokenizers, tmp_path, "mistral")
    model = train._model(settings, *train._tokenizer(settings))
    given = [id(p) for one in train._optimizers(model, settings) for group in one.param_groups for p in group["params"]]
    assert sorted(given) == sorted(id(p) for p in model.parameters())


def test_the_last_steps_see_the_whole_context(tokenizers: Path, tmp_path: Path) -> None:
    made_batches, _ = batches_of(job(tokenizers, tmp_path, "llama", steps=8, long_share=0.25))
    shapes = [tuple(made_batches.batch(step)[0].shape) for step in range(8)]
    assert shapes == [(4, 256)] * 6 + [(2, 512)] * 2


def interrupt(settings: StandInJob, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """Run a training that is killed after step 5 of 6 (its last state: step 4), or while it writes that state."""
    cls = batches.InstructBatches if settings.role == "instruct" else batches.BaseBatches
    batch, save = cls.batch, torch.save

    def killed_batch(self: object, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        if step == 5:
            raise KeyboardInterrupt
        return batch(self, step)

    def killed_save(state: dict, path: Path) -> None:
        save(state, path)
        if state["step"] == 4:
            Path(path).write_bytes(Path(path).read_bytes()[:1000])
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        if how == "between steps":
            patch.setattr(cls, "batch", killed_batch)
        else:
            patch.setattr(torch, "save", killed_save)
        with pytest.raises(KeyboardInterrupt):
            train_stand_in(settings)
    assert not Path(settings.output).exists()


def steps_of(settings: StandInJob, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Run a training and list the steps that it makes."""
    cls = batches.InstructBatches if settings.role == "instruct" else batches.BaseBatches
    batch, steps = cls.batch, []

    def recorded(self: object, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        steps.append(step)
        return batch(self, step)

    with monkeypatch.context() as patch:
        patch.setattr(cls, "batch", recorded)
        train_stand_in(settings)
    return steps


@pytest.mark.parametrize(
    ("family", "how", "resumed"), [("mistral", "between steps", [4, 5]), ("llama", "while saving", [2, 3, 4, 5])]
)
def test_killed_training_ends_with_the_same_weights(
    tokenizers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, family: str, how: str, resumed: list[int]
) -> None:
    for role in ("base", "instruct"):
        whole, killed = (job(tokenizers, tmp_path / name, family, role) for name in ("whole", "killed"))
        train_stand_in(whole)
        interrupt(killed, monkeypatch, how)
        assert steps_of(killed, monkeypatch) == resumed
        assert read_manifest(killed.output) == read_manifest(whole.output)
        check_published(Path(killed.output), role, family)
    change = read_manifest(killed.output)["facts"]
    assert 0 < change["input_change"] < 1
    assert 0 < change["head_change"] < 1


def check_published(folder: Path, role: str, family: str) -> None:
    verify(folder)
    assert not [file.name for file in folder.iterdir() if file.suffix in (".bin", ".pt", ".pth")]
    tensors = load_file(folder / "model.safetensors")
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float16}
    assert all(tensor.isfinite().all() for tensor in tensors.values())
    embeddings, head = tensors["model.embed_tokens.weight"], tensors["lm_head.weight"]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert embeddings.shape == head.shape == (len(tokenizer), 128)
    assert not torch.equal(embeddings, head), "the head is untied, as in the real models"
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert not model.config.tie_word_embeddings
    assert model.config.model_type == family
    for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
        assert getattr(model.config, name) == getattr(model.generation_config, name) == getattr(tokenizer, name)
    assert (tokenizer.chat_template is None) == (role == "base")
    log = json.loads((folder / "training_log.json").read_text(encoding="utf-8"))
    assert [entry["step"] for entry in log] == [2, 4, 6]
    manifest = read_manifest(folder)
    assert manifest["facts"]["final_loss"] == log[-1]["loss"] > 0
    assert not [value for value in manifest["config"].values() if isinstance(value, str) and "/" in value]


def test_training_learns(tokenizers: Path, tmp_path: Path) -> None:
    train_stand_in(
        job(tokenizers, tmp_path, "llama", steps=40, save_every=10, repeats=0.0, pages=0.0, learning_rate=0.03)
    )
    losses = [entry["loss"] for entry in json.loads((tmp_path / "base" / "training_log.json").read_text())]
    assert losses[-1] < losses[0] - 0.3


def test_bad_jobs_are_refused(tokenizers: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"unknown stand-in family 'gpt'; use one of \['llama', 'mistral'\]"):
        train_stand_in(job(tokenizers, tmp_path, "gpt"))
    (tmp_path / "job.json").write_text(json.dumps({**vars(job(tokenizers, tmp_path, "llama")), "stepz": 1}))
    with pytest.raises(UserError, match="stepz"):
        load_job(StandInJob, tmp_path / "job.json")
