"""The averaging operator: each new row is the mean of the old pieces of its bytes."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from fixtures.models import byte_level, save, sentencepiece_bpe, unigram
from fixtures.operators import operator_of, random_matrix
from lep.config import UserError
from lep.manifest import verify
from lep.models.folder import load_tokenizer
from lep.propagation.averaging import averaging_matrix, build_operator, make_operator, read_operator
from lep.propagation.initialise import apply_operator
from lep.vocabulary.byte_view import ByteView
from tokenizers import AddedToken, Tokenizer

PAIRS = [
    (byte_level, lambda: byte_level("ru")),
    (sentencepiece_bpe, unigram),
    (byte_level, unigram),
    (sentencepiece_bpe, lambda: byte_level("ru")),
]


@pytest.mark.parametrize("pair", PAIRS)
def test_each_row_is_the_average_of_its_split(pair, tmp_path: Path) -> None:
    operator = operator_of(pair[0](), pair[1](), tmp_path)
    old, new = (ByteView(load_tokenizer(tmp_path / name)) for name in ("old", "new"))
    matrix = random_matrix(len(old))
    result = apply_operator(operator, matrix)
    for index, data in enumerate(new.data):
        name = new.tokens[index]
        if data is None:
            expected = matrix[old.ids[name]] if name in old.ids else matrix.mean(0)
        elif data in old.data:
            twins = [matrix[i] for i, other in enumerate(old.data) if other == data]
            assert any(torch.equal(result[index], row) for row in twins), name
            continue
        else:
            pieces = old.split(data)
            assert len(pieces) > 1
            expected = sum(matrix[i] for i in pieces) / len(pieces)
        torch.testing.assert_close(result[index], expected, rtol=1e-12, atol=1e-12)
    assert operator.facts["kept"] + operator.facts["split"] + operator.facts["mean"] == len(new)
    assert operator.facts["incomplete"] == 0


@pytest.mark.parametrize("pair", PAIRS)
def test_published_rows_are_those_of_the_tokens_own_strings(pair, tmp_path: Path) -> None:
    operator = operator_of(pair[0](), pair[1](), tmp_path)
    old, new = (ByteView(load_tokenizer(tmp_path / name)) for name in ("old", "new"))
    differs = 0
    for index, name in enumerate(new.tokens):
        row = operator.published[index].indices.tolist()
        mine = operator.matrix[index].indices.tolist()
        if name in new.added:
            assert row == mine
            continue
        text = name.replace("▁", " ") if new.kind == "sentencepiece" else name
        assert old.joined(row) == text.encode()
        assert operator.published[index].sum() == pytest.approx(1)
        differs += row != mine
    assert operator.facts["published_differs"] == differs
    byte_pieces = sum(new.is_byte_piece(index) for index in range(len(new)))
    if (old.kind, new.kind) == ("sentencepiece", "sentencepiece"):
        assert differs == byte_pieces == 256  # `<0x41>` as six characters; all else is split alike


def test_split_row_with_repeated_pieces() -> None:
    """Known by hand: `abab` over the alphabet and `ab` is (ab + ab) / 2, `aba` is (ab + a) / 2."""
    from tokenizers import decoders, models

    old, new = (
        Tokenizer(models.BPE({"a": 0, "b": 1, "ab": 2}, [("a", "b")])),
        Tokenizer(models.BPE({"aba": 0, "abab": 1, "b": 2, "aab": 3}, [])),
    )
    old.decoder = new.decoder = decoders.ByteLevel()
    matrix, mean_rows, facts = averaging_matrix(ByteView(old), ByteView(new))
    assert matrix.toarray().tolist() == [[0.5, 0, 0.5], [0, 0, 1], [0, 1, 0], [0.5, 0, 0.5]]
    assert mean_rows.tolist() == []
    assert facts == {"kept": 1, "split": 3, "mean": 0, "incomplete": 0, "pieces_per_split": 2.0}


@pytest.mark.parametrize("seed", range(3))
def test_permutation_of_the_old_vocabulary_changes_nothing(seed: int, tmp_path: Path) -> None:
    old = byte_level()
    state = json.loads(old.to_str())
    ordinary = len(state["model"]["vocab"])  # the specials stay at the tail
    order = np.append(np.random.default_rng(seed).permutation(ordinary), [ordinary, ordinary + 1])
    state["model"]["vocab"] = {token: int(order[index]) for token, index in state["model"]["vocab"].items()}
    matrix = random_matrix(len(order))
    moved = torch.empty_like(matrix)
    moved[torch.from_numpy(order)] = matrix
    plain = operator_of(old, byte_level("ru"), tmp_path / "a")
    other = operator_of(Tokenizer.from_str(json.dumps(state)), byte_level("ru"), tmp_path / "b")
    assert torch.equal(apply_operator(plain, matrix), apply_operator(other, moved))


def test_ordinary_added_token_is_split_by_its_text(tmp_path: Path) -> None:
    new = byte_level()
    new.add_tokens([AddedToken("the house", normalized=False)])
    operator = operator_of(byte_level(), new, tmp_path)
    old = ByteView(byte_level())
    row = operator.matrix[new.token_to_id("the house")].toarray()[0]
    assert sorted(np.flatnonzero(row)) == sorted(set(old.split(b"the house")))


def test_published_operator_is_the_same_and_knows_its_tokenizers(tmp_path: Path) -> None:
    old, new = save(byte_level(), tmp_path / "old"), save(byte_level("ru"), tmp_path / "new")
    make_operator(old, new, tmp_path / "operator")
    verify(tmp_path / "operator")
    first = (tmp_path / "operator" / "manifest.json").read_bytes()
    built, read = build_operator(old, new), read_operator(tmp_path / "operator")
    matrix = random_matrix(built.matrix.shape[1])
    assert torch.equal(apply_operator(built, matrix), apply_operator(read, matrix))
    assert np.array_equal(built.shared, read.shared)
    assert (built.published != read.published).nnz == 0
    assert built.facts == read.facts
    read.check(old, new)
    other = save(byte_level("ru", size=401), tmp_path / "other")
    with pytest.raises(UserError) as refused:
        read.check(old, other)
    assert built.new_sha256 in str(refused.value)
    assert build_operator(old, other).new_sha256 in str(refused.value)
    make_operator(old, new, tmp_path / "operator")
    assert (tmp_path / "operator" / "manifest.json").read_bytes() == first
