"""The border of tokenizers and chat templates: one reader, which refuses what others would read in another way."""

import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from fixtures.hostile import WEIRD, broken, changed, edited, held, leaves, outcome, written
from fixtures.models import TEMPLATE, byte_level, make_model, save
from hypothesis import given
from hypothesis import strategies as some
from lep.models.chat import encode_conversation, encode_prompt, end_of_turn_ids
from lep.models.folder import byte_view, load_tokenizer
from lep.models.store import import_model
from lep.pretraining.packing import load_encoder
from lep.vocabulary.spm import to_fast_tokenizer
from lep.vocabulary.tokenizer_file import tokenizer_sha256

TALK = [{"role": role, "content": text} for role, text in (("user", "Что?"), ("assistant", "Да."), ("user", "И?"),
                                                           ("assistant", "Нет."))]  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(byte_level(), tmp_path_factory.mktemp("tokenizer") / "whole", TEMPLATE)


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    """A copy of a good tokenizer to break."""
    return Path(shutil.copytree(whole, tmp_path / "tokenizer"))


def tokenizer(change: Callable[[dict], object]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        state = json.loads((folder / "tokenizer.json").read_text())
        change(state)
        (folder / "tokenizer.json").write_text(json.dumps(state))

    return edit


def template(text: str) -> Callable[[Path], None]:
    return written("chat_template.jinja", text.encode())


REFUSED = {
    "there is none": (lambda folder: (folder / "tokenizer.json").unlink(), "tokenizer.json is missing; write"),
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
    "deep brackets": (written("tokenizer.json", b"[" * 99_999), "no tokenizer that can be read"),
    "null as vocabulary": (tokenizer(lambda s: s["model"].update(vocab=None)), "no tokenizer that can be read"),
    "a model that nobody knows": (tokenizer(lambda s: s["model"].update(type="Magic")), "no tokenizer that can be"),
    "a negative id": (tokenizer(lambda s: s["model"]["vocab"].update(zzz=-1)), "no tokenizer that can be read"),
    "an id beyond any": (tokenizer(lambda s: s["model"]["vocab"].update(zzz=2**40)), "no tokenizer that can be read"),
    "two tokens of one id": (tokenizer(lambda s: s["model"]["vocab"].update(zzz=5)), "has id 400, but is read as 401"),
    "an expression of no end": (
        tokenizer(lambda s: s.update(pre_tokenizer={"type": "Split", "pattern": {"Regex": "(("}, "behavior": "Isolated",
                                                    "invert": False})),
        "no tokenizer that can be read",
    ),
    "settings of deep brackets": (written("tokenizer_config.json", b"[" * 99_999), "tokenizer_config.json is damaged"),
    "settings are not UTF-8": (written("tokenizer_config.json", b"\xff"), "tokenizer_config.json is damaged"),
    "a role is a list": (edited("tokenizer_config.json", bos_token=["<|bos|>"]), "no tokenizer that can be read"),
    "added tokens are words": (edited("tokenizer_config.json", added_tokens_decoder="x"), "no tokenizer that can be"),
    "a template that raises": (template("{{ raise_exception('roles must alternate') }}"), "refuses a conversation"),
    "a template of no syntax": (template("{% for %}"), "refuses a conversation of the roles user"),
    "a template that divides by zero": (template("{{ 1 / 0 }}"), "(ZeroDivisionError:"),
    "a template that calls what is not there": (template("{{ x.y.z() }}"), "refuses a conversation"),
    "a template that reaches for the system": (template("{{ ''.__class__.__mro__[1].x() }}"), "SecurityError"),
    "a template that includes a file": (template("{% include '/etc/passwd' %}"), "refuses a conversation"),
    "a template that leaves answers out": (
        template("{% for m in messages if m['role'] == 'user' %}{{ m['content'] }}{% endfor %}"), "answer of turn 2",
    ),
    "a template that writes answers in capitals": (
        template("{% for m in messages %}{{ m['content'] | upper }}{% endfor %}x{{ messages | length }}"), "answer of",
    ),
    "an empty template": (template(""), "has no chat template"),
    "a template that is not UTF-8": (written("chat_template.jinja", b"\xff\xfe{{"), "no tokenizer that can be read"),
}  # fmt: skip


def used(folder: Path) -> None:
    """All that the workflow asks of a tokenizer."""
    load_encoder(folder)
    tokenizer_sha256(folder)
    byte_view(folder).split("Да, 12".encode())
    found = load_tokenizer(folder)
    encode_prompt(found, TALK[:1])
    encode_conversation(found, TALK)
    end_of_turn_ids(found)


def test_a_good_one_is_used(folder: Path) -> None:
    assert outcome(used, folder, kept=folder) == ""


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_tokenizer_gets_one_message(name: str, folder: Path) -> None:
    change, words = REFUSED[name]
    change(folder)
    message = outcome(used, folder, kept=folder)
    assert words in message
    assert str(folder) in message


MODELS = {"empty": b"", "text": b"not a model", "half": b"\x0a\x0f\x0a", "zeros": bytes(99)}


@pytest.mark.parametrize("name", MODELS)
def test_what_is_no_sentencepiece_model_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "x.model").write_bytes(MODELS[name])
    for kind in ("bpe", "unigram"):
        assert "x.model is not a SentencePiece model" in outcome(
            to_fast_tokenizer, tmp_path / "x.model", kind, kept=tmp_path
        )


def test_only_one_file_says_how_a_tokenizer_works(tmp_path: Path) -> None:
    """A class of its own, or `tokenizer.model`, would let other libraries build another tokenizer."""
    model = make_model(byte_level(), tmp_path / "model")
    edited("tokenizer_config.json", tokenizer_class="LlamaTokenizer", auto_map={"AutoTokenizer": "code.T"})(model)
    (model / "tokenizer.model").write_bytes(b"x")
    import_model(model, tmp_path / "store")
    settings = json.loads((tmp_path / "store" / "tokenizer_config.json").read_text())
    assert settings["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert "auto_map" not in settings
    assert not (tmp_path / "store" / "tokenizer.model").exists()


STATE = json.loads(byte_level().to_str())
KEYS = [key for key in leaves(STATE) if not key.startswith(("model.vocab.", "model.merges."))]


@held
@given(
    name=some.sampled_from(["tokenizer.json", "tokenizer_config.json", "chat_template.jinja"]),
    place=some.integers(0, 10**5), change=some.integers(0, 11), key=some.sampled_from(KEYS),
    value=some.sampled_from(WEIRD), which=some.booleans(),
)  # fmt: skip
def test_any_change_is_read_or_refused(
    name: str, place: int, change: int, key: str, value: object, which: bool, whole: Path
) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(shutil.copytree(whole, Path(scratch) / "tokenizer"))
        if which:
            (folder / name).write_bytes(broken((folder / name).read_bytes(), place, change))
        else:
            (folder / "tokenizer.json").write_text(json.dumps(changed(STATE, key, value)), encoding="utf-8")
        outcome(used, folder, kept=folder)
