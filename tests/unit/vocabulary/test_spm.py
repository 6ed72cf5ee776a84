"""SentencePiece: models as the paper trained them, and as fast tokenizers with the same ids."""

import random
import re
from pathlib import Path

import pytest
import sentencepiece
from fixtures.vocabularies import SIZES, fixture_lines, model
from lep.config import UserError
from lep.vocabulary.pieces import is_text_piece, read_pieces
from lep.vocabulary.spm import to_fast_tokenizer, train_sentencepiece
from lep.vocabulary.train import PIECES
from sentencepiece import sentencepiece_model_pb2

model_types = pytest.mark.parametrize("model_type", SIZES)


@model_types
def test_training_twice_gives_the_same_model(built: Path, tmp_path: Path, model_type: str) -> None:
    train_sentencepiece(fixture_lines("ru"), model_type, SIZES[model_type], tmp_path / "one.model")
    train_sentencepiece(fixture_lines("ru"), model_type, SIZES[model_type], tmp_path / "two.model")
    assert (tmp_path / "one.model").read_bytes() == (tmp_path / "two.model").read_bytes()
    assert len(read_pieces(tmp_path / "one.model")) == SIZES[model_type]


def random_lines(count: int) -> list[str]:
    """Lines of words of both languages, of any characters, of repeated spaces and of texts that look like pieces."""
    rng = random.Random(42)
    words = sorted({word for language in ("ru", "en") for line in fixture_lines(language) for word in line.split()})
    odd = [
        "  ",
        "   ",
        " ",
        "<0x41>",
        "<0x0A>",
        "<0xGG>",
        "\t",
        "\u00a0",
        "и\u0306",
        "🙂",
        "漢字",
        "\x00",
        "2024",
        "½",
        "ﬁ",
    ]

    def part() -> str:
        choice = rng.random()
        if choice < 0.7:
            return rng.choice(words)
        if choice < 0.9:
            return rng.choice(odd)
        return "".join(chr(rng.choice((rng.randrange(32, 0x500), rng.randrange(0x2000, 0x2FFF)))) for _ in range(4))

    return ["".join(part() + rng.choice((" ", "")) for _ in range(rng.randint(1, 12))) for _ in range(count)]


@model_types
def test_fast_tokenizer_equals_the_sentencepiece_library(built: Path, model_type: str) -> None:
    """On 10,000 random lines, ids and text; the library's normaliser is off, as the fast tokenizer has none."""
    proto = sentencepiece_model_pb2.ModelProto.FromString((model(built, model_type) / PIECES).read_bytes())
    proto.normalizer_spec.precompiled_charsmap, proto.normalizer_spec.remove_extra_whitespaces = b"", False
    reference = sentencepiece.SentencePieceProcessor(model_proto=proto.SerializeToString())
    fast = to_fast_tokenizer(model(built, model_type) / PIECES, model_type)
    lines = random_lines(10_000)
    assert any("<0x41>" in line for line in lines)
    expected = reference.encode(lines)
    found = [encoding.ids for encoding in fast.encode_batch_fast(lines, add_special_tokens=False)]
    assert [pair for pair in zip(lines, found, expected, strict=True) if pair[1] != pair[2]] == []
    assert fast.decode_batch(expected) == [line.replace("▁", " ") for line in lines]  # U+2581 is the sign of a space


@model_types
def test_settings_of_the_paper(built: Path, model_type: str) -> None:
    """Digits split, bytes for what is unknown; `<unk>`, `<s>`, `</s>` and the bytes come first."""
    pieces = read_pieces(model(built, model_type) / PIECES)
    assert [piece for piece, _, _ in pieces[:4]] == ["<unk>", "<s>", "</s>", "<0x00>"]
    assert [is_text_piece(piece) for piece in pieces[:260]] == [False] * 259 + [True]
    assert not [piece for piece, _, _ in pieces[259:] if re.search(r"\d.|.\d", piece.removeprefix("▁"))]
    fast = to_fast_tokenizer(model(built, model_type) / PIECES, model_type)
    assert fast.encode("漢").tokens[-3:] == ["<0xE6>", "<0xBC>", "<0xA2>"]
    assert fast.encode("в").tokens[0] == "<s>"


def test_a_vocabulary_that_cannot_be_trained_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"could not train a bpe vocabulary of 5000 pieces: .*; give it more text"):
        train_sentencepiece(["мало текста"] * 3, "bpe", 5000, tmp_path / "m.model")
    with pytest.raises(UserError, match="unknown SentencePiece model type 'word'"):
        train_sentencepiece(["текст"], "word", 300, tmp_path / "m.model")
    assert list(tmp_path.iterdir()) == []
