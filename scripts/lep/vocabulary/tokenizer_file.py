"""The one reader of tokenizer folders: training, adaptation and scoring see the same tokens.

It reads what transformers reads: `tokenizer.json` in every form (older files write a merge as one string), and the
added tokens that only `tokenizer_config.json` names. What a training leaves in the file is off: dropout of merges, for
the same text has the same ids, truncation and padding, for a text has all its tokens and no others.
"""

import functools
import json
import logging
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from tokenizers import AddedToken, Tokenizer

from lep.config import UserError
from lep.files import read_object, sha256_json
from lep.vocabulary.byte_view import ByteView

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

TOKENIZER, SETTINGS = "tokenizer.json", "tokenizer_config.json"
FAST = "PreTrainedTokenizerFast"  # the class that reads tokenizer.json as it is
_OPEN = 4  # cached: those of a base, an instruct, a donor and a new model
_SAMPLE = "The 12345 words,  two spaces.\nСъешь ещё этих булок: 日本 🙂\t\u0301"


def load_tokenizer(folder: Path) -> "PreTrainedTokenizerFast":
    """The folder's fast tokenizer; raises `UserError` if there is none, or it is damaged.

    It is cached until its files change, and shared: callers must not modify it.
    """
    return _load(*_state(folder))


def load_backend(folder: Path) -> Tokenizer:
    """A copy of the folder's tokenizer without transformers around it; callers may modify it."""
    return Tokenizer.from_str(load_tokenizer(folder).backend_tokenizer.to_str())


def read_state(folder: Path) -> dict:
    """The folder's tokenizer in the canonical form of tokenizer.json: merges are pairs, all added tokens are listed."""
    return json.loads(load_tokenizer(folder).backend_tokenizer.to_str())


def read_settings(folder: Path) -> dict:
    """`tokenizer_config.json` of a folder; {} if it has none.

    Some files write a role as an object without its type, which transformers refuses: it is the token's name here.
    """
    path = Path(folder) / SETTINGS
    settings = read_object(path, "save the tokenizer again (save_pretrained)") if path.is_file() else {}
    return {key: value["content"] if _is_object_of_role(key, value) else value for key, value in settings.items()}


def rows_of(tokenizer: "Tokenizer | PreTrainedTokenizerFast") -> int:
    """The rows that a tokenizer needs: its largest id + 1, more than its number of tokens if ids have holes."""
    return 1 + max(tokenizer.get_vocab().values(), default=-1)


def with_added(tokenizer: Tokenizer, tokens: list[AddedToken]) -> Tokenizer:
    """A copy with more added tokens, which get the next free ids in their order, also if its ids have holes."""
    first = rows_of(tokenizer)
    wanted = {token.content: first + offset for offset, token in enumerate(tokens)}
    state = json.loads(tokenizer.to_str())
    for token in tokens:
        flags = {name: getattr(token, name) for name in ("single_word", "lstrip", "rstrip", "normalized", "special")}
        state["added_tokens"].append({"id": wanted[token.content], "content": token.content, **flags})
    made = Tokenizer.from_str(json.dumps(state, ensure_ascii=False))
    if any(made.token_to_id(name) != index for name, index in wanted.items()):
        state["model"]["vocab"] |= wanted  # the library numbers added tokens by the count of tokens
        made = Tokenizer.from_str(json.dumps(state, ensure_ascii=False))
    return made


def byte_view(folder: Path) -> ByteView:
    """The byte view of the folder's tokenizer, cached in the same way."""
    return _byte_view(*_state(folder))


def tokenizer_sha256(folder: Path) -> str:
    """Hash of what a tokenizer does: `tokenizer.json` without run-time settings, in canonical form."""
    return _sha256(*_state(folder))


def write_tokenizer(source: Path, target: Path) -> None:
    """Write `tokenizer.json` of the folder `source` to `target`: its bytes if they say all, else in canonical form."""
    if says_all(source):
        shutil.copyfile(tokenizer_file(source), target / TOKENIZER)  # saving again would round the scores of Unigram
    else:
        load_tokenizer(source).backend_tokenizer.save(str(target / TOKENIZER))


def says_all(folder: Path) -> bool:
    """Whether the folder's `tokenizer.json` says what its tokenizer does: all tokens, and nothing of a run."""
    return _read(*_state(folder))[1]


def tokenizer_file(folder: Path) -> Path:
    """Path of the folder's `tokenizer.json`; raises `UserError` with the remedy if it is missing."""
    path = Path(folder) / TOKENIZER
    if not path.is_file():
        raise UserError(
            f"{path} is missing; write the model's fast tokenizer there: "
            f"AutoTokenizer.from_pretrained(...).save_pretrained({str(folder)!r})"
        )
    return path


def _state(folder: Path) -> tuple[Path, tuple]:
    """Key of the caches: the folder, and the state of its files."""
    tokenizer_file(folder)
    stats = [path.stat() for path in sorted(Path(folder).iterdir()) if path.is_file()]
    return Path(folder), tuple((stat.st_ino, stat.st_size, stat.st_mtime_ns) for stat in stats)


@functools.lru_cache(maxsize=_OPEN)
def _sha256(folder: Path, state: tuple) -> str:
    backend = _load(folder, state).backend_tokenizer
    content = read_object(folder / TOKENIZER, "fetch the model again")
    content = {key: value for key, value in content.items() if key not in ("version", "truncation", "padding")}
    # Tokens that only the settings name.
    listed = {token["content"] for token in content.get("added_tokens", ())}
    more = {t.content: i for i, t in backend.get_added_tokens_decoder().items() if t.content not in listed}
    content |= {"more_added_tokens": more} if more else {}
    merges = content.get("model", {}).get("merges")
    if merges:  # older files write a merge as one string with a space
        merges = [merge.split(" ") if isinstance(merge, str) else merge for merge in merges]
        content["model"] = {**content["model"], "merges": merges}
    return sha256_json(content)


def _load(folder: Path, state: tuple) -> "PreTrainedTokenizerFast":
    return _read(folder, state)[0]


@functools.lru_cache(maxsize=_OPEN)
def _read(folder: Path, state: tuple) -> tuple["PreTrainedTokenizerFast", bool]:
    """The tokenizer, and whether `tokenizer.json` says all of it."""
    roles = {
        key: name for key, name in read_settings(folder).items() if key.endswith("_token") and isinstance(name, str)
    }
    plain = _open(folder / TOKENIZER)
    # Not AutoTokenizer: it imports model code (seconds), and may rebuild the tokenizer instead of reading the file.
    from transformers import PreTrainedTokenizerFast

    try:
        tokenizer = PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True, **roles)
    except BaseException as error:
        raise _unreadable(folder, error) from None
    backend = tokenizer.backend_tokenizer
    _check_sizes(backend, folder)
    ids = backend.get_vocab()
    _check_ids(ids, folder / TOKENIZER)
    of_a_run = bool(plain.truncation or plain.padding)
    for model in (backend.model, plain.model):
        if getattr(model, "dropout", None):
            logging.getLogger("lep").warning("%s drops merges at random (model.dropout); it is off here", folder)
            model.dropout, of_a_run = None, True
    for found in (backend, plain):
        found.no_truncation()
        found.no_padding()
    named = plain.get_vocab()
    _check_agreement(plain, named, backend, ids, folder)
    return tokenizer, len(named) == len(ids) and not of_a_run


def _is_object_of_role(key: str, value: object) -> bool:
    return key.endswith("_token") and isinstance(value, dict) and "__type" not in value and "content" in value


def _open(path: Path) -> Tokenizer:
    try:
        return Tokenizer.from_file(str(path))
    except BaseException as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: BaseException) -> BaseException:
    """The error to raise: the Rust library raises plain `Exception`, and a `BaseException` if it panics."""
    if isinstance(error, KeyboardInterrupt | SystemExit | UserError):
        return error
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return UserError(
        f"{path} has no tokenizer that can be read ({reason}); fetch the model again, or save its tokenizer anew: "
        "AutoTokenizer.from_pretrained(...).save_pretrained(...)"
    )


def _check_sizes(backend: Tokenizer, folder: Path) -> None:
    tokens, rows = backend.get_vocab_size(), rows_of(backend)
    if not tokens:
        raise UserError(f"{folder / TOKENIZER} has no tokens; fetch the model again")
    if rows > 100 * (tokens + 10_000):
        raise UserError(f"{folder / TOKENIZER} has {tokens} tokens, but ids up to {rows - 1}; fetch the model again")


def _check_ids(ids: dict[str, int], path: Path) -> None:
    """Raise `UserError` if the library gives tokens other ids than the file: it numbers added tokens anew at holes."""
    read = {token["content"]: token["id"] for token in read_object(path, "").get("added_tokens", ())}
    moved = [
        f"{name!r} has id {index}, but is read as {ids[name]}" for name, index in read.items() if ids[name] != index
    ]
    if moved or len(set(ids.values())) < len(ids):
        raise UserError(
            f"{path}: {moved[0] if moved else 'two tokens get one id'}, since there are unused ids before the added "
            "tokens; write these tokens into model.vocab too, with their ids"
        )


def _check_agreement(
    plain: Tokenizer, named: dict[str, int], backend: Tokenizer, ids: dict[str, int], folder: Path
) -> None:
    """Raise `UserError` if tokenizer.json and the tokenizer that transformers makes of the folder differ.

    `named`, `ids`: the tokens of both.
    """
    moved = [] if named.items() <= ids.items() else [name for name, index in named.items() if ids.get(name) != index]
    encoded = [found.encode(_SAMPLE, add_special_tokens=False).ids for found in (plain, backend)]
    if moved or encoded[0] != encoded[1]:
        what = f"the ids of {moved[:3]}" if moved else f"the ids of the text {_SAMPLE!r}"
        raise UserError(
            f"{folder}: {TOKENIZER} and the settings in {SETTINGS} disagree ({what}); save the tokenizer again "
            "(save_pretrained), so that both say the same"
        )


@functools.lru_cache(maxsize=_OPEN)
def _byte_view(folder: Path, state: tuple) -> ByteView:
    return ByteView(_load(folder, state))
