"""The whole stage in every script that a corpus may have: train, build, reach every piece, and give every text back."""

import json
import random
from itertools import pairwise
from pathlib import Path

import pytest
from fixtures.checkout import ROOT
from fixtures.measured import byte_level, write_model
from fixtures.scripts import TEXTS, WORDS
from lep.config import UserError
from lep.corpus.scripts import SCRIPTS
from lep.manifest import read_manifest
from lep.names import NEW_VOCABULARIES, VOCABULARIES
from lep.vocabulary.build import build_vocabulary
from lep.vocabulary.byte_view import ByteView
from lep.vocabulary.reach import unreachable_rows
from lep.vocabulary.spm import train_sentencepiece
from lep.vocabulary.train import PIECES
from lep.vocabulary.words import keep_words_whole
from tokenizers import Tokenizer, pre_tokenizers

SIZES = {"bpe": 350, "unigram": 295}
ORIGINALS = {family: ROOT / f"data/stand_ins/{family}/base" for family in ("mistral", "llama")}


def text_in(script: str) -> list[str]:
    rng = random.Random(0)
    return [" ".join(rng.choices(TEXTS[script].split(), k=12)) for _ in range(400)]


def trained(script: str, model_type: str, folder: Path) -> Path:
    train_sentencepiece(text_in(script), model_type, SIZES[model_type], folder / PIECES)
    return folder


def view_of(folder: Path) -> ByteView:
    return ByteView(Tokenizer.from_file(str(folder / "tokenizer.json")))


def length(view: ByteView, lines: list[str]) -> int:
    return sum(len(e.ids) for e in view.backend.encode_batch(lines, add_special_tokens=False))


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_script_gets_vocabularies_that_its_text_uses(tmp_path: Path, script: str) -> None:
    models = {kind: trained(script, kind, tmp_path / kind) for kind in SIZES}
    lines = [
        *text_in(script)[:50],
        WORDS[script],
        f"(«{WORDS[script]}») 12 {TEXTS[script]}, ok",
        f"{WORDS[script]}  🙂",
    ]
    for family, original in ORIGINALS.items():
        old = view_of(original)
        for kind in NEW_VOCABULARIES:
            model_type = VOCABULARIES[kind].model_type
            target = tmp_path / family / kind
            build_vocabulary(original, models[model_type], kind, target, keep=1000 if kind == "optimized" else None)
            new = view_of(target)
            assert [new.backend.decode(new.backend.encode(line).ids) for line in lines] == lines
            facts = read_manifest(target)["facts"]
            if VOCABULARIES[kind].replaces:
                ids = {i for line in lines[:50] for i in new.backend.encode(line, add_special_tokens=False).ids}
                assert not any(map(new.is_byte_piece, ids))
                continue
            assert facts["left_out"] == 0
            assert facts["new"] > 40
            assert facts["new_unreachable"] <= 0.05 * facts["new"]
            assert sum(map(len, lines[:50])) / length(new, lines[:50]) > 1.5
            assert length(new, lines) < length(old, lines)
            unused = [new.data[i].decode(errors="ignore") for i in unreachable_rows(new) if i >= len(old)]
            assert len(unused) <= facts["new_unreachable"], unused


@pytest.mark.parametrize("script", ["georgian", "devanagari"])
@pytest.mark.parametrize("kind", ["extended", "optimized"])
def test_the_published_order_of_merges_builds_long_letters_too(tmp_path: Path, script: str, kind: str) -> None:
    model = trained(script, "bpe", tmp_path / "bpe")
    build_vocabulary(ORIGINALS["llama"], model, kind, tmp_path / "new", keep=1000, letter_merges="last")
    words = TEXTS[script].split()
    unknown = [first + second for first, second in pairwise(words)]  # no such word is a piece
    assert sum(map(len, unknown)) / length(view_of(tmp_path / "new"), unknown) > 1.5


@pytest.mark.parametrize("family", ORIGINALS)
def test_other_text_is_cut_as_before(tmp_path: Path, family: str) -> None:
    """A vocabulary for Devanagari leaves text without its letters as it is, ids of the original included."""
    build_vocabulary(ORIGINALS[family], trained("devanagari", "bpe", tmp_path / "bpe"), "extended", tmp_path / "new")
    old, new = view_of(ORIGINALS[family]), view_of(tmp_path / "new")
    for text in ("Naïve cafe\u0301s, 2024!", "Ещё раз:  три\n\nслова", "(12) αβγ 漢字 🙂 שָׁלוֹם"):
        ids = [view.backend.encode(text, add_special_tokens=False).ids for view in (old, new)]
        assert ids[0] == ids[1]


def test_the_pattern_of_gpt2_is_widened_too() -> None:
    state = json.loads(pre_tokenizers.ByteLevel(add_prefix_space=False).__getstate__())
    found = keep_words_whole({"type": "Sequence", "pretokenizers": [state]}, ["Devanagari"])
    tokenizer = byte_level()
    before = tokenizer.pre_tokenizer
    whole = json.loads(tokenizer.to_str()) | {"pre_tokenizer": found}
    after = Tokenizer.from_str(json.dumps(whole)).pre_tokenizer
    for text in ("It's 3 o'clock,  naïve", "слово  ещё\n"):
        assert after.pre_tokenize_str(text) == before.pre_tokenize_str(text)
    assert len(after.pre_tokenize_str("किताब हिन्दी")) == 2 < len(before.pre_tokenize_str("किताब हिन्दी"))


def test_a_union_that_text_hardly_uses_is_refused(tmp_path: Path) -> None:
    """The original's pattern cuts behind each letter."""
    original = tmp_path / "original"
    original.mkdir()
    tokenizer = byte_level()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split("", "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.save(str(original / "tokenizer.json"))
    model = write_model(tmp_path / "spm", ["д", "а", "н", "да", "дан", "ан", "нада", "над", "ад"])
    with pytest.raises(
        UserError, match=r"text can use only 3 of 9 new pieces; no merges build 0 of them, and .* cuts 6"
    ):
        build_vocabulary(original, model, "extended", tmp_path / "new")
    assert not (tmp_path / "new").exists()
