"""Token ids in configurations, carried to a new vocabulary by the names of the tokens."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from lep.config import UserError
from lep.log import logger

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

_ROLES = ("bos_token_id", "eos_token_id", "pad_token_id")
_LISTS = ("suppress_tokens", "begin_suppress_tokens")  # of ids
_PHRASES = ("bad_words_ids", "force_words_ids")  # lists of ids, nested
_PLACED = ("forced_decoder_ids", "sequence_bias")  # pairs: (position, id), (ids, bias)


def renumbered(
    settings: dict, old: "PreTrainedTokenizerFast", new: "PreTrainedTokenizerFast", where: Path
) -> dict[str, Any]:
    """`config.json` or `generation_config.json` with the ids of another tokenizer, nested settings included.

    Ids are carried by token name; those without a token in the new vocabulary are left out with a warning, and so is a
    phrase that has one. bos, eos and pad are those of the new tokenizer, if it names them; a negative id is none.
    Raises `UserError`, with file and key, for ids that are no whole numbers.
    """
    found = _Renumbering(old, new, where).settings(settings)
    for key in _ROLES:
        role, value = getattr(new, key, None), found.get(key)
        if isinstance(value, list):
            found[key] = list(dict.fromkeys([*value, *([] if role is None else [role])]))
        else:
            found[key] = role if role is not None else value
    return found


class _Renumbering:
    """The map of ids from one tokenizer to another."""

    def __init__(self, old: "PreTrainedTokenizerFast", new: "PreTrainedTokenizerFast", where: Path) -> None:
        self.names = {index: token for token, index in old.get_vocab().items()}
        self.ids = new.get_vocab()
        self.where = where

    def settings(self, settings: dict) -> dict:
        return {key: self._value(key, value) for key, value in settings.items()}

    def _value(self, key: str, value: Any) -> Any:
        if isinstance(value, dict) and key != "sequence_bias":
            return self.settings(value)
        if value is None:
            return None
        if key.endswith(("_token_id", "_token_index")) or key in _LISTS:
            ids = self._ids(key, value if isinstance(value, list) else [value])
            return ids if isinstance(value, list) else next(iter(ids), None)
        if key in _PHRASES:
            return self._phrases(key, value)
        return self._pairs(key, value) if key in _PLACED else value

    def _ids(self, key: str, listed: list) -> list[int]:
        if bad := [index for index in listed if type(index) is not int]:
            raise UserError(
                f"{self.where}: {key} must be a token id (a whole number), a list of them, or null; found {bad[0]!r}"
            )
        listed = [index for index in listed if index >= 0]
        carried = [self.ids[self.names[index]] for index in listed if self.names.get(index) in self.ids]
        if len(carried) < len(listed):
            logger.warning("%s: no token in the new vocabulary for ids %s", key, listed)
        return carried

    def _phrases(self, key: str, value: Any) -> list | None:
        """Lists of ids in lists; a phrase that lost an id is left out."""
        if not isinstance(value, list):
            raise UserError(f"{self.where}: {key} must be a list of lists of token ids, found {value!r}")
        if value and not isinstance(value[0], list):
            ids = self._ids(key, value)
            return ids if len(ids) == len(value) else None
        return [kept for kept in (self._phrases(key, part) for part in value) if kept] or None

    def _pairs(self, key: str, value: Any) -> list | None:
        """Pairs of a position and an id, or of ids and their bias; one without its token is left out."""
        if not isinstance(value, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in value):
            raise UserError(f"{self.where}: {key} must be a list of pairs, found {value!r}")
        kept = []
        for first, second in value:
            ids = self._ids(key, first if isinstance(first, list) else [second])
            if isinstance(first, list):
                kept += [[ids, second]] if len(ids) == len(first) else []
            else:
                kept += [[first, ids[0]]] if ids else []
        return kept or None
