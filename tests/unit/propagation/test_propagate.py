"""The methods of propagation against their definitions, on models whose matrices are random or known."""

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from fixtures.families import METHODS, REGISTER, TIED, Family, lstsq, openchat, ordinary, random
from fixtures.models import HIDDEN, byte_level, extended, make_model, save, sentencepiece_bpe, set_matrices
from lep.config import UserError
from lep.manifest import read_manifest, verify
from lep.models.folder import load_tokenizer, tokenizer_sha256
from lep.models.store import import_model, load_model
from lep.propagation.initialise import initialise_embeddings
from lep.propagation.propagate import propagate
from lep.vocabulary.byte_view import ByteView, overlap
from tokenizers import Tokenizer

MATRICES = ("input", "head")


@TIED
@METHODS
def test_identity_when_instruct_is_the_base(method: str, tied: bool, tmp_path: Path) -> None:
    family = Family(tmp_path, byte_level(), byte_level("ru"), tied=tied)
    family.set_instruct(lambda matrix: matrix)
    rows = ordinary(byte_level("ru"))
    for name, matrix in family.propagate(method).items():
        torch.testing.assert_close(matrix[rows], family.matrices("donor")[name][rows], rtol=1e-6, atol=1e-6)
        if REGISTER[method].map:
            assert family.facts[f"{name}_residual"] == family.facts[f"{name}_identity_residual"] == 0.0


@pytest.mark.parametrize("method", ["overlap", "conversion"])
def test_known_linear_map_is_recovered(method: str, tmp_path: Path) -> None:
    family = Family(tmp_path, byte_level(), byte_level("ru"), dtype=torch.float64)
    truth = random(HIDDEN, 9, torch.float64)
    family.set_instruct(lambda matrix: matrix @ truth)
    rows = ordinary(byte_level("ru"))
    for name, matrix in family.propagate(method).items():
        expected = family.matrices("donor")[name][rows] @ truth
        torch.testing.assert_close(matrix[rows], expected, rtol=1e-8, atol=1e-8)
        assert family.facts[f"{name}_residual"] == family.facts[f"{name}_heldout_residual"] == 0.0
        assert family.facts[f"{name}_identity_residual"] > 0.1


@TIED
@pytest.mark.parametrize("method", ["delta", "delta_ridge"])
def test_delta_gives_the_instruct_models_averages_and_what_the_donor_learned(
    method: str, tied: bool, tmp_path: Path
) -> None:
    """An untrained donor becomes the initialised instruct model exactly, though no linear map relates the matrices."""
    family = Family(tmp_path, byte_level(), byte_level("ru"), tied=tied)
    matrix = family.operator.matrix
    averages = {
        role: {name: torch.from_numpy(matrix @ m.double().numpy()) for name, m in family.matrices(role).items()}
        for role in ("base", "instruct")
    }
    learned = {name: random(len(rows), 9) for name, rows in averages["base"].items()}
    donor = [rows.float() + learned[name] for name, rows in averages["base"].items()]
    family.set_donor(donor[0], donor[-1])
    rows = ordinary(byte_level("ru"))
    for name, new in family.propagate(method).items():
        expected = averages["instruct"][name] + learned[name].double()
        if method == "delta_ridge":
            # These matrices are unrelated, so held-out rows say that no map helps.
            assert family.facts[f"{name}_penalty"] is None or family.facts[f"{name}_heldout_residual"] > 0.9
        if method == "delta" or family.facts[f"{name}_penalty"] is None:
            torch.testing.assert_close(new[rows].double(), expected[rows], rtol=1e-5, atol=1e-5)


def test_delta_of_a_mean_row_is_the_difference_of_the_means(tmp_path: Path) -> None:
    new = byte_level("ru", specials=("<|new|>", "<|eos|>", "<|bos|>"))
    family = Family(tmp_path, byte_level(), new)
    index = new.token_to_id("<|new|>")
    assert index in family.operator.mean_rows
    old = {role: family.matrices(role)["input"].double().mean(0) for role in ("base", "instruct")}
    donor = family.matrices("donor")["input"][index].double()
    found = family.propagate("delta")["input"][index].double()
    torch.testing.assert_close(found, donor - old["base"] + old["instruct"], rtol=1e-5, atol=1e-5)


def test_methods_of_one_call_are_those_of_single_calls(tmp_path: Path) -> None:
    """They share the sums over the rows."""
    family = Family(tmp_path, byte_level(), byte_level("ru"))
    names = [name for name in REGISTER if name != "own"]
    folders = [tmp_path / role for role in ("base", "instruct", "donor")]
    propagate(*folders, tmp_path / "operator", {name: tmp_path / "all" / name for name in names}, seed=0)
    for name in names:
        family.propagate(name)
        together, alone = read_manifest(tmp_path / "all" / name), read_manifest(tmp_path / "out")
        assert together == alone, name  # with the hashes of all files


def test_facts_tell_how_new_rows_changed(tmp_path: Path) -> None:
    family = Family(tmp_path, byte_level(), byte_level("ru"))
    family.set_instruct(lambda matrix: 2 * matrix)
    family.propagate("swap")
    assert (family.facts["input_norm_ratio"], family.facts["input_neighbours_kept"]) == (1, 1)
    family.propagate("conversion")
    assert family.facts["input_norm_ratio"] == pytest.approx(2, rel=1e-4)
    assert family.facts["input_neighbours_kept"] == 1


def test_own_map_is_refused_before_any_work(tmp_path: Path) -> None:
    family = Family(tmp_path, byte_level(), byte_level("ru"))
    with pytest.raises(UserError, match=r"write path/to/file.py:function"):
        family.propagate("own")
    assert not (tmp_path / "out").exists()


@TIED
def test_overlap_is_the_fit_on_exactly_the_shared_tokens(tied: bool, tmp_path: Path) -> None:
    family = Family(tmp_path, byte_level(), byte_level("ru"), tied=tied)
    shared = overlap(ByteView(byte_level()), ByteView(byte_level("ru")))
    others = np.setdiff1d(np.arange(402), shared)
    assert len(others) > 50
    results = family.propagate("overlap")
    rows = ordinary(byte_level("ru"))
    for name, matrix in results.items():
        a, b, donor = (family.matrices(role)[name] for role in ("base", "instruct", "donor"))
        expected = donor.double() @ lstsq(a[shared], b[shared])
        torch.testing.assert_close(matrix[rows], expected[rows].float(), rtol=1e-5, atol=1e-5)
    assert family.facts["overlap"] == family.facts["input_rows"] == len(shared)
    scrambled = random(402, 77)[others]

    def scramble(matrix: torch.Tensor) -> torch.Tensor:
        return matrix.index_put((torch.from_numpy(others),), scrambled)

    for role in ("base", "instruct"):
        set_matrices(tmp_path / role, **{name: scramble(m) for name, m in family.matrices(role).items()})
    for name, matrix in family.propagate("overlap").items():
        assert torch.equal(matrix[rows], results[name][rows])  # no other row has a say


@TIED
def test_conversion_is_the_fit_on_averaged_rows(tied: bool, tmp_path: Path) -> None:
    new = byte_level("ru", specials=("<|bos|>", "<|eos|>", "<|other|>"))
    family = Family(tmp_path, byte_level(), new, tied=tied)
    averaging = torch.from_numpy(family.operator.matrix.toarray())
    rows = [i for i in ordinary(new) if i not in family.operator.mean_rows]
    used = sorted(set(range(new.get_vocab_size())) - set(family.operator.mean_rows))
    for name, matrix in family.propagate("conversion").items():
        a, b, donor = (family.matrices(role)[name].double() for role in ("base", "instruct", "donor"))
        projection = lstsq((averaging @ a)[used], (averaging @ b)[used])
        torch.testing.assert_close(matrix[rows], (donor @ projection)[rows].float(), rtol=1e-5, atol=1e-5)
    assert family.facts["input_rows"] == new.get_vocab_size() - 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_swap_is_bit_exact(dtype: torch.dtype, tmp_path: Path) -> None:
    family = Family(tmp_path, byte_level(), byte_level("ru"), dtype=dtype)
    rows = ordinary(byte_level("ru"))
    for name, matrix in family.propagate("swap", operator=False).items():
        assert matrix.dtype == dtype
        assert torch.equal(matrix[rows], family.matrices("donor")[name][rows])
    assert "input_residual" not in family.facts


def test_extended_vocabulary_keeps_old_rows_exactly_under_swap(tmp_path: Path) -> None:
    family = Family(tmp_path, byte_level(), extended())
    initialise_embeddings(tmp_path / "base", tmp_path / "operator", family.vocabulary, tmp_path / "donor")
    old, new = byte_level(), extended()
    for name, matrix in family.propagate("swap").items():
        base = family.matrices("base")[name]
        for index in ordinary(old):
            assert torch.equal(matrix[new.token_to_id(old.id_to_token(index))], base[index])


def test_permutation_of_the_old_vocabulary_changes_nothing(tmp_path: Path) -> None:
    old, new = byte_level(), byte_level("ru")
    order = np.append(np.random.default_rng(0).permutation(400), [400, 401])
    state = json.loads(old.to_str())
    state["model"]["vocab"] = {token: int(order[index]) for token, index in state["model"]["vocab"].items()}
    moved = torch.from_numpy(np.argsort(order))
    one = Family(tmp_path / "one", old, new)
    two = Family(tmp_path / "two", Tokenizer.from_str(json.dumps(state)), new)
    for role in ("base", "instruct"):
        set_matrices(tmp_path / "two" / role, **{name: m[moved] for name, m in one.matrices(role).items()})
    for method in ("overlap", "conversion"):
        results = one.propagate(method), two.propagate(method)
        for name in MATRICES:
            torch.testing.assert_close(results[0][name], results[1][name], rtol=1e-5, atol=1e-6)
    three = Family(tmp_path / "three", old, new, instruct=Tokenizer.from_str(json.dumps(state)))
    for role, source in (("base", one), ("instruct", two)):
        set_matrices(tmp_path / "three" / role, **source.matrices(role))
    for name, matrix in three.propagate("conversion").items():
        torch.testing.assert_close(matrix, results[0][name], rtol=1e-5, atol=1e-6)  # rows are matched by token


@TIED
@METHODS
def test_body_is_the_instruct_and_reloading_gives_the_same_logits(method: str, tied: bool, tmp_path: Path) -> None:
    family = Family(tmp_path, byte_level(), extended(), tied=tied)
    import_model(tmp_path / "instruct", tmp_path / "stored")
    shutil.rmtree(tmp_path / "instruct")
    (tmp_path / "stored").rename(tmp_path / "instruct")
    results = family.propagate(method)
    body = (tmp_path / "instruct" / "body-00001-of-00001.safetensors").stat()
    assert body.st_ino == (tmp_path / "out" / "body-00001-of-00001.safetensors").stat().st_ino
    model = load_model(tmp_path / "instruct")
    model.resize_token_embeddings(len(results["input"]), mean_resizing=False)
    tokens = torch.tensor([[3, 9, len(results["input"]) - 1]])
    with torch.no_grad():
        model.get_input_embeddings().weight.copy_(results["input"])
        if not tied:
            model.get_output_embeddings().weight.copy_(results["head"])
        assert torch.equal(model(tokens).logits, load_model(tmp_path / "out")(tokens).logits)
    facts = family.facts
    assert facts["body_sha256"] == read_manifest(tmp_path / "instruct")["facts"]["body_sha256"]
    shutil.rmtree(tmp_path / "out")
    verify(tmp_path / "instruct")


def test_facts_are_complete_and_publishing_is_deterministic(tmp_path: Path) -> None:
    family = Family(tmp_path, byte_level(), byte_level("ru"))
    family.propagate("conversion")
    facts, first = family.facts, (tmp_path / "out" / "manifest.json").read_bytes()
    for name in MATRICES:
        residuals = [facts[f"{name}_{key}residual"] for key in ("", "heldout_", "identity_")]
        assert 0 < residuals[0] < residuals[1] < residuals[2]
        assert facts[f"{name}_rank"] == HIDDEN
        assert facts[f"{name}_condition"] >= 1
    assert 0 < facts["overlap"] < 402
    incomplete = facts["overlap_differs"]  # bytes of longer characters, of which readable strings keep one
    assert incomplete == facts["overlap"] - facts["overlap_readable"] == 127
    manifest = read_manifest(tmp_path / "out")
    assert set(manifest["parents"]) == {"donor", "operator"}  # base and instruct are folders without a manifest here
    family.propagate("conversion")
    assert (tmp_path / "out" / "manifest.json").read_bytes() == first


def test_few_shared_tokens_warn_and_give_the_least_norm(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    family = Family(tmp_path, byte_level(), byte_level("ru"))
    path = tmp_path / "operator" / "operator.safetensors"
    from safetensors.numpy import load_file, save_file

    tensors = load_file(path)
    tensors["shared"] = tensors["shared"][:6]
    save_file(tensors, path)
    with caplog.at_level(logging.WARNING):
        results = family.propagate("overlap")
    assert f"overlap of the head matrix (6 shared tokens): rank 6 of {HIDDEN} from 6 rows" in caplog.text
    rows = ordinary(byte_level("ru"))
    for name, matrix in results.items():
        a, b, donor = (family.matrices(role)[name].double() for role in ("base", "instruct", "donor"))
        shared = torch.from_numpy(tensors["shared"])
        expected = donor @ torch.linalg.pinv(a[shared]) @ b[shared]
        torch.testing.assert_close(matrix[rows], expected[rows].float(), rtol=1e-4, atol=1e-5)


def test_padded_donor_and_instruct(tmp_path: Path) -> None:
    """Rows behind the last token stay where they are; added tokens of the instruct take the first free ids."""
    old, new, instruct = sentencepiece_bpe(), sentencepiece_bpe("ru"), openchat(sentencepiece_bpe())
    family = Family(tmp_path, old, new, instruct=instruct)
    make_model(instruct, tmp_path / "instruct", seed=2, rows=512)
    family.set_donor(random(512, 3), random(512, 4))
    for name, matrix in family.propagate("swap").items():
        assert len(matrix) == 512
        assert torch.equal(matrix[3:500], family.matrices("donor")[name][3:500])
        assert torch.equal(matrix[502:], family.matrices("donor")[name][502:])
        assert torch.equal(matrix[500:502], family.matrices("instruct")[name][500:502])
    assert family.facts["padded_rows"] == 10


def test_renamed_special_of_the_instruct_is_left_out_of_the_fit(tmp_path: Path) -> None:
    old = byte_level(specials=("<|bos|>", "<|eos|>", "<|reserved|>"))
    instruct = byte_level(specials=("<|bos|>", "<|eos|>", "<|turn|>"))
    family = Family(tmp_path, old, extended(), instruct=instruct)
    family.propagate("overlap")
    assert family.facts["input_rows"] == 402
    family.propagate("conversion")
    assert family.facts["input_rows"] == extended().get_vocab_size()
    assert load_tokenizer(tmp_path / "out").convert_tokens_to_ids("<|turn|>") == extended().get_vocab_size()


@pytest.mark.parametrize("role", ["base", "donor"])
def test_tokenizers_that_differ_by_one_token_are_refused_with_both_hashes(role: str, tmp_path: Path) -> None:
    family = Family(tmp_path, byte_level(), byte_level("ru"))
    if role == "base":
        make_model(byte_level(size=401), tmp_path / "base")
    else:
        save(byte_level("ru", size=401), tmp_path / "vocabulary")
        family.set_donor(random(403, 3), random(403, 4))
    expected = family.operator.old_sha256 if role == "base" else family.operator.new_sha256
    with pytest.raises(UserError) as refused:
        family.propagate("conversion")
    assert expected in str(refused.value)
    assert tokenizer_sha256(tmp_path / role) in str(refused.value)
    assert not (tmp_path / "out").exists()


def test_an_instruct_that_lacks_one_token_is_refused_with_both_hashes(tmp_path: Path) -> None:
    family = Family(tmp_path, byte_level(size=401), byte_level("ru"), instruct=byte_level(size=400))
    with pytest.raises(UserError, match=r"lacks 1 tokens of the base's") as refused:
        family.propagate("overlap")
    for role in ("base", "instruct"):
        assert tokenizer_sha256(tmp_path / role) in str(refused.value)


def test_all_methods_at_once_are_the_methods_one_by_one(tmp_path: Path) -> None:
    family = Family(tmp_path, byte_level(), byte_level("ru"))
    folders = [tmp_path / role for role in ("base", "instruct", "donor", "operator")]
    targets = {method: tmp_path / "all" / method for method in ("swap", "overlap", "conversion")}
    propagate(*folders, targets, seed=0)
    for method, folder in targets.items():
        family.propagate(method)
        assert (folder / "manifest.json").read_bytes() == (tmp_path / "out" / "manifest.json").read_bytes()


def test_conversion_of_published_token_texts(tmp_path: Path) -> None:
    """Its own rows are fitted; what its map is worth on the rows of the bytes stands beside it."""
    family = Family(tmp_path, byte_level(), extended())
    folders = [tmp_path / role for role in ("base", "instruct", "donor", "operator")]
    by_bytes = family.propagate("conversion")
    plain = family.facts
    assert not [name for name in plain if "bytes" in name]
    targets = {method: tmp_path / method for method in ("swap", "overlap", "conversion")}
    propagate(*folders, targets, seed=0, token_text="published")
    assert read_manifest(targets["conversion"])["config"] == {"method": "conversion", "token_text": "published"}
    facts = verify(targets["conversion"])["facts"]
    operator, rows = family.operator, ordinary(extended())
    differs = [i for i in range(operator.matrix.shape[0]) if (operator.matrix[i] != operator.published[i]).nnz]
    assert facts["published_differs"] == plain["published_differs"] == len(differs) > 200
    for name, matrix in family.matrices("conversion").items():
        a, b, donor = (family.matrices(role)[name].double() for role in ("base", "instruct", "donor"))
        theirs, ours = (torch.from_numpy(t.toarray()) for t in (operator.published, operator.matrix))
        projection = lstsq(theirs @ a, theirs @ b)
        torch.testing.assert_close(matrix[rows], (donor @ projection)[rows].float(), rtol=1e-5, atol=1e-5)
        assert not torch.allclose(matrix, by_bytes[name], rtol=1e-3)
        on_bytes = torch.linalg.norm(ours @ a @ projection - ours @ b) / torch.linalg.norm(ours @ b)
        assert facts[f"{name}_bytes_residual"] == pytest.approx(float(on_bytes), rel=1e-5)
        assert facts[f"{name}_bytes_best_residual"] == plain[f"{name}_residual"] < facts[f"{name}_bytes_residual"]
    for method in ("swap", "overlap"):
        family.propagate(method)
        assert (targets[method] / "manifest.json").read_bytes() == (tmp_path / "out" / "manifest.json").read_bytes()


@pytest.mark.gpu
@METHODS
def test_a_gpu_gives_the_same_rows(method: str, gpu: str, tmp_path: Path) -> None:
    family = Family(tmp_path, byte_level(), byte_level("ru"))
    expected = family.propagate(method)
    folders = [tmp_path / role for role in ("base", "instruct", "donor", "operator")]
    propagate(*folders, {method: tmp_path / "out"}, seed=0, device=gpu)
    for name, matrix in family.matrices("out").items():
        torch.testing.assert_close(matrix, expected[name], rtol=1e-5, atol=1e-5)


@TIED
@METHODS
def test_no_row_is_empty_or_not_a_number(method: str, tied: bool, tmp_path: Path) -> None:
    """The base has rows of zeros, as Llama 3's unused specials; the donor is its initialised version."""
    old, new = (
        byte_level(specials=("<|bos|>", "<|eos|>", "<|unused|>")),
        byte_level("ru", specials=("<|bos|>", "<|eos|>", "<|new|>")),
    )
    family = Family(tmp_path, old, new, tied=tied)
    zeros = {name: matrix.clone() for name, matrix in family.matrices("base").items()}
    for matrix in zeros.values():
        matrix[[old.token_to_id("a"), old.token_to_id("<|unused|>")]] = 0
    set_matrices(tmp_path / "base", **zeros)
    initialise_embeddings(tmp_path / "base", tmp_path / "operator", family.vocabulary, tmp_path / "donor")
    for matrix in family.propagate(method).values():
        assert len(matrix) == new.get_vocab_size() + 1  # <|unused|> of the instruct
        assert matrix.isfinite().all()
        assert torch.linalg.vector_norm(matrix, dim=1).min() > 1e-3


def test_models_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    family = Family(tmp_path, byte_level(), byte_level("ru"))
    with pytest.raises(UserError, match="unknown LEP method 'mean'; use one of swap, overlap, conversion"):
        family.propagate("mean")
    with pytest.raises(UserError, match="unknown token text 'letters'; use one of bytes, published"):
        propagate(*(tmp_path / role for role in ("base", "instruct", "donor")), None, {}, token_text="letters")
    make_model(byte_level(), tmp_path / "instruct", tied=True)
    with pytest.raises(UserError, match="must have the same tie_word_embeddings"):
        family.propagate("swap")
    make_model(sentencepiece_bpe(), tmp_path / "instruct")
    with pytest.raises(UserError, match=r"lacks \d+ tokens of the base's"):
        family.propagate("swap")
    make_model(byte_level(specials=("<|bos|>", "<|eos|>", "<|x|>")), tmp_path / "instruct")
    set_matrices(tmp_path / "instruct", input=random(402, 1), head=random(402, 1))
    with pytest.raises(UserError, match=r"too few for 1 tokens: '<\|x\|>'"):
        family.propagate("swap")
    make_model(byte_level(), tmp_path / "instruct")
    family.set_donor(random(402, 3), random(402, 4).fill_(float("nan")))
    with pytest.raises(UserError, match="NaN or infinite"):
        family.propagate("conversion")
    assert not (tmp_path / "out").exists()


def test_the_control_donor_body_is_the_donor_under_the_instruct_model_s_template(tmp_path: Path) -> None:
    """Rows as Swap has them, with the body of the donor, so of the base, instead of the instruct model's."""
    family = Family(tmp_path, byte_level(), byte_level("ru"), instruct=openchat(byte_level()))
    rows = family.propagate("swap")
    folders = [tmp_path / role for role in ("base", "instruct", "donor")]
    propagate(*folders, tmp_path / "operator", {"swap": tmp_path / "control"}, seed=0, body=tmp_path / "donor")
    for name, matrix in family.matrices("control").items():
        assert torch.equal(matrix, rows[name])
    bodies = {
        role: load_model(tmp_path / role, "float32").get_parameter("model.layers.0.mlp.up_proj.weight")
        for role in ("base", "instruct", "control")
    }
    assert torch.equal(bodies["control"], bodies["base"])
    assert not torch.equal(bodies["control"], bodies["instruct"])
    templates = [load_tokenizer(tmp_path / role).chat_template for role in ("out", "control")]
    assert templates[0] == templates[1] is not None
    assert tokenizer_sha256(tmp_path / "out") == tokenizer_sha256(tmp_path / "control")
