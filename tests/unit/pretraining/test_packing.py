"""Packing: the rules by hand on a toy tokenizer, pieces of any size, files, refusals."""

import json
import tracemalloc
from collections import Counter
from pathlib import Path

import numpy
import pytest
from fixtures.pretraining import pack_corpus, write_documents
from lep.config import UserError
from lep.manifest import publish, read_manifest, staging, verify
from lep.pretraining.packing import Packer, SpecialIds, load_encoder, newline_ids, open_blocks
from lep.pretraining.selection import PackingRecipe, count_part, select_documents
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
    taken = blocks.take(range(len(blocks)))
    assert taken.shape == (facts["blocks"], 5)
    assert taken.dtype == numpy.uint16
    firsts = Counter(int(block[0]) for block in taken)
    assert firsts[special.bos] == 2
    assert encoder.token_to_id("Ċ") in special.newline
    assert encoder.token_to_id(".Ċ") in special.newline


def test_ids_beyond_the_number_of_tokens_fit_the_files(tmp_path: Path) -> None:
    """Few tokens, but one of them has an id that two bytes cannot hold."""
    tokenizer = toy_tokenizer(tmp_path / "tokenizer")
    path = tokenizer / "tokenizer.json"
    state = json.loads(path.read_text())
    state["model"]["vocab"][".Ċ"] = 70_000
    path.write_text(json.dumps(state))
    documents = write_documents(tmp_path / "corpus", [("en", ["a.", "b", "c."] * 4)])
    pack_corpus(documents, tokenizer, tmp_path / "packed", PackingRecipe(block_size=2, seed=1, reserve=0))
    blocks = open_blocks(tmp_path / "packed")
    assert 70_000 in blocks.take(range(len(blocks)))


def test_sentencepiece_newline_byte_counts() -> None:
    tokenizer = Tokenizer(models.BPE({"<unk>": 0, "<0x0A>": 1, "a": 2}, [], byte_fallback=True, unk_token="<unk>"))
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    assert newline_ids(tokenizer) == {1}


def packed(folder: Path) -> list[list[int]]:
    blocks = open_blocks(folder)
    return blocks.take(range(len(blocks))).tolist()


@pytest.mark.parametrize("parts", [1, 2, 7, 100])
def test_parts_hold_the_blocks_of_the_whole(tmp_path: Path, parts: int) -> None:
    """Every document is in one part; a part may lose a block at its end. More parts than text leave empty ones."""
    tokenizer = toy_tokenizer(tmp_path / "tokenizer")
    path = write_documents(tmp_path / "corpus", [("ru", [f"строка номер {n}."] * 3) for n in range(60)])
    recipe = PackingRecipe(16, {"ru": 1.0}, {"prose": 2.0}, reserve=0.1)
    pack_corpus(path, tokenizer, tmp_path / "one", recipe)
    pack_corpus(path, tokenizer, tmp_path / "many", recipe, parts)
    whole, found = ({tuple(block) for block in packed(tmp_path / name)} for name in ("one", "many"))
    assert len(whole) - parts <= len(found) <= len(whole)
    one, many = (read_manifest(tmp_path / name)["facts"] for name in ("one", "many"))
    same = ("tokens", "documents", "characters", "reserved_documents", "reserved_characters", "unused_characters")
    assert [one[key] for key in same] == [many[key] for key in same]
    assert many["dropped_tokens"] == many["tokens"] - 16 * many["blocks"]
    assert many["blocks"] == len(packed(tmp_path / "many")) > one["blocks"] - parts - 1


def test_memory_does_not_grow_with_the_text(tmp_path: Path, monkeypatch) -> None:
    """Ten times the text, the same peak of Python's and numpy's memory."""
    monkeypatch.setattr("lep.pretraining.packing._BATCH", 8)
    tokenizer = toy_tokenizer(tmp_path / "tokenizer")
    peaks = []
    for number, documents in enumerate((100, 100, 1000)):  # the first warms up
        path = write_documents(tmp_path / f"corpus{number}", [("ru", ["я" * 400])] * documents)
        tracemalloc.start()
        pack_corpus(path, tokenizer, tmp_path / f"packed{number}", PackingRecipe(64, {"ru": 1.0}, reserve=0.1))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[2] < 1.1 * peaks[1]


def test_refusals(tmp_path: Path) -> None:
    path = write_documents(tmp_path / "corpus", [("ru", ["абв"])])
    recipe = PackingRecipe(block_size=4, language_weights={"en": 1.0})
    with pytest.raises(UserError, match="no text in 'en'"):
        select_documents([count_part(path, 0, 1, recipe)], recipe)
    with pytest.raises(UserError, match="no block of 99"):
        pack_corpus(path, toy_tokenizer(tmp_path / "t"), tmp_path / "packed", PackingRecipe(block_size=99))
    with pytest.raises(UserError, match=r"tokenizer\.json is missing"):
        load_encoder(tmp_path / "nothing")
