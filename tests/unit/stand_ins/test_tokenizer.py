"""Tokenizers of the stand-ins: of the kind, size and special tokens of the real ones."""

from pathlib import Path

from fixtures.stand_ins import CORPUS, SIZES, families, pool
from lep.manifest import read_manifest, verify
from lep.stand_ins.tokenizer import instruct_tokenizer, train_original_tokenizer
from lep.vocabulary.build import save_tokenizer
from lep.vocabulary.byte_view import BYTE_LEVEL, SENTENCEPIECE, ByteView
from tokenizers import Tokenizer
from transformers import AutoTokenizer


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
