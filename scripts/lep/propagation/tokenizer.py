"""The tokenizer of a propagated model: the donor's, with the instruct model's added tokens, roles and chat template."""

import shutil
from pathlib import Path

from tokenizers import AddedToken, Tokenizer

from lep.files import write_json
from lep.models.folder import load_tokenizer, tokenizer_file
from lep.models.safetensors_header import read_json
from lep.models.store import TEMPLATES

_EXTRA = ("additional_special_tokens", "extra_special_tokens")
# Settings that are not taken from the donor: they name tokens by id, or come from the instruct model.
_DROPPED = ("added_tokens_decoder", "chat_template", *_EXTRA)


def merge_tokenizers(donor: Path, instruct: Path, target: Path) -> Path:
    """Write the new tokenizer into the folder `target` and return that folder.

    - The donor's tokens keep their ids.
    - Added tokens of the instruct model that the donor lacks get the next free ids, in the order of their ids there.
    - Special roles (bos, eos, ...), longest input and chat template are the instruct model's.
    """
    template = load_tokenizer(instruct)
    missing = _missing(template, Tokenizer.from_file(str(tokenizer_file(donor))))
    shutil.copyfile(tokenizer_file(donor), target / "tokenizer.json")
    if missing:
        merged = Tokenizer.from_file(str(tokenizer_file(donor)))
        for token in missing:
            (merged.add_special_tokens if token.special else merged.add_tokens)([token])
        merged.save(str(target / "tokenizer.json"))
    _write_settings(donor, instruct, template.special_tokens_map, target)
    _copy_template(instruct, target)
    return target


def _missing(template, donor: Tokenizer) -> list[AddedToken]:
    present = {token.content for token in donor.get_added_tokens_decoder().values()}
    added = sorted(template.backend_tokenizer.get_added_tokens_decoder().items())
    missing = [token for _, token in added if token.content not in present]
    named = {token.content for token in missing}
    # A role may name an ordinary token that the donor's vocabulary no longer has.
    roles = [name for name in template.special_tokens_map.values() if isinstance(name, str)]
    lost = [name for name in dict.fromkeys(roles) if name not in named and donor.token_to_id(name) is None]
    return missing + [AddedToken(name, special=True, normalized=False) for name in lost]


def _settings(folder: Path) -> dict:
    path = folder / "tokenizer_config.json"
    return read_json(path) if path.is_file() else {}


def _write_settings(donor: Path, instruct: Path, roles: dict, target: Path) -> None:
    theirs = _settings(instruct)
    mine = {k: v for k, v in _settings(donor).items() if k not in _DROPPED and not k.endswith("_token")}
    mine |= {key: name for key, name in roles.items() if isinstance(name, str)}
    kept = ("chat_template", "model_max_length", *_EXTRA)
    mine |= {key: theirs[key] for key in kept if theirs.get(key) is not None}
    write_json(target / "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast"} | mine)


def _copy_template(instruct: Path, target: Path) -> None:
    for name in TEMPLATES:
        path = instruct / name
        if path.is_dir():
            shutil.copytree(path, target / name, dirs_exist_ok=True)
        elif path.is_file():
            shutil.copyfile(path, target / name)
