"""Packing: the rules by hand on a toy tokenizer, pieces of any size, shares of languages, refusals."""

import json
from collections import Counter
from pathlib import Path

import numpy
import pytest
from lep.config import UserError
from lep.manifest import publish, staging, verify
from lep.packing import (
    Packer,
    PackingRecipe,
    SpecialIds,
    choose_documents,
    is_reserved,
    load_encoder,
    newline_ids,
    open_blocks,
    pack_corpus,
)
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

BOS, EOS, NEWLINE = 1, 2, 3
SPECIAL = SpecialIds(BOS, EOS, frozenset({NEWLINE}))


def by_hand(stream: list[int], size: int) -> list[list[int]]:
    """The rule, token by token."""
    blocks, position = [], 0
    while position < len(stream):
        before = stream[position - 1] if position else EOS
        if before in (BOS, EOS, NEWLINE) and stream[position] not in (EOS, NEWLINE):
            if position + size > len(stream):
                break
            blocks.append(stream[position : position + size])
            position += size
        else:
            position += 1
    return blocks


def test_blocks_start_at_a_document_or_a_paragraph() -> None:
    stream = [BOS, 10, 11, 12, 13, NEWLINE, NEWLINE, 14, 15, EOS, BOS, 16, 17, 18, 19, EOS]
    blocks = Packer(3, SPECIAL).add(numpy.array(stream))
    # 12 13 are dropped up to the paragraph, the second block runs over the document's end
    assert blocks.tolist() == [[BOS, 10, 11], [14, 15, EOS], [BOS, 16, 17]]


@pytest.mark.parametrize("piece", [1, 2, 5, 1000])
@pytest.mark.parametrize("size", [1, 2, 4, 7])
def test_any_piece_size_gives_the_same_blocks(piece: int, size: int) -> None:
    stream = numpy.random.default_rng(size).choice(
        [BOS, EOS, NEWLINE, 10, 11, 12], 300, p=[0.05, 0.05, 0.1, 0.3, 0.3, 0.2]
    )
    packer = Packer(size, SPECIAL)
    blocks = [b for start in range(0, 300, piece) for b in packer.add(stream[start : start + piece]).tolist()]
    assert blocks == by_hand(stream.tolist(), size)
    assert packer.tokens == 300
    assert packer.dropped == 300 - size * len(blocks)


def toy_tokenizer(folder: Path) -> Path:
    """Byte-level, one token per byte, with BOS and EOS; tokens `\\n` and `.\\n` are newline tokens."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces = ["<s>", "</s>", *alphabet, ".Ċ"]
    tokenizer = Tokenizer(models.BPE({piece: i for i, piece in enumerate(pieces)}, [(".", "Ċ")]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<s>", "</s>"])
    built = staging(folder)
    tokenizer.save(str(built / "tokenizer.json"))
    (built / "tokenizer_config.json").write_text(json.dumps({"bos_token": "<s>", "eos_token": {"content": "</s>"}}))
    publish(built, folder, recipe_version=1)
    return folder


def write_documents(folder: Path, texts: list[tuple[str, list[str]]]) -> Path:
    built = staging(folder)
    with open(built / "train.jsonl", "w", encoding="utf-8") as file:
        for number, (language, lines) in enumerate(texts):
            paragraphs = [{"id": str(i), "text": line} for i, line in enumerate(lines)]
            document = {
                "id": f"d{number}",
                "group": f"d{number}",
                "language": language,
                "title": "",
                "paragraphs": paragraphs,
            }
            file.write(json.dumps(document, ensure_ascii=False) + "\n")
    publish(built, folder, recipe_version=1)
    return folder / "train.jsonl"


def test_pack_corpus_round_trip(tmp_path: Path) -> None:
    tokenizer = toy_tokenizer(tmp_path / "tokenizer")
    documents = write_documents(tmp_path / "corpus", [("ru", ["абв.", "где", "</s>"]), ("en", ["abcdefgh"])])
    pack_corpus(documents, tokenizer, tmp_path / "packed", PackingRecipe(block_size=5, seed=1, reserve=0))
    blocks = open_blocks(tmp_path / "packed")
    facts = verify(tmp_path / "packed")["facts"]
    encoder, special = load_encoder(tokenizer)
    # абв.\n = 7 tokens, где\n = 7, "</s>" read as text = 4, abcdefgh = 8, and BOS + EOS twice
    assert (facts["tokens"], facts["characters"], facts["documents"]) == (30, 21, 2)
    assert facts["blocks"] * 5 + facts["dropped_tokens"] == facts["tokens"]
    assert blocks.shape == (facts["blocks"], 5)
    assert blocks.dtype == numpy.uint16
    firsts = Counter(int(block[0]) for block in blocks)
    assert firsts[special.bos] == 2
    assert encoder.token_to_id("Ċ") in special.newline
    assert encoder.token_to_id(".Ċ") in special.newline


def test_sentencepiece_newline_byte_counts() -> None:
    tokenizer = Tokenizer(models.BPE({"<unk>": 0, "<0x0A>": 1, "a": 2}, [], byte_fallback=True, unk_token="<unk>"))
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    assert newline_ids(tokenizer) == {1}


def test_language_shares(tmp_path: Path) -> None:
    texts = [("ru", ["я" * 10])] * 80 + [("en", ["a" * 10])] * 100
    path = write_documents(tmp_path / "corpus", texts)
    recipe = PackingRecipe(block_size=4, language_weights={"ru": 0.8, "en": 0.2}, reserve=0)
    chosen = choose_documents(path, recipe)
    assert chosen == choose_documents(path, recipe)
    assert len(set(chosen)) == 100
    with open(path, "rb") as file:
        languages: Counter = Counter()
        for offset in chosen:
            file.seek(offset)
            languages[json.loads(file.readline())["language"]] += 1
    assert languages == {"ru": 80, "en": 20}
    assert len(choose_documents(path, PackingRecipe(block_size=4, reserve=0))) == 180


def test_reserved_documents_are_never_packed(tmp_path: Path) -> None:
    path = write_documents(tmp_path / "corpus", [("ru", ["я" * 10])] * 200)
    chosen = choose_documents(path, PackingRecipe(block_size=4, reserve=0.3, seed=5))
    with open(path, "rb") as file:
        groups = set()
        for offset in chosen:
            file.seek(offset)
            groups.add(json.loads(file.readline())["group"])
    assert groups == {f"d{n}" for n in range(200) if not is_reserved(f"d{n}", 0.3, 5)}
    assert 30 < 200 - len(groups) < 90


def test_refusals(tmp_path: Path) -> None:
    path = write_documents(tmp_path / "corpus", [("ru", ["абв"])])
    with pytest.raises(UserError, match="no text in 'en'"):
        choose_documents(path, PackingRecipe(block_size=4, language_weights={"en": 1.0}))
    with pytest.raises(UserError, match="no block of 99"):
        pack_corpus(path, toy_tokenizer(tmp_path / "t"), tmp_path / "packed", PackingRecipe(block_size=99))
    with pytest.raises(UserError, match="no usable tokenizer"):
        load_encoder(tmp_path / "nothing")
