"""Token ids in configurations follow their tokens to another vocabulary, in whatever form they are written."""

import json
from pathlib import Path
from typing import Any

import pytest
from fixtures.models import byte_level, make_model, save
from lep.config import UserError
from lep.models.folder import load_tokenizer
from lep.models.store import import_model
from lep.models.token_ids import renumbered

OLD = ("<|bos|>", "<|eos|>", "<|turn|>", "<|gone|>")  # ids 400 to 403
NEW = ("<|turn|>", "<|eos|>", "<|bos|>")  # ids 300 to 302
BOS, EOS, TURN, GONE = 400, 401, 402, 403


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    root = tmp_path_factory.mktemp("tokenizers")
    old, new = byte_level(specials=OLD), byte_level("ru", 300, specials=NEW)
    return load_tokenizer(save(old, root / "old")), load_tokenizer(save(new, root / "new"))


CARRIED = {
    "one id": ({"decoder_start_token_id": TURN}, {"decoder_start_token_id": 300}),
    "an id without token": ({"image_token_id": GONE}, {"image_token_id": None}),
    "an id that no tokenizer has": ({"image_token_index": 31_999}, {"image_token_index": None}),
    "the other ending": ({"image_token_index": TURN}, {"image_token_index": 300}),
    "none": ({"forced_eos_token_id": None}, {"forced_eos_token_id": None}),
    "minus one": ({"sep_token_id": -1}, {"sep_token_id": None}),
    "a list where one is usual": ({"forced_eos_token_id": [EOS, TURN]}, {"forced_eos_token_id": [301, 300]}),
    "a list": ({"suppress_tokens": [TURN, GONE, EOS]}, {"suppress_tokens": [300, 301]}),
    "at the beginning": ({"begin_suppress_tokens": [TURN]}, {"begin_suppress_tokens": [300]}),
    "phrases": ({"bad_words_ids": [[TURN], [EOS, GONE], [EOS, TURN]]}, {"bad_words_ids": [[300], [301, 300]]}),
    "phrases by choice": ({"force_words_ids": [[[TURN], [EOS]], [TURN]]}, {"force_words_ids": [[[300], [301]], [300]]}),
    "no phrase is left": ({"bad_words_ids": [[GONE]]}, {"bad_words_ids": None}),
    "places": ({"forced_decoder_ids": [[1, TURN], [2, GONE]]}, {"forced_decoder_ids": [[1, 300]]}),
    "weights": ({"sequence_bias": [[[TURN, EOS], -1.5], [[GONE], 2.0]]}, {"sequence_bias": [[[300, 301], -1.5]]}),
    "nested": ({"text_config": {"pad_token_id": TURN, "a": {"suppress_tokens": [EOS]}}},
               {"text_config": {"pad_token_id": 300, "a": {"suppress_tokens": [301]}}}),
    "what is no id": ({"max_length": EOS, "token_type": [EOS], "rope": {"factor": 2.0}},
                      {"max_length": EOS, "token_type": [EOS], "rope": {"factor": 2.0}}),
}  # fmt: skip


@pytest.mark.parametrize("name", CARRIED)
def test_ids_follow_their_tokens(name: str, tokenizers: tuple[Any, Any]) -> None:
    given, expected = CARRIED[name]
    found = renumbered(given, *tokenizers, Path("config.json"))
    assert {key: found[key] for key in expected} == expected


def test_roles_are_those_of_the_new_tokenizer(tokenizers: tuple[Any, Any]) -> None:
    found = renumbered({"eos_token_id": [EOS, TURN], "bos_token_id": BOS}, *tokenizers, Path("config.json"))
    assert (found["eos_token_id"], found["bos_token_id"], found["pad_token_id"]) == ([301, 300], 302, None)


def test_ids_without_token_are_told(tokenizers: tuple[Any, Any], caplog: pytest.LogCaptureFixture) -> None:
    renumbered({"suppress_tokens": [GONE]}, *tokenizers, Path("config.json"))
    assert f"suppress_tokens: no token in the new vocabulary for ids [{GONE}]" in caplog.text


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"suppress_tokens": ["a"]}, "suppress_tokens must be a token id .* found 'a'"),
        ({"suppress_tokens": [True]}, "found True"),
        ({"bad_words_ids": [[1.5]]}, "bad_words_ids must be a token id .* found 1.5"),
        ({"forced_decoder_ids": [[1, 2, 3]]}, "forced_decoder_ids must be a list of pairs"),
        ({"sequence_bias": {"a": 1}}, "sequence_bias must be a list of pairs"),
        ({"text_config": {"eos_token_id": "2"}}, "config.json: eos_token_id must be a token id"),
    ],
)
def test_what_is_no_id_is_refused(settings: dict, message: str, tokenizers: tuple[Any, Any]) -> None:
    with pytest.raises(UserError, match=message):
        renumbered(settings, *tokenizers, Path("config.json"))


@pytest.mark.parametrize("file", ["config.json", "generation_config.json"])
def test_a_padding_id_of_minus_one_is_none(file: str, tmp_path: Path) -> None:
    """As Llama 1 and its descendants have it: not a row, and nothing that must be changed by hand."""
    source = make_model(byte_level(), tmp_path / "source")
    settings = json.loads((source / file).read_text()) | {"pad_token_id": -1}
    (source / file).write_text(json.dumps(settings))
    import_model(source, tmp_path / "store")
    assert json.loads((tmp_path / "store" / file).read_text())["pad_token_id"] is None
