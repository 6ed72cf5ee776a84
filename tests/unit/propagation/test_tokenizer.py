"""The tokenizer of a propagated model: added tokens, roles and chat templates of the instruct model move along."""

import json
from pathlib import Path

import torch
from fixtures.families import METHODS, TIED, Family, openchat
from fixtures.models import TEMPLATE, byte_level, sentencepiece_bpe
from lep.models.folder import load_tokenizer
from tokenizers import Tokenizer


@TIED
@METHODS
def test_added_tokens_of_the_instruct_move_along(method: str, tied: bool, tmp_path: Path) -> None:
    old, new, instruct = sentencepiece_bpe(), sentencepiece_bpe("ru"), openchat(sentencepiece_bpe())
    family = Family(
        tmp_path, old, new, instruct=instruct, tied=tied, eos_token="<|end_of_turn|>", pad_token="<|pad_0|>"
    )
    results = family.propagate(method)
    tokenizer = load_tokenizer(tmp_path / "out")
    names = ["<unk>", "<s>", "</s>", "<|end_of_turn|>", "<|pad_0|>"]
    ids = tokenizer.convert_tokens_to_ids(names)
    assert ids == [0, 1, 2, 500, 501]
    for name, matrix in results.items():
        assert len(matrix) == len(tokenizer) == 502
        assert torch.equal(matrix[ids], family.matrices("instruct")[name][instruct_ids(instruct, names)])
        assert torch.linalg.vector_norm(matrix, dim=1).min() > 1e-3
    assert (tokenizer.eos_token, tokenizer.pad_token, tokenizer.bos_token) == ("<|end_of_turn|>", "<|pad_0|>", "<s>")
    assert tokenizer.chat_template == TEMPLATE
    text = tokenizer.apply_chat_template([{"role": "user", "content": "скажи"}], tokenize=False)
    encoded = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert (encoded[0], encoded[-1]) == (1, 500)
    assert tokenizer.decode(encoded, skip_special_tokens=True).strip() == "скажи"
    for file in ("config.json", "generation_config.json"):
        settings = json.loads((tmp_path / "out" / file).read_text())
        assert (settings["bos_token_id"], settings["eos_token_id"], settings["pad_token_id"]) == (1, 500, 501)
    assert family.facts["copied"] == 5
    donor = load_tokenizer(tmp_path / "donor")
    plain = "И сказал Бог: the 12 🙂"
    assert tokenizer.encode(plain) == donor.encode(plain)


def instruct_ids(tokenizer: Tokenizer, names: list[str]) -> list[int]:
    return [tokenizer.token_to_id(name) for name in names]


def test_chat_templates_by_name_move_along(tmp_path: Path) -> None:
    family = Family(tmp_path, byte_level(), byte_level("ru"))
    folder = tmp_path / "instruct" / "additional_chat_templates"
    folder.mkdir()
    (folder / "tools.jinja").write_text("tools: {{ messages[0]['content'] }}")
    family.propagate("swap")
    tokenizer = load_tokenizer(tmp_path / "out")
    message = [{"role": "user", "content": "a"}]
    assert tokenizer.apply_chat_template(message, tokenize=False, chat_template="tools") == "tools: a"
    assert tokenizer.apply_chat_template(message, tokenize=False) == "<|bos|>a<|eos|>"
