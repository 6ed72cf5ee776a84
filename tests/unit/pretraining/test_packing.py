"""Packing: the rules by hand on a toy tokenizer, pieces of any size, files, refusals."""

import json
import tracemalloc
from collections import Counter
from pathlib import Path

import lep.pretraining.packing
import numpy
import pytest
from fixtures.pretraining import write_documents
from lep.config import UserError
from lep.manifest import publish, read_manifest, staging, verify
from lep.pretraining.packing import Packer, SpecialIds, load_encoder, newline_ids, open_blocks, pack_corpus
from lep.pretraining.selection import PackingRecipe, select_documents
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


def test_sentencepiece_newline_byte_counts() -> None:
    tokenizer = Tokenizer(models.BPE({"<unk>": 0, "<0x0A>": 1, "a": 2}, [], byte_fallback=True, unk_token="<unk>"))
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    assert newline_ids(tokenizer) == {1}


def packed(folder: Path) -> list[list[int]]:
    blocks = open_blocks(folder)
    return blocks.take(range(len(blocks))).tolist()


def test_many_files_hold_the_blocks_of_one(tmp_path: Path, monkeypatch) -> None:
    """Cut at documents; a packing that is killed in its third file goes on there."""
    monkeypatch.setattr("lep.pretraining.packing._BATCH", 4)
    tokenizer = toy_tokenizer(tmp_path / "tokenizer")
    path = write_documents(tmp_path / "corpus", [("ru", [f"строка номер {n}."] * 3) for n in range(60)])
    one, many = (PackingRecipe(16, reserve=0, shard_tokens=size) for size in (2**28, 300))
    pack_corpus(path, tokenizer, tmp_path / "one", one)
    pack_corpus(path, tokenizer, tmp_path / "many", many)
    assert len(list((tmp_path / "one").glob("*.npy"))) == 1
    files = sorted((tmp_path / "many").glob("*.npy"))
    assert len(files) > 4
    whole, parts = packed(tmp_path / "one"), packed(tmp_path / "many")
    # a file's last document may lose a block to the cut
    assert len(whole) - len(files) <= len(parts) <= len(whole)
    facts = [read_manifest(tmp_path / name)["facts"] for name in ("one", "many")]
    assert facts[0]["tokens"] == facts[1]["tokens"]
    assert facts[1]["dropped_tokens"] == facts[1]["tokens"] - 16 * len(parts)

    write = lep.pretraining.packing._write_shard

    def die(path: Path, *rest) -> dict:
        if path.name == "blocks-00002.npy":
            raise KeyboardInterrupt
        return write(path, *rest)

    monkeypatch.setattr("lep.pretraining.packing._write_shard", die)
    with pytest.raises(KeyboardInterrupt):
        pack_corpus(path, tokenizer, tmp_path / "again", many)
    written = []
    monkeypatch.setattr(
        "lep.pretraining.packing._write_shard", lambda path, *rest: written.append(path.name) or write(path, *rest)
    )
    pack_corpus(path, tokenizer, tmp_path / "again", many, threads=2)
    assert written[0] == "blocks-00002.npy"
    assert read_manifest(tmp_path / "again") == read_manifest(tmp_path / "many")
    assert not (tmp_path / ".again.shards").exists()


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
    with pytest.raises(UserError, match="no text in 'en'"):
        select_documents(path, PackingRecipe(block_size=4, language_weights={"en": 1.0}))
    with pytest.raises(UserError, match="no block of 99"):
        pack_corpus(path, toy_tokenizer(tmp_path / "t"), tmp_path / "packed", PackingRecipe(block_size=99))
    with pytest.raises(UserError, match=r"tokenizer\.json is missing"):
        load_encoder(tmp_path / "nothing")
