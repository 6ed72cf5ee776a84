"""Byte view of vocabularies: one exact way to compare and split the tokens of any two tokenizers.

Byte-level BPE (GPT-2's alphabet) and SentencePiece-type BPE or Unigram (`▁`, `<0xNN>`) write the
same text differently; as bytes they agree: `▁word` and `Ġword` are both b" word". Special tokens
have no bytes and are compared by name.
"""

import json
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from tokenizers import Tokenizer, models

from lep.config import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

SPACE = "▁"  # how SentencePiece writes a space
BYTE_LEVEL, SENTENCEPIECE = "byte-level", "sentencepiece"
_BYTE_PIECE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_RARE = "家"  # a character that never merges with the text after it
_LONE_BYTE = re.compile("([\udc80-\udcff])")  # how `surrogateescape` decodes a byte that is not UTF-8


def _byte_alphabet() -> str:
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    shifted = iter(range(256, 512))
    return "".join(chr(byte) if byte in printable else chr(next(shifted)) for byte in range(256))


BYTE_ALPHABET = _byte_alphabet()  # the printable character of each byte in byte-level vocabularies: GPT-2's table


class _ByteOf(dict):
    """Maps a character of the alphabet to its byte, any other to 0xFFFF, so that encoding to latin-1 fails."""

    def __missing__(self, code_point: int) -> int:
        return 0xFFFF


_CHARACTER_OF = dict(enumerate(BYTE_ALPHABET))
_BYTE_OF = _ByteOf({ord(character): byte for byte, character in enumerate(BYTE_ALPHABET)})


def byte_string(data: bytes) -> str:
    """Bytes as a byte-level vocabulary writes them, in the characters of `BYTE_ALPHABET`."""
    return data.decode("latin-1").translate(_CHARACTER_OF)


def bytes_of(text: str) -> bytes:
    """The inverse of `byte_string`; raises `UnicodeEncodeError` for a character outside the alphabet."""
    return text.translate(_BYTE_OF).encode("latin-1")


class ByteView:
    """A vocabulary by id, from a `tokenizers.Tokenizer` or a fast Hugging Face tokenizer.

    - `tokens`: the string of each id; None for unused ids
    - `data`: the bytes of each id; None for special tokens and unused ids
    - `ids`: the id of each string
    - `added`: the ids of the added tokens by name
    - `specials`: ids with a name but without bytes, the unknown token included
    """

    def __init__(self, tokenizer: "Tokenizer | PreTrainedTokenizerFast") -> None:
        backend: Tokenizer = getattr(tokenizer, "backend_tokenizer", tokenizer)
        self.kind = _kind(backend)
        self.backend = backend
        self._model = backend.model
        self._byte_fallback = _has_byte_fallback(backend)
        self.ids: dict[str, int] = backend.get_vocab(with_added_tokens=True)
        self.tokens: list[str | None] = [None] * (1 + max(self.ids.values(), default=-1))
        for token, index in self.ids.items():
            self.tokens[index] = token
        added = backend.get_added_tokens_decoder()
        self.added = {token.content: index for index, token in added.items()}
        self.specials = {index for index, token in added.items() if token.special}
        self.specials |= {self.ids[name] for name in (_unknown(backend.model),) if name in self.ids}
        self._pieces = backend.get_vocab(with_added_tokens=False)
        self.data = [self._bytes_at(index) for index in range(len(self.tokens))]
        self._by_bytes = self._index()

    def __len__(self) -> int:
        return len(self.tokens)

    def find(self, data: bytes) -> int | None:
        """The id of the token with these bytes (a piece of text rather than a byte piece), or None."""
        return self._by_bytes.get(data)

    def is_byte_piece(self, index: int) -> bool:
        """Whether a token is a byte piece (`<0xNN>`) of a SentencePiece-type vocabulary."""
        return self.kind == SENTENCEPIECE and _BYTE_PIECE.fullmatch(self.tokens[index]) is not None

    def counterpart(self, other: "ByteView", index: int) -> int | None:
        """The id in this view of another view's token, or None: same name if it is special or added, else same bytes.

        If several tokens here have these bytes (`A` and `<0x41>`), it is the one with the same name.
        """
        name, data = other.tokens[index], other.data[index]
        same = self.ids.get(name) if name is not None else None
        if same is not None and (data is None or name in other.added or self.data[same] == data):
            return same
        return None if data is None else self.find(data)

    def split(self, data: bytes) -> list[int]:
        """Split bytes into ids of tokens by the model (merges or unigram scores), without normaliser or prefix space.

        Bytes that are not valid UTF-8 become byte pieces. Parts that the vocabulary cannot write are left out, so the
        list may be empty.
        """
        ids = self._tokenize(byte_string(data)) if self.kind == BYTE_LEVEL else self._split_text(data)
        if self.joined(ids) == data:
            return ids
        # Text that reads like a token's name ("</s>", "<0x41>", "▁") is not that token: write it byte by byte.
        spelled = self._spell(data)
        return spelled if self.joined(spelled) == data else [i for i in ids if self.data[i] is not None]

    def joined(self, ids: list[int]) -> bytes | None:
        """The bytes of a sequence of tokens; None if one of them has no bytes."""
        parts = [self.data[index] for index in ids]
        return None if None in parts else b"".join(parts)

    def encode_inside(self, texts: Iterable[str]) -> list[list[int]]:
        """Encode each text as a part of a word, with the whole tokenizer, its pre-tokenizer included.

        A rare character is put in front of the text, and its own tokens are dropped.
        """
        rare = len(self.backend.encode(_RARE, add_special_tokens=False).ids)
        return [self.backend.encode(_RARE + text, add_special_tokens=False).ids[rare:] for text in texts]

    def spelling(self, index: int) -> str:
        """A token's string read as text: `▁` is a space, but a byte-level `Ġthe` stays these four characters."""
        return self.tokens[index].replace(SPACE, " ") if self.kind == SENTENCEPIECE else self.tokens[index]

    def readable(self) -> list[str | None]:
        """Each token decoded alone, as the published code compares tokens (byte pieces become `\ufffd`)."""
        decode = self.backend.decoder.decode if self.backend.decoder else "".join
        return [None if token is None else decode([token]) for token in self.tokens]

    def _bytes_at(self, index: int) -> bytes | None:
        token = self.tokens[index]
        if token is None or index in self.specials:
            return None
        if token in self.added and token not in self._pieces:
            return token.encode()  # found in the text as it is; an added token may be an ordinary piece too (Gemma)
        if self.kind == BYTE_LEVEL:
            try:
                return bytes_of(token)
            except UnicodeEncodeError:  # outside the alphabet: a token that was added as plain text
                return token.encode()
        piece = _BYTE_PIECE.fullmatch(token) if self._byte_fallback else None
        return bytes([int(piece[1], 16)]) if piece else token.replace(SPACE, " ").encode()

    def _index(self) -> dict[bytes, int]:
        """The lowest id of each byte string; a byte piece only if no piece of text has the same bytes."""
        known = [index for index, data in enumerate(self.data) if data is not None]
        if self.kind == SENTENCEPIECE:
            known.sort(key=self.is_byte_piece)
        return {self.data[index]: index for index in reversed(known)}

    def _tokenize(self, text: str) -> list[int]:
        return [token.id for token in self._model.tokenize(text)]

    def _split_text(self, data: bytes) -> list[int]:
        ids: list[int] = []
        for part in _LONE_BYTE.split(data.decode("utf-8", "surrogateescape")):
            if _LONE_BYTE.fullmatch(part):
                ids += self._spell(part.encode("utf-8", "surrogateescape"))
            elif part:
                ids += self._tokenize(part.replace(" ", SPACE))
        return ids

    def _spell(self, data: bytes) -> list[int]:
        """One token per byte: the byte piece, else the token of the character; bytes without either are left out."""
        names = [f"<0x{byte:02X}>" if self.kind == SENTENCEPIECE else BYTE_ALPHABET[byte] for byte in data]
        ids = [self.ids.get(name, self.find(bytes([byte]))) for name, byte in zip(names, data, strict=True)]
        return [index for index in ids if index is not None]


def overlap(old: ByteView, new: ByteView) -> np.ndarray:
    """Sorted ids (int64) of the old tokens that the new vocabulary also has, specials by name (paper section 2.2.2)."""
    return np.array([i for i, t in enumerate(old.tokens) if t is not None and _shared(new, old, i)], dtype=np.int64)


def readable_overlap(old: ByteView, new: ByteView) -> np.ndarray:
    """The same ids as the published code finds them, by the readable string of each token decoded alone.

    Tokens with equal strings count once: here the one with the lowest id, in the published code an arbitrary one.
    """
    strings = set(new.readable()) - {None}
    first: dict[str, int] = {}
    for index, text in enumerate(old.readable()):
        if text in strings:
            first.setdefault(text, index)
    return np.array(list(first.values()), dtype=np.int64)


def _shared(new: ByteView, old: ByteView, index: int) -> bool:
    return new.counterpart(old, index) is not None


def _kind(backend: Tokenizer) -> str:
    if type(backend.model) not in (models.BPE, models.Unigram):
        raise UserError(
            f"tokenizers of type {type(backend.model).__name__} are not supported; use a BPE or Unigram tokenizer"
        )
    for mark in ("end_of_word_suffix", "continuing_subword_prefix"):
        if found := getattr(backend.model, mark, None):
            raise UserError(
                f"the tokenizer marks its pieces with {found!r} ({mark}, as CLIP's), which is no text, and has no byte "
                "view; use a tokenizer that is byte-level or SentencePiece-type"
            )
    parts = "".join(_state(part) for part in (backend.normalizer, backend.pre_tokenizer, backend.decoder))
    if '"ByteLevel"' in parts:
        return BYTE_LEVEL
    if SPACE in parts or '"Metaspace"' in parts or _has_byte_fallback(backend):
        return SENTENCEPIECE
    raise UserError(
        "the tokenizer is neither byte-level nor SentencePiece-type (no ByteLevel, Metaspace or ▁ in its normaliser, "
        "pre-tokenizer and decoder) and has no byte view; use a tokenizer of one of these types"
    )


def _state(component: object) -> str:
    """The JSON of one component of a tokenizer; the JSON of the whole would include the vocabulary."""
    return "" if component is None else component.__getstate__().decode()


def _has_byte_fallback(backend: Tokenizer) -> bool:
    return bool(getattr(backend.model, "byte_fallback", False)) or '"ByteFallback"' in _state(backend.decoder)


def _unknown(model: models.Model) -> str | None:
    if isinstance(model, models.BPE):
        return model.unk_token
    state = json.loads(_state(model))
    return None if state.get("unk_id") is None else state["vocab"][state["unk_id"]][0]
