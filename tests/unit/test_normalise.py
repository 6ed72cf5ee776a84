"""Normalisation: NFC, Cyrillic and Latin only, no emoji, logograms, links or markup."""

import re
import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from lep.normalise import letter_share, normalise

ALPHABET = (
    "аеийЁёШab éüß.,!?—«»…№€*`<>/ \t\u00a0\u2009\u202f\u3000\n\u0300\u0306\u0308\u0303\u200d\ufe0f🙂👩💻🇷漢字かعأ😀ẽ"
)
ALLOWED = re.compile(r"[\n\x20-\x7e\xa1-\u024f\u0300-\u036f\u0400-\u052f\u2010-\u2027\u2030-\u205e€№]*")


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


@pytest.mark.parametrize(
    ("text", "russian"),
    [("слово", 1.0), ("word", 0.0), ("да no", 0.5), ("Ёё ў", 1.0), ("Wi-Fi сеть", 0.5), ("aбвг 1234 ...", 0.75)],
)
def test_letter_share(text: str, russian: float) -> None:
    assert letter_share(text, "ru") == russian
    assert letter_share(text, "en") == 1 - russian


def test_text_without_letters_belongs_to_no_language() -> None:
    assert letter_share("1234 — …", "ru") == letter_share("", "en") == 0
