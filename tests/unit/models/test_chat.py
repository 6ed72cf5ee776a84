"""Conversations as token ids: one BOS, labels on the answers alone, the prompt is the start of the training text."""

import itertools
import json
from pathlib import Path

import pytest
from fixtures.calibration import LINES, TALK
from fixtures.checkout import ROOT
from fixtures.training import LLAMA3, OPENCHAT, byte_tokenizer, sentencepiece_tokenizer, write_tokenizer
from lep.config import UserError
from lep.models.chat import IGNORED, encode_conversation, encode_prompt, end_of_turn_ids
from lep.models.folder import load_tokenizer
from tokenizers import AddedToken


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


# Qwen3's form: a finished turn begins with an empty thought as long as no other turn of the user follows.
THINKING = (
    "{%- set ns = namespace(last=0) -%}{%- for m in messages -%}{%- if m.role == 'user' -%}"
    "{%- set ns.last = loop.index0 -%}{%- endif -%}{%- endfor -%}{%- for m in messages -%}"
    "{{ '<|im_start|>' + m.role + '\n' }}{%- if m.role == 'assistant' and loop.index0 > ns.last -%}"
    "{{ '<think>\n\n</think>\n\n' }}{%- endif -%}{{ m.content + '<|im_end|>\n' }}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\n' }}{%- endif -%}"
)


def chat_ml(*added: AddedToken):
    tokenizer = byte_tokenizer(LINES)
    tokenizer.add_tokens(list(added) or [AddedToken(n, special=True) for n in ("<|im_start|>", "<|im_end|>")])
    return tokenizer


def test_thoughts_neither_end_an_answer_nor_hinder_a_second_turn(tmp_path: Path) -> None:
    made = chat_ml()
    made.add_tokens([AddedToken("<think>"), AddedToken("</think>")])
    tokenizer = load(tmp_path / "t", made, THINKING)
    assert tokenizer.convert_ids_to_tokens(end_of_turn_ids(tokenizer)) == ["</s>", "<|im_end|>"]
    ids, labels = encode_conversation(tokenizer, TALK)
    assert len(ids) == len(labels)
    runs = [[*run] for said, run in itertools.groupby(labels, lambda label: label != IGNORED) if said]
    texts = [tokenizer.decode(run) for run in runs]
    assert texts == ["В начале<|im_end|>\n", "<think>\n\n</think>\n\nнебо и землю<|im_end|>\n"]


def test_a_thought_that_only_the_generation_prompt_opens_hides_no_answer(tmp_path: Path) -> None:
    """DeepSeek-R1's form: the prompt is no beginning of the conversation."""
    template = (
        "{{ bos_token }}{% for m in messages %}<|im_start|>{{ m.content }}{{ eos_token if m.role == 'assistant' }}"
        "{% endfor %}{% if add_generation_prompt %}<|im_start|><think>\n{% endif %}"
    )
    tokenizer = load(tmp_path / "t", chat_ml(), template)
    _, labels = encode_conversation(tokenizer, TALK)
    runs = [[*run] for said, run in itertools.groupby(labels, lambda label: label != IGNORED) if said]
    assert [tokenizer.decode(run) for run in runs] == ["В начале</s>", "небо и землю</s>"]


def test_line_breaks_that_are_added_tokens_end_no_answer(tmp_path: Path) -> None:
    """Gemma lists runs of line breaks as added tokens, and its template writes one behind each turn."""
    made = byte_tokenizer(LINES)
    made.add_tokens([AddedToken("<|im_start|>"), AddedToken("<|im_end|>"), AddedToken("\n", normalized=False)])
    tokenizer = load(tmp_path / "t", made, THINKING)
    assert tokenizer.convert_ids_to_tokens(end_of_turn_ids(tokenizer)) == ["</s>", "<|im_end|>"]


def test_one_token_for_begin_and_end_ends_an_answer(tmp_path: Path) -> None:
    """GPT-2's `<|endoftext|>` and its descendants."""
    folder = tmp_path / "t"
    load(folder, chat_ml(), THINKING)
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"bos_token": "</s>", "eos_token": "</s>"}))
    tokenizer = load_tokenizer(folder)
    assert tokenizer.convert_ids_to_tokens(end_of_turn_ids(tokenizer)) == ["</s>", "<|im_end|>"]


@pytest.mark.parametrize("index", [0, 1])
def test_a_role_that_the_template_refuses_is_named_with_the_remedy(index: int, tmp_path: Path) -> None:
    refusing = (
        "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('System role not supported') }}"
        "{% endif %}{{ m.content }}</s>{% endfor %}"
    )
    tokenizer = load(tmp_path / "t", byte_tokenizer(LINES), refusing)
    talk = [*TALK[:index], {"role": "system", "content": "Кратко."}, *TALK[index:]]
    with pytest.raises(UserError, match=r"roles .*system.* \(TemplateError: System role not supported\); change"):
        encode_conversation(tokenizer, talk)
    assert encode_conversation(tokenizer, TALK)[0]
