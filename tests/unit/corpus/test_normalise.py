"""Normalisation: NFC, Cyrillic and Latin only, no emoji, logograms, links or markup."""

import re
import unicodedata
from collections import Counter

import pytest
import regex
from fixtures.scripts import WORDS
from hypothesis import example, given, settings
from hypothesis import strategies as st
from lep.corpus.languages import RUSSIAN
from lep.corpus.normalise import normalise as normalise_for
from lep.corpus.scripts import SCRIPTS

ALPHABET = (
    "аеийЁёШab éüß.,!?—«»…№€*`<>/ \t\u00a0\u2009\u202f\u3000\n\u0300\u0306\u0308\u0303\u200d\ufe0f🙂👩💻🇷漢字かعأ😀ẽəụʼ"
)

# By another library's table of the same properties.
ALLOWED = regex.compile(
    r"[\n\x20-\x7e\xa1-\xff\p{scx=Latin}\p{scx=Cyrillic}\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\ufe20-\ufe2f"
    r"\u2010-\u2027\u2030-\u205e€№ʹ-ˁˆ-ˑˬˮ]*"
)


def normalise(text: str) -> str:
    return normalise_for(text, RUSSIAN.values())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Ещё и\u0306од, е\u0308лка — «так»…", "Ещё йод, ёлка — «так»…"),
        ("naïve café, Müller 5 € № 7", "naïve café, Müller 5 € № 7"),
        ("Привет 🙂👍🏽 мир", "Привет мир"),
        ("👩\u200d💻 код", "код"),
        ("флаг 🇷🇺.", "флаг ."),
        ("слово 漢字 かな 한국 word", "слово word"),
        ("שלום salām سلام αβγ да", "salām да"),
        ("[сайт](https://a.ru/x_(y)) здесь", "сайт) здесь"),
        ("см. https://a.ru/x?y=1 и www.b.ru", "см. и"),
        ("<b>жирный</b> и **важный** `код`", "жирный и важный код"),
        ("1 < 2 и 3 > 2", "1 < 2 и 3 > 2"),
        ("  два \t пробела\u00a0тут  ", "два пробела тут"),
        ("тонкий\u2009и\u202fузкий\u2003и широкий\u3000пробел", "тонкий и узкий и широкий пробел"),
        ("слово\u2009漢\u2009слово", "слово слово"),
        ("первая\n\n  \nвторая\r\nтретья", "первая\nвторая\nтретья"),
        ("Tiếng Việt, Azərbaycan, Ẹ káàárọ̀, ụlọ, ɓera, STRAẞE", "Tiếng Việt, Azərbaycan, Ẹ káàárọ̀, ụlọ, ɓera, STRAẞE"),
        ("обʼєкт, Oʻzbekiston, ﬁn, Ⅳ", "обʼєкт, Oʻzbekiston, ﬁn, Ⅳ"),
        ("Ꙗ҆́кѡ ꙗзы́къ", "Ꙗ҆́кѡ ꙗзы́къ"),
        ("ноль\u200bширины и \ufeffметка", "нольширины и метка"),
        ("🙂🙂", ""),
        ("", ""),
    ],
)
def test_examples(text: str, expected: str) -> None:
    assert normalise(text) == expected


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from(ALPHABET), max_size=30) | st.text(max_size=20))
@example("и🙂\u0306")
@example("и**\u0306")
@example("e漢\u0303")
def test_any_text_becomes_clean(text: str) -> None:
    """Nothing but the allowed blocks, in NFC (also where an emoji between letter and accent goes), tidy white space."""
    clean = normalise(text)
    assert ALLOWED.fullmatch(clean)
    assert unicodedata.is_normalized("NFC", clean)
    assert "  " not in clean
    assert all(line and line == line.strip() for line in clean.split("\n") if clean)


@settings(max_examples=200, deadline=None)
@given(st.text(st.sampled_from("абвгдейёжЁШabcdefXYZ0123456789 .,:;!?—«»…-()"), max_size=40))
def test_clean_text_is_left_alone(text: str) -> None:
    assert normalise(text) == re.sub(" +", " ", text).strip()


@settings(max_examples=100, deadline=None)
@given(st.text(st.sampled_from("аий еёe\u0306\u0308\u0303漢🙂 \n"), max_size=30))
def test_composed_and_decomposed_are_one_text(text: str) -> None:
    assert normalise(unicodedata.normalize("NFD", text)) == normalise(unicodedata.normalize("NFC", text))


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_scripts_of_the_languages_stay(script: str) -> None:
    """A corpus of one more language keeps its words whole, and of the others Latin alone."""
    assert set(WORDS) == set(SCRIPTS)
    for other, words in WORDS.items():
        kept = normalise_for(words, [script])
        assert kept == (unicodedata.normalize("NFC", words) if other in (script, "latin") else ""), other


def test_removed_characters_are_counted_by_script() -> None:
    dropped = Counter()
    for text in ("слово 漢字 かな 🙂", "ясно", "αβ́γ, 漢"):
        normalise_for(text, RUSSIAN.values(), dropped)
    assert dropped == {"Han": 3, "Hiragana": 2, "symbols": 1, "Greek": 3}


@settings(max_examples=100, deadline=None)
@given(st.text(st.sampled_from("न\u093cक\u094dम🙂漢e\u0303\u0651ا\u0653 "), max_size=20))
def test_marks_go_with_the_character_that_carries_them(text: str) -> None:
    assert unicodedata.is_normalized("NFC", normalise_for(text, ["devanagari", "arabic"]))
