"""Disk of derived models: counted from shapes, and byte for byte on real folders."""

import json
from pathlib import Path

import pytest
import torch
from fixtures.models import TEMPLATE, byte_level, make_model
from lep.config import UserError
from lep.models.folder import read_embeddings
from lep.models.safetensors_header import weights_header
from lep.models.store import TOKENIZER_FILES, derive_model, import_model
from lep.planning.shape import Shape, read_shape

MB = 1_000_000
# The rows of the paper's models (Mistral-7B with two tokens of OpenChat, Llama-3-8B with its 256 special tokens).
PAPER_ROWS = [32_002, 32_002, 55_331, 128_256, 128_256, 174_817, 114_505]
METHODS = 3


def tensor_bytes(folder: Path, pattern: str = "*.safetensors") -> int:
    entries = [entry for path in folder.glob(pattern) for entry in weights_header(path).values()]
    return sum(entry["data_offsets"][1] - entry["data_offsets"][0] for entry in entries)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("architecture", ["llama", "mistral"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_shapes_give_the_bytes_of_real_models(
    tied: bool, architecture: str, dtype: torch.dtype, tmp_path: Path
) -> None:
    source = make_model(byte_level(), tmp_path / "source", tied=tied, architecture=architecture, dtype=dtype, rows=448)
    shape = read_shape(json.loads((source / "config.json").read_text()), dtype.itemsize)
    assert shape.full_bytes(448) == tensor_bytes(source)
    import_model(source, tmp_path / "model")
    assert shape.derived_bytes(448) == tensor_bytes(tmp_path / "model", "embeddings.safetensors")


@pytest.mark.parametrize("tied", [False, True])
def test_a_derived_model_costs_its_matrices_and_small_files(tied: bool, tmp_path: Path) -> None:
    source = make_model(byte_level(), tmp_path / "source", tied=tied, template=TEMPLATE, shard="20KB")
    import_model(source, tmp_path / "parent")
    parent, derived = tmp_path / "parent", tmp_path / "derived"
    derive_model(parent, read_embeddings(parent), parent, derived, recipe_version=1)
    own = {path.name: path.stat().st_size for path in derived.iterdir() if path.stat().st_nlink == 1}
    bodies = {path.name for path in derived.iterdir()} - set(own)
    assert bodies == {path.name for path in parent.glob("body-*")} != set()
    shape = read_shape(json.loads((source / "config.json").read_text()), 4)
    header = 8 + int.from_bytes((derived / "embeddings.safetensors").read_bytes()[:8], "little")
    assert own.pop("embeddings.safetensors") == shape.derived_bytes(402) + header
    tokenizer = sum(own.pop(name, 0) for name in TOKENIZER_FILES)
    assert tokenizer > 1000
    assert header + sum(own.values()) <= MB
    assert set(own) == {
        "config.json", "generation_config.json", "manifest.json", "run.json", "model.safetensors.index.json",
    }  # fmt: skip


def test_the_models_of_the_paper_cost_a_fifth_of_full_copies() -> None:
    """Both families have the same body; the tokenizers are those of Llama 3's size, 17 MB."""
    settings = {
        "model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
        "num_attention_heads": 32, "num_key_value_heads": 8,
    }  # fmt: skip
    shape = read_shape(settings)
    published = 8_030_261_248  # parameters of Meta-Llama-3-8B
    assert shape.full_bytes(128_256) == 2 * published
    derived = METHODS * sum(shape.derived_bytes(rows) + 18 * MB for rows in PAPER_ROWS)
    full = METHODS * sum(shape.full_bytes(rows) + 18 * MB for rows in PAPER_ROWS)
    assert METHODS * len(PAPER_ROWS) == 21
    assert derived <= 0.2 * full
    assert derived == pytest.approx(33.1e9, rel=0.01)


def test_other_architectures_are_refused() -> None:
    with pytest.raises(UserError, match="type 'mixtral'; use llama, mistral"):
        read_shape({"model_type": "mixtral"})
    assert read_shape({"model_type": "llama", "hidden_size": 4, "intermediate_size": 2, "num_hidden_layers": 0,
                       "num_attention_heads": 1}) == Shape(4, 4, False, 2)  # fmt: skip
