"""Initial matrices: the operator applied to each old matrix in its own number type, without empty rows."""

import json
from pathlib import Path

import pytest
import torch
from fixtures.models import HIDDEN, byte_level, extended, make_model, save, set_matrices
from fixtures.operators import operator_of, random_matrix
from lep.config import UserError
from lep.manifest import read_manifest
from lep.models.folder import load_tokenizer, read_embeddings, read_matrix, tokenizer_sha256
from lep.models.store import load_model
from lep.propagation.averaging import make_operator, read_operator
from lep.propagation.initialise import apply_operator, initialise_embeddings
from lep.vocabulary.byte_view import ByteView


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_extended_vocabulary_keeps_old_rows_exactly(dtype: torch.dtype, tmp_path: Path) -> None:
    operator = operator_of(byte_level(), extended(), tmp_path)
    old, new = (ByteView(load_tokenizer(tmp_path / name)) for name in ("old", "new"))
    matrix = random_matrix(len(old), dtype=dtype)
    result = apply_operator(operator, matrix)
    assert result.dtype == dtype
    for index, token in enumerate(old.tokens):
        assert torch.equal(result[new.ids[token]], matrix[index]), token


def test_average_is_made_before_rounding(tmp_path: Path) -> None:
    operator = operator_of(byte_level(), byte_level("ru"), tmp_path)
    matrix = random_matrix(operator.matrix.shape[1], dtype=torch.bfloat16)
    assert torch.equal(apply_operator(operator, matrix), apply_operator(operator, matrix.double()).to(torch.bfloat16))


def test_specials_by_name_and_empty_rows(tmp_path: Path) -> None:
    new = byte_level("ru", specials=("<|new|>", "<|eos|>", "<|bos|>"))
    operator = operator_of(byte_level(), new, tmp_path)
    old = ByteView(byte_level())
    matrix = random_matrix(len(old))
    matrix[old.ids["a"]] = 0
    result = apply_operator(operator, matrix)
    assert operator.mean_rows.tolist() == [new.token_to_id("<|new|>")]
    torch.testing.assert_close(result[new.token_to_id("<|new|>")], matrix.mean(0))
    torch.testing.assert_close(result[new.token_to_id("a")], matrix.mean(0))
    assert torch.equal(result[new.token_to_id("<|bos|>")], matrix[old.ids["<|bos|>"]])
    assert torch.linalg.vector_norm(result, dim=1).min() > 1e-3


def test_padding_rows_do_not_count(tmp_path: Path) -> None:
    operator = operator_of(byte_level(), byte_level("ru", specials=("<|new|>",)), tmp_path)
    matrix = random_matrix(operator.matrix.shape[1])
    padded = torch.cat([matrix, torch.full((8, HIDDEN), 1e6, dtype=matrix.dtype)])
    assert torch.equal(apply_operator(operator, padded), apply_operator(operator, matrix))
    with pytest.raises(UserError, match=f"{len(matrix)} old tokens, but the matrix has {len(matrix) - 1} rows"):
        apply_operator(operator, matrix[:-1])


@pytest.mark.parametrize("tied", [False, True])
def test_initialised_model(tied: bool, tmp_path: Path) -> None:
    """Each matrix comes from its own old one; the model runs; special ids are those of the new tokenizer."""
    base = make_model(byte_level(), tmp_path / "base", tied=tied)
    vocabulary = save(extended(), tmp_path / "vocabulary")
    make_operator(base, vocabulary, tmp_path / "operator")
    initialise_embeddings(base, tmp_path / "operator", vocabulary, tmp_path / "init", seed=1)
    old, new = read_embeddings(base), read_embeddings(tmp_path / "init")
    operator = read_operator(tmp_path / "operator")
    assert torch.equal(new.input, apply_operator(operator, old.input))
    assert new.tied == tied
    if not tied:
        assert torch.equal(new.head, apply_operator(operator, old.head))
        assert not torch.equal(new.head, new.input)
    facts = read_manifest(tmp_path / "init")["facts"]
    assert facts["rows"] == extended().get_vocab_size() == len(new.input)
    assert facts["overlap"] == byte_level().get_vocab_size()
    config = json.loads((tmp_path / "init" / "config.json").read_text())
    assert (config["vocab_size"], config["eos_token_id"]) == (facts["rows"], extended().token_to_id("<|eos|>"))
    assert load_model(tmp_path / "init", "float32")(torch.tensor([[5, facts["rows"] - 1]])).logits.isfinite().all()


def test_initialisation_refuses_another_vocabulary(tmp_path: Path) -> None:
    base = make_model(byte_level(), tmp_path / "base")
    vocabulary, other = save(extended(), tmp_path / "a"), save(byte_level("ru"), tmp_path / "b")
    make_operator(base, vocabulary, tmp_path / "operator")
    with pytest.raises(UserError, match="another new vocabulary"):
        initialise_embeddings(base, tmp_path / "operator", other, tmp_path / "init")
    assert not (tmp_path / "init").exists()


def test_the_control_direct_starts_from_the_rows_of_the_instruct_model(tmp_path: Path) -> None:
    """Its ids need not be the base's: rows are found by name; body and configuration are the instruct model's."""
    base = make_model(byte_level(), tmp_path / "base", seed=1)
    instruct = make_model(byte_level(specials=("<|turn|>", "<|eos|>", "<|bos|>")), tmp_path / "instruct", seed=2)
    vocabulary = save(extended(), tmp_path / "vocabulary")
    make_operator(base, vocabulary, tmp_path / "operator")
    initialise_embeddings(base, tmp_path / "operator", vocabulary, tmp_path / "init", instruct=instruct)
    tokens, theirs = (ByteView(load_tokenizer(folder)) for folder in (base, instruct))
    ids = torch.tensor([theirs.ids[token] for token in tokens.tokens])
    rows = read_embeddings(instruct).input[ids]
    expected = apply_operator(read_operator(tmp_path / "operator"), rows)
    assert torch.equal(read_embeddings(tmp_path / "init").input, expected)
    manifests = [read_manifest(tmp_path / "init")["facts"]["tokenizer_sha256"], tokenizer_sha256(vocabulary)]
    assert manifests[0] == manifests[1]
    load = load_model(tmp_path / "init", "float32"), load_model(instruct, "float32")
    body = [dict(model.named_parameters())["model.norm.weight"] for model in load]
    layers = [dict(model.named_parameters())["model.layers.0.mlp.up_proj.weight"] for model in load]
    assert torch.equal(*body)
    assert torch.equal(*layers)


def test_an_instruct_model_of_another_vocabulary_is_refused(tmp_path: Path) -> None:
    base = make_model(byte_level(), tmp_path / "base")
    other = make_model(byte_level("ru"), tmp_path / "other")
    vocabulary = save(extended(), tmp_path / "vocabulary")
    make_operator(base, vocabulary, tmp_path / "operator")
    with pytest.raises(UserError, match="the instruct model's vocabulary lacks"):
        initialise_embeddings(base, tmp_path / "operator", vocabulary, tmp_path / "init", instruct=other)
    assert not (tmp_path / "init").exists()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("which", ["input", "head"])
def test_a_broken_row_is_refused_before_it_spreads(which: str, value: float, tmp_path: Path) -> None:
    base = make_model(byte_level(), tmp_path / "base")
    vocabulary = save(extended(), tmp_path / "vocabulary")
    make_operator(base, vocabulary, tmp_path / "operator")
    matrix = read_matrix(base, which).clone()
    matrix[7, 3] = value
    set_matrices(base, **{which: matrix})
    with pytest.raises(UserError, match=rf"the {which} matrix contains NaN or infinite numbers \(first in row 7\)"):
        initialise_embeddings(base, tmp_path / "operator", vocabulary, tmp_path / "init")
    assert not (tmp_path / "init").exists()
