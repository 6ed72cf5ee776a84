"""Which tokens of a vocabulary its own text gives."""

from tokenizers import Tokenizer

from lep.vocabulary.byte_view import BYTE_LEVEL, ByteView


def unreachable_rows(view: ByteView) -> list[int]:
    """Ids of unreachable tokens: encoding the token's own text yields other ids.

    Special tokens and byte pieces are not listed: byte pieces are for bytes that no other token has.
    """
    ordinary = [i for i, data in enumerate(view.data) if data is not None and view.tokens[i] not in view.added]
    if view.kind != BYTE_LEVEL:
        return [i for i in ordinary if not view.is_byte_piece(i) and view.split(view.data[i]) != [i]]
    # Without the space that some tokenizers put in front of a text: tokens also stand inside of one.
    backend = Tokenizer.from_str(view.backend.to_str().replace('"add_prefix_space":true', '"add_prefix_space":false'))
    texts = {i: text for i in ordinary if (text := decoded(view.data[i])) is not None}
    encodings = backend.encode_batch_fast(list(texts.values()), add_special_tokens=False)
    merging = backend.model
    merging.ignore_merges = False
    found = {i: encoding.ids for i, encoding in zip(texts, encodings, strict=True)}
    # A part of a character cannot be encoded as text: it is reachable if merges build it.
    found |= {i: [t.id for t in merging.tokenize(view.tokens[i])] for i in ordinary if i not in found}
    return [i for i in ordinary if found[i] != [i]]


def decoded(data: bytes) -> str | None:
    """Bytes as text; None if they are no whole characters."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None
