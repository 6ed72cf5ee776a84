"""Tokenizer folders of other origin: what a training left in them, and tokens that only the settings name."""

import json
from pathlib import Path

import pytest
from fixtures.hostile import edited
from fixtures.models import byte_level, make_model
from lep.config import UserError
from lep.models.folder import byte_view, load_tokenizer
from lep.models.store import import_model
from lep.vocabulary.byte_view import ByteView
from lep.vocabulary.reach import unreachable_rows
from lep.vocabulary.tokenizer_file import load_backend
from tokenizers import Tokenizer
from transformers import AutoTokenizer

NAMED = {"lstrip": False, "rstrip": False, "single_word": False, "normalized": False, "special": True}


LEFT = {
    "truncation": {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0},
    "padding": {
        "strategy": {"Fixed": 64}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0, "pad_type_id": 0,
        "pad_token": "!",
    },
}  # fmt: skip


def test_truncation_and_padding_of_a_training_do_not_count(tmp_path: Path) -> None:
    model = make_model(byte_level(), tmp_path / "model")
    whole = load_backend(model)
    path = model / "tokenizer.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | LEFT))
    text = "And God said, Let there be light: and there was light."
    assert load_backend(model).encode(text).ids == whole.encode(text).ids
    assert unreachable_rows(byte_view(model)) == unreachable_rows(ByteView(whole))
    import_model(model, tmp_path / "store")
    assert Tokenizer.from_file(str(tmp_path / "store" / "tokenizer.json")).encode(text).ids == whole.encode(text).ids


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
