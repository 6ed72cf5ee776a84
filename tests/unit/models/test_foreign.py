"""Model folders of other origin, broken or hostile: read as transformers does, or refused with file and remedy."""

import contextlib
import json
import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from fixtures.models import TEMPLATE, byte_level, make_model
from lep.config import UserError
from lep.inspect import inspect_folder
from lep.models.folder import byte_view, load_tokenizer, read_matrix
from lep.models.safetensors_header import weights_header
from lep.models.store import import_model, load_model
from lep.vocabulary.byte_view import ByteView
from lep.vocabulary.reach import unreachable_rows
from lep.vocabulary.tokenizer_file import load_backend
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from transformers import AutoTokenizer

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


def edited(name: str, **changes: object) -> Callable[[Path], None]:
    """A change of keys of a JSON file of the folder; None deletes a key."""

    def edit(folder: Path) -> None:
        value = json.loads((folder / name).read_text()) | changes
        (folder / name).write_text(json.dumps({k: v for k, v in value.items() if v is not None}))

    return edit


def written(name: str, content: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(content)


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


def tokenizer(change: Callable[[dict], object]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        state = json.loads((folder / "tokenizer.json").read_text())
        change(state)
        (folder / "tokenizer.json").write_text(json.dumps(state))

    return edit


REFUSED = {
    "tokenizer.json is empty": (written("tokenizer.json", b""), "tokenizer.json has no tokenizer that can be read"),
    "tokenizer.json is an object without model": (written("tokenizer.json", b"{}"), "no tokenizer that can be read"),
    "tokenizer.json is a list": (written("tokenizer.json", b"[1]"), "no tokenizer that can be read"),
    "tokenizer.json is not UTF-8": (written("tokenizer.json", b"\xff\xfe"), "no tokenizer that can be read"),
    "an id that is no number": (tokenizer(lambda s: s["model"]["vocab"].update(a="x")), "no tokenizer that can be"),
    "a merge of unknown parts": (tokenizer(lambda s: s["model"]["merges"].append(["ы", "ъ"])), "no tokenizer that can"),
    "an id of two thousand million": (tokenizer(lambda s: s["model"]["vocab"].update(zzz=2 * 10**9)), "but ids up to"),
    "a hole in the ids": (tokenizer(lambda s: s["model"]["vocab"].update(zzz=999)), "unused ids before the added"),
    "settings are no JSON": (written("tokenizer_config.json", b"x"), "tokenizer_config.json is damaged"),
    "settings are null": (written("tokenizer_config.json", b"null"), "must hold a JSON object, not null"),
    "a role is a number": (edited("tokenizer_config.json", eos_token=5), "no tokenizer that can be read"),
    "no eos": (edited("tokenizer_config.json", eos_token=None), "names no eos_token"),
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


def test_only_one_file_says_how_a_tokenizer_works(model: Path, tmp_path: Path) -> None:
    """A class of its own, or `tokenizer.model`, would let other libraries build another tokenizer."""
    edited("tokenizer_config.json", tokenizer_class="LlamaTokenizer", auto_map={"AutoTokenizer": "code.T"})(model)
    (model / "tokenizer.model").write_bytes(b"x")
    import_model(model, tmp_path / "store")
    settings = json.loads((tmp_path / "store" / "tokenizer_config.json").read_text())
    assert settings["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert "auto_map" not in settings
    assert not (tmp_path / "store" / "tokenizer.model").exists()


def left_behind(state: dict) -> None:
    """What a training leaves in the file it saves."""
    state["truncation"] = {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0}
    state["padding"] = {
        "strategy": {"Fixed": 64}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0, "pad_type_id": 0,
        "pad_token": "!",
    }  # fmt: skip


def test_truncation_and_padding_of_a_training_do_not_count(model: Path, tmp_path: Path) -> None:
    whole = load_backend(model)
    tokenizer(left_behind)(model)
    text = "And God said, Let there be light: and there was light."
    assert load_backend(model).encode(text).ids == whole.encode(text).ids
    assert unreachable_rows(byte_view(model)) == unreachable_rows(ByteView(whole))
    import_model(model, tmp_path / "store")
    assert Tokenizer.from_file(str(tmp_path / "store" / "tokenizer.json")).encode(text).ids == whole.encode(text).ids


NAMED = {"lstrip": False, "rstrip": False, "single_word": False, "normalized": False, "special": True}


@pytest.mark.parametrize(
    "settings",
    [
        {"added_tokens_decoder": {"402": {"content": "<|mine|>", **NAMED}}},
        {"pad_token": "<|mine|>"},
        {"pad_token": {"content": "<|mine|>", **NAMED}},
        {"extra_special_tokens": ["<|mine|>"]},
        {"extra_special_tokens": {"image_token": "<|mine|>"}},
        {"additional_special_tokens": ["<|mine|>"]},
    ],
)
def test_tokens_that_only_the_settings_name_have_ids_everywhere(settings: dict, tmp_path: Path) -> None:
    """In the id map, in what is written, and for every library that reads what is written."""
    model = make_model(byte_level(), tmp_path / "model", rows=403)
    edited("tokenizer_config.json", **settings)(model)
    assert byte_view(model).ids["<|mine|>"] == 402
    import_model(model, tmp_path / "store")
    for read in (load_tokenizer(tmp_path / "store"), AutoTokenizer.from_pretrained(tmp_path / "store")):
        assert read("<|mine|>", add_special_tokens=False)["input_ids"] == [402]
    assert Tokenizer.from_file(str(tmp_path / "store" / "tokenizer.json")).token_to_id("<|mine|>") == 402
    small = make_model(byte_level(), tmp_path / "small")
    edited("tokenizer_config.json", **settings)(small)
    with pytest.raises(UserError, match=r"402 rows, too few for 1 tokens: '<\|mine\|>' \(id 402\)"):
        import_model(small, tmp_path / "refused")
