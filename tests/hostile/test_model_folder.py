"""The border of model folders: those of other origin are read as transformers does, or refused with file and remedy."""

import contextlib
import json
import os
import shutil
import struct
import tempfile
from collections.abc import Callable
from math import inf, nan
from pathlib import Path

import pytest
import torch
from fixtures.hostile import WEIRD, broken, changed, edited, held, leaves, outcome, written
from fixtures.models import TEMPLATE, byte_level, make_model
from hypothesis import given
from hypothesis import strategies as some
from lep.config import UserError
from lep.inspect import inspect_folder
from lep.models.folder import read_matrix
from lep.models.safetensors_header import weights_header
from lep.models.store import import_model, load_model
from safetensors.torch import load_file, save_file

MATRICES = ("model.embed_tokens.weight", "lm_head.weight")
SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(byte_level(), tmp_path_factory.mktemp("model") / "whole", template=TEMPLATE)


@pytest.fixture(scope="module")
def sharded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(byte_level(), tmp_path_factory.mktemp("model") / "sharded", shard="20KB")


@pytest.fixture
def model(whole: Path, tmp_path: Path) -> Path:
    """A copy of a good model to break."""
    return Path(shutil.copytree(whole, tmp_path / "model"))


def tensors(change: Callable[[dict], object]) -> Callable[[Path], None]:
    """A change of the tensors of the one file of weights."""

    def edit(folder: Path) -> None:
        found = load_file(folder / SINGLE)
        change(found)
        save_file(found, folder / SINGLE, {"format": "pt"})

    return edit


def fp8(found: dict) -> None:
    found["model.layers.0.mlp.up_proj.weight"] = found["model.layers.0.mlp.up_proj.weight"].to(torch.float8_e4m3fn)


def int8(found: dict) -> None:
    found["model.layers.0.mlp.up_proj.weight"] = found["model.layers.0.mlp.up_proj.weight"].to(torch.int8)


def packed(name: str) -> Callable[[dict], None]:
    return lambda found: found.__setitem__(f"model.layers.0.mlp.up_proj.{name}", torch.zeros(2, 2, dtype=torch.int32))


def no_layer(found: dict) -> None:
    for name in [name for name in found if ".layers.1." in name]:
        del found[name]


def header(content: bytes, claimed: int | None = None) -> bytes:
    return struct.pack("<Q", len(content) if claimed is None else claimed) + content


def only_gguf(folder: Path) -> None:
    (folder / SINGLE).rename(folder / "model.gguf")


def linked(name: str) -> Callable[[Path], None]:
    def link(folder: Path) -> None:
        private = folder.parent / "private"
        private.write_text((folder / name).read_text() if (folder / name).exists() else "secret")
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(private)

    return link


def linked_weights(folder: Path) -> None:
    (folder / SINGLE).rename(folder.parent / "private")
    (folder / SINGLE).symlink_to(folder.parent / "private")


def pickled(folder: Path) -> None:
    (folder / SINGLE).rename(folder / "pytorch_model.bin")


REFUSED = {
    "config.json is null": (written("config.json", b"null"), "config.json is damaged"),
    "config.json is not UTF-8": (written("config.json", b'{"a": "\xe9"}'), "config.json is damaged"),
    "tying is a word": (edited("config.json", tie_word_embeddings="false"), "tie_word_embeddings must be true or"),
    "an id is a word": (edited("config.json", eos_token_id="2"), "eos_token_id must be a token id"),
    "an id is a fraction": (edited("generation_config.json", pad_token_id=1.5), "pad_token_id must be a token id"),
    "phrases are a number": (edited("generation_config.json", bad_words_ids=3), "bad_words_ids must be a list"),
    "the index is empty": (written(INDEX, b"{}"), "has no weight_map"),
    "the index is a list": (written(INDEX, b"[]"), "index.json is damaged"),
    "the index leads out": (written(INDEX, b'{"weight_map": {"a": "../x.safetensors"}}'), "names ../x.safetensors"),
    "the index lacks tensors": (
        written(INDEX, json.dumps({"weight_map": {"lm_head.weight": SINGLE}}).encode()),
        "which model.safetensors.index.json lacks",
    ),
    "a header of two gigabytes": (written(SINGLE, header(b"{}", 2 * 10**9)), "the format allows 100000000"),
    "a header longer than the file": (written(SINGLE, header(b"{}", 100)), "is truncated"),
    "a file of three bytes": (written(SINGLE, b"abc"), "is truncated"),
    "a header that is no JSON": (written(SINGLE, header(b"not json at all!") + bytes(8)), "its header is not JSON"),
    "a header that is a list": (written(SINGLE, header(b"[1, 2]")), "no JSON object"),
    "deep brackets": (written(SINGLE, header(b"[" * 99_999)), "its header is not JSON"),
    "an entry without shape": (written(SINGLE, header(b'{"a": {"dtype": "F32"}}')), "the entry of a is wrong"),
    "an entry beyond the end": (
        written(SINGLE, header(b'{"a": {"dtype": "F32", "shape": [9], "data_offsets": [0, 36]}}')),
        "the entry of a is wrong",
    ),
    "only GGUF": (only_gguf, "only GGUF weights"),
    "quantised by its configuration": (edited("config.json", quantization_config={"bits": 4}), "quantised weights"),
    "quantised by a file": (written("quantize_config.json", b"{}"), "quantised weights (quantize_config.json)"),
    "FP8": (tensors(fp8), "up_proj.weight of type F8_E4M3"),
    "bitsandbytes": (tensors(int8), "up_proj.weight of type I8"),
    "GPTQ": (tensors(packed("qweight")), "up_proj.qweight"),
    "AWQ": (tensors(packed("qzeros")), "up_proj.qzeros"),
    "a layer lacks": (tensors(no_layer), "the weights lack layer 1"),
    "a bias of the head": (tensors(lambda t: t.update({"lm_head.bias": torch.ones(402)})), "lm_head.bias has an entry"),
    "embeddings of a layer": (
        tensors(lambda t: t.update({"model.layers.2.embed_tokens.weight": torch.ones(402, 3)})),
        "model.layers.2.embed_tokens.weight has an entry",
    ),
    "whole numbers as matrix": (
        tensors(lambda t: t.update({"model.embed_tokens.weight": torch.ones(402, 16, dtype=torch.int64)})),
        "quantised",
    ),
    "a matrix of one dimension": (
        tensors(lambda t: t.update({"model.embed_tokens.weight": torch.ones(402)})),
        "model.embed_tokens.weight has shape (402,)",
    ),
    "no weights": (lambda folder: (folder / SINGLE).unlink(), "has no model.safetensors.index.json and no"),
    "only pickled weights": (pickled, "only pickled weights, which are never opened"),
    "no configuration": (lambda folder: (folder / "config.json").unlink(), "config.json"),
    "a configuration of deep brackets": (written("config.json", b"[" * 99_999), "config.json is damaged"),
    "a type that nobody knows": (
        edited("config.json", model_type="nosuch", tie_word_embeddings=None),
        "describes no model that transformers",
    ),
    "another hidden size": (edited("config.json", hidden_size=32), "the body's hidden size is 32"),
    "tied, with a head of its own": (edited("config.json", hidden_size="16"), "hidden size"),
    "NaN in the input": (
        tensors(lambda t: t["model.embed_tokens.weight"][3].fill_(nan)),
        "embed_tokens.weight holds NaN",
    ),
    "infinity in the head": (tensors(lambda t: t["lm_head.weight"][0].fill_(-inf)), "lm_head.weight holds NaN or inf"),
    "NaN in a layer": (tensors(lambda t: t["model.layers.1.mlp.up_proj.weight"][2].fill_(nan)), "up_proj.weight holds"),
    "NaN in a norm": (tensors(lambda t: t["model.norm.weight"][:1].fill_(nan)), "model.norm.weight holds NaN"),
    "too few rows": (
        tensors(lambda t: t.update({name: t[name][:100].clone() for name in MATRICES})),
        "the matrices have 100 rows, too few for",
    ),
    "a head of other rows": (
        tensors(lambda t: t.update({"lm_head.weight": t["lm_head.weight"][:100].clone()})),
        "differ in shape",
    ),
    "a linked configuration": (linked("config.json"), "config.json is a link that leads out"),
    "linked settings": (linked("tokenizer_config.json"), "tokenizer_config.json is a link that leads out"),
    "linked weights": (linked_weights, "model.safetensors is a link that leads out"),
    "a linked licence": (linked("LICENSE"), "LICENSE is a link that leads out"),
    "a linked tokenizer": (linked("tokenizer.json"), "tokenizer.json is a link that leads out"),
    "a linked template": (linked("chat_template.jinja"), "chat_template.jinja is a link that leads out"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_folder_that_is_no_model_gets_one_message(name: str, model: Path, tmp_path: Path) -> None:
    change, words = REFUSED[name]
    change(model)
    with pytest.raises(UserError) as refused:
        import_model(model, tmp_path / "store")
    assert words in str(refused.value)
    assert not list(tmp_path.glob("*store*"))
    with contextlib.suppress(UserError):  # may say less, but never with another error
        inspect_folder(model)


def test_code_in_a_folder_is_never_run_and_nobody_is_asked(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    edited("config.json", tie_word_embeddings=None, model_type="other", auto_map={"AutoConfig": "code.Config"})(model)
    (model / "code.py").write_text(f"open({str(model / 'ran')!r}, 'w')\nclass Config: pass\n")
    monkeypatch.setattr("builtins.input", lambda _: pytest.fail("the user was asked"))
    for call in (inspect_folder, load_model, lambda folder: import_model(folder, folder.parent / "store")):
        with pytest.raises(UserError, match="without running code"):
            call(model)
    assert not (model / "ran").exists()


def test_an_old_index_beside_one_file_is_not_read(whole: Path, sharded: Path, tmp_path: Path) -> None:
    """As transformers: `model.safetensors` comes first, whether the old shards are still there or not."""
    both = Path(shutil.copytree(sharded, tmp_path / "both"))
    found = {name: tensor + 1 for name, tensor in load_file(whole / SINGLE).items()}
    save_file(found, both / SINGLE, {"format": "pt"})
    assert torch.equal(read_matrix(both, "input"), found["model.embed_tokens.weight"])
    for shard in both.glob("model-*.safetensors"):
        shard.unlink()
    assert torch.equal(read_matrix(both, "input"), found["model.embed_tokens.weight"])
    import_model(both, tmp_path / "store")
    assert torch.equal(read_matrix(tmp_path / "store", "head"), found["lm_head.weight"])


@pytest.mark.parametrize("lacks", ["index", "file"])
def test_an_index_must_list_the_tensors_of_its_shards(lacks: str, sharded: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(sharded, tmp_path / "model"))
    index = json.loads((folder / INDEX).read_text())
    name = "model.layers.1.mlp.up_proj.weight"
    if lacks == "index":
        del index["weight_map"][name]
    else:
        name = "model.mtp.fc.weight"
        index["weight_map"][name] = index["weight_map"]["lm_head.weight"]
    (folder / INDEX).write_text(json.dumps(index))
    with pytest.raises(UserError, match=rf"tensor {name}, which .* lacks"):
        import_model(folder, tmp_path / "store")


def test_a_loaded_model_has_all_its_weights(model: Path) -> None:
    """transformers would draw a tensor that is not there at random, with a warning."""
    tensors(lambda t: t.pop("model.layers.1.mlp.up_proj.weight"))(model)
    with pytest.raises(UserError, match=r"lacks the tensors model\.layers\.1\.mlp\.up_proj\.weight"):
        load_model(model, "float32")


def test_a_huge_header_is_not_read(tmp_path: Path) -> None:
    with open(tmp_path / SINGLE, "wb") as file:
        file.write(struct.pack("<Q", 2 * 10**9))
        file.truncate(3 * 10**9)  # a sparse file: reading its header would take two gigabytes of memory
    with pytest.raises(UserError, match="2000000000 bytes"):
        weights_header(tmp_path / SINGLE)


def test_folders_of_the_hubs_cache_are_links_and_are_read(whole: Path, tmp_path: Path) -> None:
    cached, blobs = tmp_path / "models--a--b" / "snapshots" / "1f", tmp_path / "models--a--b" / "blobs"
    cached.mkdir(parents=True)
    blobs.mkdir()
    for number, path in enumerate(sorted(whole.iterdir())):
        shutil.copyfile(path, blobs / str(number))
        (cached / path.name).symlink_to(Path("..") / ".." / "blobs" / str(number))
    import_model(cached, tmp_path / "store")
    assert not any(path.is_symlink() for path in (tmp_path / "store").iterdir())
    assert os.stat(tmp_path / "store" / "embeddings.safetensors").st_size > 1000


JSON = ("config.json", "generation_config.json", "tokenizer_config.json")


@held
@given(data=some.data(), value=some.sampled_from(WEIRD))
def test_any_change_is_read_or_refused(data: some.DataObject, value: object, whole: Path) -> None:
    """Bytes of any file, or any value of the settings: a model that is taken also loads, or says why not."""
    with tempfile.TemporaryDirectory() as scratch:
        model, store = Path(shutil.copytree(whole, Path(scratch) / "model")), Path(scratch) / "store"
        if data.draw(some.booleans()):
            path = model / data.draw(some.sampled_from([*JSON, SINGLE]))
            path.write_bytes(
                broken(path.read_bytes(), data.draw(some.integers(0, 4000)), data.draw(some.integers(0, 11)))
            )
        else:
            path = model / data.draw(some.sampled_from(JSON))
            state = json.loads(path.read_text())
            key = data.draw(some.sampled_from(leaves(state)))
            path.write_text(json.dumps(changed(state, key, value)), encoding="utf-8")
        refused = outcome(import_model, model, store, kept=model)
        assert bool(refused) != store.exists()
        assert {path.name for path in Path(scratch).iterdir()} <= {"model", "store"}
        outcome(inspect_folder, model, kept=model)
        if not refused:
            outcome(load_model, store, kept=store)
