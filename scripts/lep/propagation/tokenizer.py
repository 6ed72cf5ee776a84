"""The tokenizer of a propagated model: the donor's, with the instruct model's added tokens, roles and chat template."""

import shutil
from pathlib import Path

from tokenizers import AddedToken, Tokenizer

from lep.files import write_json
from lep.models.store import TEMPLATES
from lep.vocabulary.tokenizer_file import (
    FAST,
    SETTINGS,
    load_backend,
    load_tokenizer,
    read_settings,
    with_added,
    write_tokenizer,
)

_EXTRA = ("additional_special_tokens", "extra_special_tokens")
# Settings that are not taken from the donor: they name tokens by id, or come from the instruct model.
_DROPPED = ("added_tokens_decoder", "auto_map", "chat_template", *_EXTRA)


def merge_tokenizers(donor: Path, instruct: Path, target: Path) -> Path:
    """Write the new tokenizer into the folder `target` and return that folder.

    - The donor's tokens keep their ids.
    - Added tokens of the instruct model that the donor lacks get the next free ids, in the order of their ids there.
    - Special roles (bos, eos, ...), longest input and chat template are the instruct model's.
    """
    template = load_tokenizer(instruct)
    merged = load_backend(donor)
    missing = _missing(template, merged)
    write_tokenizer(donor, target)
    if missing:
        with_added(merged, missing).save(str(target / "tokenizer.json"))
    _write_settings(donor, instruct, template.special_tokens_map, target)
    _copy_template(instruct, target)
    return target


def _missing(template, donor: Tokenizer) -> list[AddedToken]:
    present = {token.content for token in donor.get_added_tokens_decoder().values()}
    added = sorted(template.backend_tokenizer.get_added_tokens_decoder().items())
    pieces = template.backend_tokenizer.get_vocab(with_added_tokens=False)
    # Gemma lists its runs of spaces as added tokens, but they are ordinary pieces: the donor has its own.
    missing = [t for _, t in added if t.content not in present and (t.special or t.content not in pieces)]
    named = {token.content for token in missing}
    # A role may name an ordinary token that the donor's vocabulary no longer has.
    roles = [name for name in template.special_tokens_map.values() if isinstance(name, str)]
    lost = [name for name in dict.fromkeys(roles) if name not in named and donor.token_to_id(name) is None]
    return missing + [AddedToken(name, special=True, normalized=False) for name in lost]


def _write_settings(donor: Path, instruct: Path, roles: dict, target: Path) -> None:
    theirs = read_settings(instruct)
    mine = {k: v for k, v in read_settings(donor).items() if k not in _DROPPED and not k.endswith("_token")}
    mine |= {key: name for key, name in roles.items() if isinstance(name, str)}
    kept = ("chat_template", "model_max_length", *_EXTRA)
    mine |= {key: theirs[key] for key in kept if theirs.get(key) is not None}
    write_json(target / SETTINGS, mine | {"tokenizer_class": FAST})


def _copy_template(instruct: Path, target: Path) -> None:
    for name in TEMPLATES:
        path = instruct / name
        if path.is_dir():
            shutil.copytree(path, target / name, dirs_exist_ok=True)
        elif path.is_file():
            shutil.copyfile(path, target / name)
