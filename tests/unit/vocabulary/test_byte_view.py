import functools

import pytest
from fixtures.models import byte_level, extended, sentencepiece_bpe, unigram
from hypothesis import given, settings
from hypothesis import strategies as st
from lep.config import UserError
from lep.vocabulary.byte_view import BYTE_ALPHABET, ByteView, overlap, readable_overlap
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

MAKERS = {
    "byte-level": byte_level,
    "byte-level ru": lambda: byte_level("ru"),
    "extended": extended,
    "sentencepiece": sentencepiece_bpe,
    "metaspace": lambda: sentencepiece_bpe("ru", metaspace=True),
    "unigram": unigram,
}
KINDS = pytest.mark.parametrize("kind", MAKERS)
ALPHABET = "  abthe.,'0123\n\tйёжЩаио\u0301\u0306é中🙂👩\u200d💻🇷🇺₽"
TEXTS = st.text(st.sampled_from(ALPHABET), max_size=40) | st.text(
    st.characters(exclude_characters="▁", exclude_categories=["Cs"]), max_size=15
)


@functools.cache
def view(kind: str) -> ByteView:
    return ByteView(MAKERS[kind]())


@KINDS
@settings(max_examples=60, deadline=None)
@given(text=TEXTS)
def test_tokens_of_a_text_spell_its_bytes(kind: str, text: str) -> None:
    """The exact view: what the whole tokenizer makes of a text joins to its bytes (after the prefix space)."""
    ids = view(kind).backend.encode(text, add_special_tokens=False).ids
    prefix = b" " if view(kind).kind == "sentencepiece" and text else b""
    if kind == "metaspace" and text.startswith(" "):
        prefix = b""  # Metaspace adds no second space
    assert view(kind).joined(ids) == prefix + text.encode()


@KINDS
@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=12) | TEXTS.map(lambda text: text.encode()))
def test_split_is_exact_for_any_bytes(kind: str, data: bytes) -> None:
    assert view(kind).joined(view(kind).split(data)) == data


@pytest.mark.parametrize("kind", ["sentencepiece", "unigram"])
@settings(max_examples=60, deadline=None)
@given(text=TEXTS.filter(lambda text: text and "<" not in text))
def test_split_is_the_encoding_without_prefix_space(kind: str, text: str) -> None:
    """These tokenizers have no pre-tokenizer, so their own encoding of the text is the split of " " + text."""
    ids = view(kind).backend.encode(text, add_special_tokens=False).ids
    assert view(kind).split(b" " + text.encode()) == ids


@KINDS
def test_every_token_finds_itself(kind: str) -> None:
    mine = view(kind)
    assert [mine.counterpart(mine, i) for i in range(len(mine))] == list(range(len(mine)))
    assert overlap(mine, mine).tolist() == list(range(len(mine)))


@KINDS
@pytest.mark.parametrize("other", MAKERS)
def test_overlap_is_set_intersection_of_bytes_and_names(kind: str, other: str) -> None:
    old, new = view(kind), view(other)
    data = {d for d in new.data if d is not None}
    names = {t for t, d in zip(new.tokens, new.data, strict=True) if d is None}
    expected = [
        i for i, (t, d) in enumerate(zip(old.tokens, old.data, strict=True)) if (t in names if d is None else d in data)
    ]
    assert overlap(old, new).tolist() == expected
    assert len(expected) > 50


def test_leading_space_is_one_byte_in_every_kind() -> None:
    spm, byte = view("sentencepiece"), view("byte-level")
    assert spm.data[spm.ids["▁the"]] == byte.data[byte.ids["Ġthe"]] == b" the"
    assert byte.find(b" the") == byte.ids["Ġthe"]
    assert byte.counterpart(spm, spm.ids["▁the"]) == byte.ids["Ġthe"]
    assert spm.split(b"the") != spm.split(b" the") == [spm.ids["▁the"]]


def test_incomplete_characters() -> None:
    spm, byte = view("sentencepiece"), view("byte-level ru")
    half = "Ж".encode()[:1]
    assert spm.split(half) == [spm.ids["<0xD0>"]]
    assert spm.split(b"the" + half) == [*spm.split(b"the"), spm.ids["<0xD0>"]]
    assert byte.split(half) == [byte.ids[BYTE_ALPHABET[0xD0]]]
    assert spm.counterpart(byte, byte.ids[BYTE_ALPHABET[0xD0]]) == spm.ids["<0xD0>"]


def test_byte_piece_and_letter_are_told_apart() -> None:
    spm, byte = view("sentencepiece"), view("byte-level")
    assert spm.data[spm.ids["<0x61>"]] == spm.data[spm.ids["a"]] == b"a"
    assert spm.find(b"a") == spm.ids["a"]
    other = view("unigram")
    assert spm.counterpart(other, other.ids["<0x61>"]) == spm.ids["<0x61>"]
    assert byte.counterpart(spm, spm.ids["<0x61>"]) == byte.ids["a"]


def test_text_of_a_special_or_byte_piece_is_spelled() -> None:
    """The dead rows of the published Llama vocabularies hold such strings as ordinary text."""
    for kind in ("sentencepiece", "unigram"):
        for text in ("</s>", "<0x41>", "▁"):
            ids = view(kind).split(text.encode())
            assert len(ids) == len(text.encode())
            assert view(kind).joined(ids) == text.encode()


def test_specials_have_no_bytes() -> None:
    tokenizer = sentencepiece_bpe()
    tokenizer.add_tokens([AddedToken("<user>", normalized=False)])
    data = ByteView(tokenizer).data
    assert data[:3] == [None, None, None]
    assert data[-1] == b"<user>"
    assert data[3:259] == [bytes([byte]) for byte in range(256)]
    assert None not in data[3:]


def test_special_never_matches_ordinary_text_of_the_same_letters() -> None:
    plain = Tokenizer(models.BPE({"<s>": 0, "a": 1}, []))
    plain.decoder = decoders.ByteLevel()
    ordinary, spm = ByteView(plain), view("sentencepiece")
    assert ordinary.data[0] == b"<s>"
    assert spm.counterpart(ordinary, 0) is None
    assert ordinary.counterpart(spm, spm.ids["<s>"]) == 0  # the other way round: a special is looked up by name


def test_readable_strings_confuse_what_bytes_do_not() -> None:
    """Decoded alone, `▁a` and `a` are both "a", and every lone byte is one replacement sign."""
    spm, byte = view("sentencepiece"), view("byte-level ru")
    by_text = readable_overlap(spm, byte)
    assert spm.readable()[spm.ids["▁a"]] == spm.readable()[spm.ids["a"]] == "a"
    assert spm.readable()[spm.ids["<0xFF>"]] == spm.readable()[spm.ids["<0xFE>"]]
    assert set(by_text) != set(overlap(spm, byte))


@KINDS
def test_equal_readable_strings_count_once(kind: str) -> None:
    mine = view(kind)
    found = readable_overlap(mine, mine).tolist()
    texts = [mine.readable()[index] for index in found]
    assert found == sorted(found)
    assert texts == list(dict.fromkeys(mine.readable()))  # each once, by its lowest id
    assert len(found) < len(mine)  # all incomplete characters are one replacement sign


@KINDS
def test_text_inside_a_word_is_encoded_without_the_letter_before_it(kind: str) -> None:
    found = view(kind).encode_inside(["the house", "Божий", " the", ""])
    assert [view(kind).joined(ids) for ids in found] == [b"the house", "Божий".encode(), b" the", b""]
    assert found[2] == view(kind).split(b" the")


def test_spelling_is_the_string_of_a_token() -> None:
    spm, byte = view("sentencepiece"), view("byte-level")
    assert spm.spelling(spm.ids["▁the"]) == " the"
    assert byte.spelling(byte.ids["Ġthe"]) == "Ġthe"


def test_missing_bytes_are_left_out() -> None:
    tokenizer = Tokenizer(models.BPE({"<unk>": 0, "▁": 1, "a": 2, "▁a": 3}, [("▁", "a")], unk_token="<unk>"))
    tokenizer.decoder = decoders.Metaspace()
    mine = ByteView(tokenizer)
    assert mine.data[0] is None
    assert mine.split(" aя".encode()) == [3]
    assert mine.split("я".encode()) == []


def test_kinds_without_byte_view_are_refused() -> None:
    with pytest.raises(UserError, match="WordPiece"):
        ByteView(Tokenizer(models.WordPiece({"a": 0, "[UNK]": 1}, unk_token="[UNK]")))
    with pytest.raises(UserError, match="no byte view"):
        ByteView(Tokenizer(models.BPE({"a": 0}, [])))


@pytest.mark.parametrize("mark", ["end_of_word_suffix", "continuing_subword_prefix"])
def test_pieces_with_marks_that_are_no_text_are_refused(mark: str) -> None:
    """CLIP's `</w>` would be counted as bytes of the text."""
    tokenizer = Tokenizer(models.BPE({"a": 0, "b</w>": 1}, [], **{mark: "</w>"}))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel()
    with pytest.raises(UserError, match=f"'</w>' \\({mark}"):
        ByteView(tokenizer)
    plain = Tokenizer(models.BPE({"a": 0}, [], **{mark: ""}))  # as GPT-2's file has it
    plain.pre_tokenizer = pre_tokenizers.ByteLevel()
    assert ByteView(plain).data == [b"a"]
