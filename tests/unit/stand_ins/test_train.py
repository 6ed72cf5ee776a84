"""Stand-in models: tokenizers of the wanted kind, right instructions, labels on answers, a training that resumes."""

import functools
import itertools
import json
from pathlib import Path

import jinja2
import numpy as np
import pytest
import torch
from lep.config import UserError, load_job
from lep.files import read_jsonl
from lep.manifest import read_manifest, verify
from lep.stand_ins import model_data, train
from lep.stand_ins.choices import LEAD, LETTERS
from lep.stand_ins.model_data import KINDS, TextPool, instruction, random_repeats, text_pool
from lep.stand_ins.tokenizer import instruct_tokenizer, train_original_tokenizer
from lep.stand_ins.train import StandInJob, train_stand_in
from lep.vocabulary.build import save_tokenizer
from lep.vocabulary.byte_view import BYTE_LEVEL, SENTENCEPIECE, ByteView
from safetensors.torch import load_file
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer

CORPUS = Path(__file__).parents[3] / "data" / "fixtures" / "corpus" / "train.jsonl"
SIZES = {"mistral": 600, "llama": 400}
TINY = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "layers": 1,
    "heads": 2,
    "key_value_heads": 1,
    "context": 512,
    "length": 256,
    "batch_tokens": 1024,
    "steps": 6,
    "warmup_steps": 2,
    "save_every": 2,
    "russian": 0.3,
}

LLAMA_ENDS = ("<|begin_of_text|>", "<|end_of_text|>")

families = pytest.mark.parametrize("family", SIZES)
languages = pytest.mark.parametrize("language", ["ru", "en"])


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tokenizers")
    for family, size in SIZES.items():
        train_original_tokenizer(CORPUS, family, size, 0.1, 40_000, root / family)
    return root


@functools.cache
def pool(language: str) -> TextPool:
    return text_pool([d for d in read_jsonl(CORPUS) if d["language"] == language])


def load(folder: Path) -> Tokenizer:
    return Tokenizer.from_file(str(folder / "tokenizer.json"))


@families
def test_tokenizer_has_the_wanted_size_and_kind(tokenizers: Path, family: str) -> None:
    tokenizer = load(tokenizers / family)
    view, specials = ByteView(tokenizer), tokenizer.get_added_tokens_decoder()
    assert len(view) == len(view.ids) == SIZES[family] + (16 if family == "llama" else 0)
    if family == "mistral":
        assert view.kind == SENTENCEPIECE
        assert [specials[index].content for index in sorted(specials)] == ["<unk>", "<s>", "</s>"]
        assert tokenizer.encode("a").tokens[0] == "<s>"
    else:
        assert view.kind == BYTE_LEVEL
        assert sorted(specials) == list(range(400, 416)), "specials are at the tail"
        assert tokenizer.encode("a").tokens[0] == "<|begin_of_text|>"
        assert max(map(len, tokenizer.encode("1234567").tokens[1:])) <= 3, "digits are cut into threes"
    assert verify(tokenizers / family)["config"] == {"family": family, "size": SIZES[family], "russian": 0.1}


@families
def test_tokenizer_is_english_dominant(tokenizers: Path, family: str) -> None:
    """As the real ones: Russian costs more tokens per character, which is what the paper repairs."""
    tokenizer = load(tokenizers / family)
    cost = {}
    for language in ("en", "ru"):
        text = "\n".join(pool(language).lines)
        cost[language] = len(tokenizer.encode(text).ids) / len(text)
        assert tokenizer.decode(tokenizer.encode(text).ids) == text
    assert cost["ru"] > 1.3 * cost["en"]


@families
def test_training_a_tokenizer_twice_gives_the_same_files(tokenizers: Path, tmp_path: Path, family: str) -> None:
    train_original_tokenizer(CORPUS, family, SIZES[family], 0.1, 40_000, tmp_path / "again")
    assert read_manifest(tmp_path / "again") == read_manifest(tokenizers / family)


@families
def test_instruct_tokenizer_adds_what_the_real_one_adds(tokenizers: Path, tmp_path: Path, family: str) -> None:
    base = load(tokenizers / family)
    tokenizer, settings = instruct_tokenizer(family, tokenizers / family)
    new = {token.content: i for i, token in tokenizer.get_added_tokens_decoder().items() if i >= base.get_vocab_size()}
    if family == "mistral":
        assert new == {"<|end_of_turn|>": SIZES[family], "<|pad_0|>": SIZES[family] + 1}
        assert (settings["eos_token"], settings["pad_token"]) == ("<|end_of_turn|>", "<|pad_0|>")
    else:
        assert new == {}
        assert (settings["eos_token"], settings["pad_token"]) == ("<|eot_id|>", "<|finetune_right_pad_id|>")
    ids = base.get_vocab()
    assert {token: index for token, index in tokenizer.get_vocab().items() if token in ids} == ids
    save_tokenizer(tokenizer, settings, tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    text = loaded.apply_chat_template([{"role": "user", "content": "Да?"}], tokenize=False, add_generation_prompt=True)
    assert text.startswith(loaded.bos_token)
    assert text.count(loaded.bos_token) == 1
    assert text.count(loaded.eos_token) == 1
    assert loaded.pad_token_id != loaded.eos_token_id, "a model whose padding is its end token never stops"


def only(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_data, "KINDS", {kind: 1.0})


def questions(language: str, count: int = 300) -> list[tuple[str, str]]:
    rng = np.random.default_rng(5)
    return [instruction(pool(language), language, rng) for _ in range(count)]


def parts(user: str, assistant: str, language: str) -> tuple[str, list[str], int]:
    """Question, options and the place of the right one of a question with letters."""
    *question, a, b, c, d = user.split("\n")
    options = [line.removeprefix(f"{letter}. ") for letter, line in zip(LETTERS, (a, b, c, d), strict=True)]
    assert [line[:3] for line in (a, b, c, d)] == [f"{letter}. " for letter in LETTERS]
    assert assistant.startswith(f"{LEAD[language]} ")
    return "\n".join(question), options, LETTERS.index(assistant.removeprefix(f"{LEAD[language]} "))


def has_word(text: str, word: str) -> bool:
    return word.casefold() in [part.strip(".,:;!?«»\"'()-—").casefold() for part in text.split()]


@languages
def test_contains_only_the_right_option_holds_the_word(monkeypatch: pytest.MonkeyPatch, language: str) -> None:
    only("contains", monkeypatch)
    places = []
    for user, assistant in questions(language):
        question, options, right = parts(user, assistant, language)
        word = question[question.rindex("«") + 1 : question.rindex("»")]
        assert [has_word(option, word) for option in options] == [index == right for index in range(4)]
        places.append(right)
    assert set(places) == {0, 1, 2, 3}


@languages
def test_gap_the_right_option_fills_it(monkeypatch: pytest.MonkeyPatch, language: str) -> None:
    only("gap", monkeypatch)
    starts = tuple({" ".join(line.split()[:14]) for line in pool(language).lines})
    wrong = []
    for user, assistant in questions(language):
        question, options, right = parts(user, assistant, language)
        assert question.count("___") == 1
        assert question.replace("___", options[right]).endswith(starts)
        wrong += [question.replace("___", option).endswith(starts) for i, option in enumerate(options) if i != right]
    assert sum(wrong) < 0.02 * len(wrong), "other options hardly ever fill it"


@languages
def test_next_word_follows_the_named_one(monkeypatch: pytest.MonkeyPatch, language: str) -> None:
    only("next_word", monkeypatch)
    for user, assistant in questions(language):
        text, question = user.split("\n")
        word = question[question.rindex("«") + 1 : question.rindex("»")]
        words = text.split()
        assert words.count(word) == 1
        assert has_word(words[words.index(word) + 1], assistant.removeprefix(f"{LEAD[language]} "))


@languages
def test_copy_continue_and_title_come_from_the_text(monkeypatch: pytest.MonkeyPatch, language: str) -> None:
    only("copy", monkeypatch)
    assert all(user.endswith(assistant) and user != assistant for user, assistant in questions(language))
    only("continue", monkeypatch)
    lines = tuple(" ".join(line.split()) for line in pool(language).lines)
    assert all(f"{user} {assistant}".endswith(lines) for user, assistant in questions(language))
    only("title", monkeypatch)
    titled = {(f"TL;DR: {title}", text) for title, text in pool(language).titled}
    assert all((assistant, user.split("\n", 1)[1]) in titled for user, assistant in questions(language))


def test_kinds_are_drawn_with_their_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    assert sum(KINDS.values()) == pytest.approx(1)
    drawn: list[str] = []
    for kind in KINDS:
        monkeypatch.setattr(model_data, f"_{kind}", lambda *_, kind=kind: drawn.append(kind) or ("", ""))
    questions("ru", 2000)
    assert {kind: drawn.count(kind) / 2000 for kind in KINDS} == pytest.approx(KINDS, abs=0.04)


def test_instructions_follow_the_seed() -> None:
    assert questions("ru", 50) == questions("ru", 50)
    assert len(set(questions("ru", 50))) > 45


@pytest.mark.parametrize("length", [20, 100, 257])
def test_random_repeats(length: int) -> None:
    """Each sequence stands at least twice in a row; only the first time of drawn tokens is no target."""
    rng = np.random.default_rng(0)
    stream, starts = np.arange(1000), np.arange(0, 1000, 20)
    lines = 0
    for _ in range(50):
        ids, labels = random_repeats(length, stream, starts, rng)
        assert ids.shape == labels.shape == (length,)
        assert ((labels == ids) | (labels == -100)).all()
        sizes = range(8, min(max(20, length // 3), length // 2) + 1)
        assert any((ids[:size] == ids[size : 2 * size]).all() for size in sizes) or length < 40
        is_line = (np.diff(ids[:8]) == 1).all()
        assert (labels[:8] == (ids[:8] if is_line else -100)).all()
        lines += is_line
    assert 10 < lines < 40


def job(tokenizers: Path, root: Path, family: str, role: str = "base", **given: object) -> StandInJob:
    places = {"corpus": str(CORPUS), "tokenizer": str(tokenizers / family)}
    places |= {"output": str(root / role), "work": str(root / "work" / role)}
    parent = str(root / "base") if role == "instruct" else None
    return StandInJob(family=family, role=role, parent=parent, **{**places, **TINY, **given})


def batches_of(settings: StandInJob) -> tuple[train._BaseBatches | train._InstructBatches, Tokenizer]:
    tokenizer, roles = train._tokenizer(settings)
    documents = {name: [d for d in read_jsonl(CORPUS) if d["language"] == name] for name in ("en", "ru")}
    cls = train._InstructBatches if settings.role == "instruct" else train._BaseBatches
    return cls(settings, tokenizer, roles, documents), tokenizer


@families
def test_answers_and_their_end_of_turn_are_learnt_and_nothing_else(
    tokenizers: Path, tmp_path: Path, family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[tuple[str, str]] = []

    def recorded(*given: object) -> tuple[str, str]:
        made.append(instruction(*given))
        return made[-1]

    monkeypatch.setattr(train, "instruction", recorded)
    batches, tokenizer = batches_of(job(tokenizers, tmp_path, family, "instruct", batch_tokens=256 * 20))
    ids, labels = batches.batch(0)
    assert ids.shape == labels.shape == (20, 256)
    learnt = labels != -100
    assert torch.equal(labels[learnt], ids[learnt])
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
    before, after = train._LLAMA_TURNS if family == "llama" else train._MISTRAL_TURNS
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
    batches, tokenizer = batches_of(job(tokenizers, tmp_path, family, repeats=0.0))
    ids, labels = batches.batch(0)
    assert torch.equal(ids, labels)
    assert ids.shape == (4, 256)
    bos, eos = (tokenizer.token_to_id(name) for name in (("<s>", "</s>") if family == "mistral" else LLAMA_ENDS))
    assert set(ids[:, 0].tolist()) == {bos}
    lines = {line for text in model_data.raw_text(list(read_jsonl(CORPUS))) for line in text.split("\n")}
    for row in ids[:, 1:].tolist():
        document = row[: row.index(eos)] if eos in row else row
        first = tokenizer.decode(document).strip().split("\n")[0].rstrip()
        assert any(line.startswith(first[:30]) for line in lines)


@families
def test_repeated_blocks_have_untargeted_first_times(tokenizers: Path, tmp_path: Path, family: str) -> None:
    batches, tokenizer = batches_of(job(tokenizers, tmp_path, family, repeats=1.0, batch_tokens=256 * 40))
    ids, labels = batches.batch(0)
    assert (labels == -100).float().mean() > 0.1
    assert torch.equal(labels[labels != -100], ids[labels != -100])
    assert tokenizer.token_to_id("<s>" if family == "mistral" else LLAMA_ENDS[0]) not in ids[:, 1:].unique().tolist()


def test_the_last_steps_see_the_whole_context(tokenizers: Path, tmp_path: Path) -> None:
    batches, _ = batches_of(job(tokenizers, tmp_path, "llama", steps=8, long_share=0.25))
    shapes = [tuple(batches.batch(step)[0].shape) for step in range(8)]
    assert shapes == [(4, 256)] * 6 + [(2, 512)] * 2


def interrupt(settings: StandInJob, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """Run a training that is killed after step 5 of 6 (its last state: step 4), or while it writes that state."""
    cls = train._InstructBatches if settings.role == "instruct" else train._BaseBatches
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
    cls = train._InstructBatches if settings.role == "instruct" else train._BaseBatches
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
    assert embeddings.shape == head.shape == (len(tokenizer), 16)
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
    train_stand_in(job(tokenizers, tmp_path, "llama", steps=40, save_every=10, repeats=0.0, learning_rate=0.03))
    losses = [entry["loss"] for entry in json.loads((tmp_path / "base" / "training_log.json").read_text())]
    assert losses[-1] < losses[0] - 0.3


def test_bad_jobs_are_refused(tokenizers: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"unknown stand-in family 'gpt'; use one of \['llama', 'mistral'\]"):
        train_stand_in(job(tokenizers, tmp_path, "gpt"))
    (tmp_path / "job.json").write_text(json.dumps({**vars(job(tokenizers, tmp_path, "llama")), "stepz": 1}))
    with pytest.raises(UserError, match="stepz"):
        load_job(StandInJob, tmp_path / "job.json")
