"""The model store: imported and derived models, the body kept once, refusals."""

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from fixtures.models import HIDDEN, TEMPLATE, byte_level, extended, make_model, save
from lep.config import UserError
from lep.manifest import read_manifest, verify
from lep.models.folder import Embeddings, load_tokenizer, read_embeddings, tokenizer_sha256
from lep.models.store import derive_model, import_model, load_model
from safetensors.torch import load_file, save_file

TIED = pytest.mark.parametrize("tied", [False, True])
TOKENS = torch.tensor([[3, 7, 11, 2, 90]])


def logits(folder: Path) -> torch.Tensor:
    with torch.no_grad():
        return load_model(folder, "float32")(TOKENS).logits


def random_embeddings(rows: int, tied: bool) -> Embeddings:
    generator = torch.Generator().manual_seed(5)
    one, two = (torch.randn(rows, HIDDEN, generator=generator) for _ in range(2))
    return Embeddings(one, None if tied else two)


def with_matrices(source: Path, embeddings: Embeddings) -> torch.Tensor:
    """Logits of the source model, its matrices replaced in memory."""
    model = load_model(source, "float32")
    model.resize_token_embeddings(len(embeddings.input), mean_resizing=False)
    with torch.no_grad():
        model.get_input_embeddings().weight.copy_(embeddings.input)
        if not embeddings.tied:
            model.get_output_embeddings().weight.copy_(embeddings.head)
        return model(TOKENS).logits


@TIED
@pytest.mark.parametrize(("shard", "architecture"), [("50GB", "llama"), ("20KB", "mistral")])
def test_imported_model_is_the_source(tied: bool, shard: str, architecture: str, tmp_path: Path) -> None:
    source = make_model(byte_level(), tmp_path / "source", tied=tied, shard=shard, architecture=architecture)
    assert (len(list(source.glob("*.safetensors"))) > 1) == (shard == "20KB")
    import_model(source, tmp_path / "model")
    verify(tmp_path / "model")
    assert torch.equal(logits(tmp_path / "model"), logits(source))
    tensors = load_file(tmp_path / "model" / "embeddings.safetensors")
    assert sorted(tensors) == ["model.embed_tokens.weight"] if tied else ["lm_head.weight", "model.embed_tokens.weight"]
    bodies = [load_file(path) for path in sorted((tmp_path / "model").glob("body-*.safetensors"))]
    assert not any(set(tensors) & set(body) for body in bodies)
    facts = read_manifest(tmp_path / "model")["facts"]
    assert {k: facts[k] for k in ("rows", "tokens", "padded_rows", "hidden_size", "tied", "dtype")} == {
        "rows": 402, "tokens": 402, "padded_rows": 0, "hidden_size": HIDDEN, "tied": tied, "dtype": "float32",
    }  # fmt: skip
    assert facts["tokenizer_sha256"] == tokenizer_sha256(source)


def test_import_converts_the_number_type(tmp_path: Path) -> None:
    source = make_model(byte_level(), tmp_path / "source", dtype=torch.float16)
    import_model(source, tmp_path / "model", "float32")
    weights = [t for path in (tmp_path / "model").glob("*.safetensors") for t in load_file(path).values()]
    assert {t.dtype for t in weights} == {torch.float32}
    assert json.loads((tmp_path / "model" / "config.json").read_text())["dtype"] == "float32"
    assert torch.equal(logits(tmp_path / "model"), logits(source))
    with pytest.raises(UserError, match="unknown dtype 'float33'"):
        import_model(source, tmp_path / "other", "float33")


@TIED
@pytest.mark.parametrize("store", [True, False])
def test_derived_model_equals_replacement_in_memory(tied: bool, store: bool, tmp_path: Path) -> None:
    """From a folder of the store, and from any Hugging Face folder (body and matrices in the same files)."""
    parent = make_model(byte_level(), tmp_path / "source", tied=tied)
    if store:
        import_model(parent, tmp_path / "parent")
        parent = tmp_path / "parent"
    embeddings = random_embeddings(extended().get_vocab_size(), tied)
    vocabulary = save(extended(), tmp_path / "vocabulary")
    derive_model(parent, embeddings, vocabulary, tmp_path / "derived", recipe_version=1, facts={"more": 1})
    assert torch.equal(logits(tmp_path / "derived"), with_matrices(parent, embeddings))
    saved = read_embeddings(tmp_path / "derived")
    assert torch.equal(saved.input, embeddings.input)
    assert tied == (saved.head is None)
    facts = verify(tmp_path / "derived")["facts"]
    assert (facts["rows"], facts["more"]) == (len(embeddings.input), 1)
    assert facts["tokenizer_sha256"] == tokenizer_sha256(vocabulary)


def test_derived_model_costs_its_matrices_and_never_harms_its_parent(tmp_path: Path) -> None:
    import_model(make_model(byte_level(), tmp_path / "source"), tmp_path / "parent")
    derive_model(tmp_path / "parent", random_embeddings(402, False), tmp_path / "parent", tmp_path / "derived",
                 recipe_version=1, parents={"model": tmp_path / "parent"})  # fmt: skip
    for body in (tmp_path / "parent").glob("body-*"):
        assert os.path.samefile(body, tmp_path / "derived" / body.name)
    facts = [read_manifest(tmp_path / name)["facts"]["body_sha256"] for name in ("parent", "derived")]
    assert facts[0] == facts[1]
    shutil.rmtree(tmp_path / "derived")
    verify(tmp_path / "parent")
    assert logits(tmp_path / "parent").isfinite().all()


def test_no_body_of_the_store_is_read(tmp_path: Path) -> None:
    """The parent's body is overwritten with zeros behind its header: whoever read it would see another hash."""
    import_model(make_model(byte_level(), tmp_path / "source"), tmp_path / "parent")
    for body in (tmp_path / "parent").glob("body-*"):
        body.chmod(0o644)
        with open(body, "r+b") as file:
            start = 8 + int.from_bytes(file.read(8), "little")
            file.seek(start)
            file.write(bytes(body.stat().st_size - start))
    derive_model(tmp_path / "parent", random_embeddings(402, False), tmp_path / "parent", tmp_path / "derived",
                 recipe_version=1)  # fmt: skip
    parent, derived = (read_manifest(tmp_path / name) for name in ("parent", "derived"))
    bodies = [name for name in parent["files"] if name.startswith("body-")]
    assert bodies
    assert all(derived["files"][name] == parent["files"][name] for name in bodies)
    assert derived["facts"]["body_sha256"] == parent["facts"]["body_sha256"]
    with pytest.raises(UserError, match="does not match"):
        verify(tmp_path / "derived")


def test_symbolic_links_where_hard_links_are_impossible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import_model(make_model(byte_level(), tmp_path / "source"), tmp_path / "parent")
    embeddings = random_embeddings(402, False)

    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    for parent, name in (("parent", "one"), ("one", "two")):
        derive_model(tmp_path / parent, embeddings, tmp_path / "parent", tmp_path / name, recipe_version=1)
    bodies = list((tmp_path / "two").glob("body-*"))
    assert bodies
    assert all(body.is_symlink() and body.resolve().parent == tmp_path / "parent" for body in bodies)
    assert torch.equal(logits(tmp_path / "two"), with_matrices(tmp_path / "parent", embeddings))
    shutil.rmtree(tmp_path / "one")
    verify(tmp_path / "two")
    verify(tmp_path / "parent")


def test_publishing_twice_gives_the_same_manifest(tmp_path: Path) -> None:
    import_model(make_model(byte_level(), tmp_path / "source"), tmp_path / "parent")
    found = []
    for _ in range(2):
        derive_model(tmp_path / "parent", random_embeddings(402, False), tmp_path / "parent", tmp_path / "derived",
                     recipe_version=1, parents={"model": tmp_path / "parent"})  # fmt: skip
        found.append((tmp_path / "derived" / "manifest.json").read_bytes())
    assert found[0] == found[1]


def test_special_ids_follow_the_new_tokenizer_by_name(tmp_path: Path) -> None:
    """A list of ends (as Llama 3 Instruct has) keeps its members; the chat template comes along."""
    ends = ("<|bos|>", "<|eos|>", "<|turn|>", "<|pad|>")
    source = make_model(byte_level(specials=ends), tmp_path / "source", template=TEMPLATE, pad_token="<|pad|>")
    path = source / "generation_config.json"
    path.write_text(json.dumps({"eos_token_id": [401, 402], "pad_token_id": 403, "do_sample": False}))
    import_model(source, tmp_path / "parent")
    new = byte_level("ru", 300, specials=("<|turn|>", "<|pad|>", "<|eos|>", "<|bos|>"))
    vocabulary = save(new, tmp_path / "vocabulary")
    derive_model(tmp_path / "parent", random_embeddings(304, False), vocabulary, tmp_path / "derived", recipe_version=1)
    settings, generation = (
        json.loads((tmp_path / "derived" / name).read_text()) for name in ("config.json", "generation_config.json")
    )
    assert settings["vocab_size"] == 304
    assert (settings["bos_token_id"], settings["eos_token_id"]) == (303, 302)
    assert generation == {"eos_token_id": [302, 300], "pad_token_id": 301, "bos_token_id": 303, "do_sample": False}
    tokenizer = load_tokenizer(tmp_path / "derived")
    assert tokenizer.apply_chat_template([{"role": "user", "content": "a"}], tokenize=False) == "<|bos|>a<|eos|>"


def test_end_token_that_also_pads_gets_no_padding_row(tmp_path: Path) -> None:
    """A padding row receives no gradient; the end of a text must learn."""
    import_model(make_model(byte_level(), tmp_path / "source", pad_token="<|eos|>"), tmp_path / "model")
    assert json.loads((tmp_path / "model" / "config.json").read_text())["pad_token_id"] is None
    assert load_model(tmp_path / "model").get_input_embeddings().padding_idx is None


def test_padding_rows_are_kept_and_recorded(tmp_path: Path) -> None:
    import_model(make_model(byte_level(), tmp_path / "source", rows=448), tmp_path / "model")
    facts = read_manifest(tmp_path / "model")["facts"]
    assert (facts["rows"], facts["tokens"], facts["padded_rows"]) == (448, 402, 46)
    assert len(read_embeddings(tmp_path / "model").input) == 448


def test_ids_beyond_the_matrix_are_refused_before_any_work(tmp_path: Path) -> None:
    source = make_model(byte_level(), tmp_path / "source")
    import_model(source, tmp_path / "parent")
    longer = save(byte_level(specials=("<|bos|>", "<|eos|>", "<|more|>")), tmp_path / "longer")
    message = r"402 rows, too few for 1 tokens: '<\|more\|>' \(id 402\)"
    with pytest.raises(UserError, match=message):
        derive_model(tmp_path / "parent", random_embeddings(402, False), longer, tmp_path / "bad", recipe_version=1)
    shutil.copy(longer / "tokenizer.json", source)
    with pytest.raises(UserError, match=message):
        import_model(source, tmp_path / "bad")
    assert not list(tmp_path.glob("*bad*"))


def test_matrices_must_fit_the_body(tmp_path: Path) -> None:
    import_model(make_model(byte_level(), tmp_path / "source"), tmp_path / "parent")
    good = random_embeddings(402, False)
    for bad, message in (
        (Embeddings(good.input, None), "needs two, but got one tied matrix"),
        (Embeddings(good.input, good.head[:-1]), "differ in shape"),
        (Embeddings(good.input[:, :8], good.head[:, :8]), "hidden size is 16"),
    ):
        with pytest.raises(UserError, match=message):
            derive_model(tmp_path / "parent", bad, tmp_path / "parent", tmp_path / "bad", recipe_version=1)


def test_folders_that_are_no_models_are_refused(tmp_path: Path) -> None:
    def broken(change) -> Path:
        source = make_model(byte_level(), tmp_path / "source")
        change(source)
        return source

    def pickled(source: Path) -> None:
        (source / "model.safetensors").rename(source / "pytorch_model.bin")

    def cut(source: Path) -> None:
        (source / "model.safetensors").write_bytes((source / "model.safetensors").read_bytes()[:100])

    def foreign(source: Path) -> None:
        tensors = load_file(source / "model.safetensors")
        tensors["transformer.wte.weight"] = tensors.pop("model.embed_tokens.weight")
        save_file(tensors, source / "model.safetensors")

    def outside(source: Path) -> None:
        index = {"weight_map": {"model.embed_tokens.weight": "../elsewhere.safetensors"}}
        (source / "model.safetensors.index.json").write_text(json.dumps(index))

    for change, message in (
        (lambda source: (source / "tokenizer.json").unlink(), r"tokenizer\.json is missing.*save_pretrained"),
        (lambda source: (source / "config.json").unlink(), r"config\.json is missing"),
        (lambda source: (source / "model.safetensors").unlink(), r"no model\.safetensors"),
        (pickled, "only pickled weights"),
        (cut, "is truncated"),
        (foreign, r"no tensor model\.embed_tokens\.weight"),
        (outside, "names ../elsewhere"),
        (shutil.rmtree, "is not a folder"),
    ):
        with pytest.raises(UserError, match=message):
            import_model(broken(change), tmp_path / "bad")
    assert not (tmp_path / "bad").exists()
