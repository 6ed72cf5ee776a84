"""Model folders: tensors copied as they are, the hash of a tokenizer."""

import json
from pathlib import Path

import pytest
import torch
from fixtures.models import save, sentencepiece_bpe
from lep.models.folder import copy_tensors, tokenizer_sha256
from safetensors.torch import load_file, save_file


@pytest.mark.parametrize("dtype", [None, torch.float32])
def test_tensors_are_copied_as_they_are(dtype: torch.dtype | None, tmp_path: Path) -> None:
    """Odd sizes, empty and single numbers, whole numbers; floating ones are converted if wanted."""
    tensors = {
        "b": torch.randn(3, 5).bfloat16(),
        "byte": torch.arange(7, dtype=torch.uint8),
        "empty": torch.zeros(0, 4),
        "half": torch.randn(2, 1, 3).half(),
        "one": torch.tensor(3, dtype=torch.int64),
        "single": torch.tensor(1.5),
        "yes": torch.tensor([True, False]),
    }
    save_file(tensors | {"left out": torch.ones(2)}, tmp_path / "source")
    copy_tensors(tmp_path / "source", tmp_path / "target", tensors, dtype)
    copied = load_file(tmp_path / "target")
    assert set(copied) == set(tensors)
    for name, tensor in tensors.items():
        wanted = tensor.to(dtype) if dtype and tensor.is_floating_point() else tensor
        assert copied[name].dtype == wanted.dtype
        assert torch.equal(copied[name], wanted)


def test_tokenizer_hash_ignores_form_and_sees_content(tmp_path: Path) -> None:
    one = save(sentencepiece_bpe(), tmp_path / "one")
    state = json.loads((one / "tokenizer.json").read_text())
    state["truncation"] = {"max_length": 8, "strategy": "LongestFirst", "stride": 0, "direction": "Right"}
    state["model"]["merges"] = [" ".join(merge) for merge in state["model"]["merges"]]
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "tokenizer.json").write_text(json.dumps(state, indent=7))
    assert tokenizer_sha256(one) == tokenizer_sha256(tmp_path / "two")
    assert tokenizer_sha256(one) != tokenizer_sha256(save(sentencepiece_bpe(size=501), tmp_path / "three"))
