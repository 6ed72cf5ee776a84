"""Normalisation: NFC, Cyrillic and Latin only, no emoji, logograms, links or markup."""

import re
import unicodedata
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from lep.corpus.languages import RUSSIAN, SCRIPTS, guess, language_name, letter_share
from lep.corpus.normalise import normalise as normalise_for

ROOT = Path(__file__).parents[3]
ALPHABET = (
    "аеийЁёШab éüß.,!?—«»…№€*`<>/ \t\u00a0\u2009\u202f\u3000\n\u0300\u0306\u0308\u0303\u200d\ufe0f🙂👩💻🇷漢字かعأ😀ẽ"
)
ALLOWED = re.compile(r"[\n\x20-\x7e\xa1-\u024f\u0300-\u036f\u0400-\u052f\u2010-\u2027\u2030-\u205e€№]*")


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
    assert letter_share(text, "cyrillic") == russian
    assert letter_share(text, "latin") == 1 - russian


def test_text_without_letters_belongs_to_no_language() -> None:
    assert letter_share("1234 — …", "cyrillic") == letter_share("", "latin") == 0


# Words of each script, with accents and marks that its texts have.
WORDS = {
    "latin": "naïve café Müller żółw", "cyrillic": "слово ещё їжак", "greek": "λέξη Ωμέγα ᾠδή", "hebrew": "מילה שָׁלוֹם",
    "arabic": "كلمة سلام", "devanagari": "शब्द हिन्दी", "georgian": "სიტყვა ქართული",
}  # fmt: skip


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_scripts_of_the_languages_stay(script: str) -> None:
    """A corpus of one more language keeps its words whole, and of the others Latin alone."""
    assert set(WORDS) == set(SCRIPTS)
    for other, words in WORDS.items():
        kept = normalise_for(words, [script])
        assert kept == (unicodedata.normalize("NFC", words) if other in (script, "latin") else ""), other


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(sorted(SCRIPTS)), st.integers(1, 5)), min_size=1, max_size=6))
def test_shares_of_scripts_are_those_of_the_letters(parts: list[tuple[str, int]]) -> None:
    text = " ".join(next(filter(str.isalpha, WORDS[script])) * count for script, count in parts)
    total = sum(count for _, count in parts)
    for script in SCRIPTS:
        share = sum(count for other, count in parts if other == script) / total
        assert letter_share(text, script) == pytest.approx(share)


def test_the_script_tells_the_language() -> None:
    languages = {"el": "greek", "en": "latin", "uk": "cyrillic", "ru": "cyrillic"}
    texts = {"Η λέξη word": "el", "one слово word": "en", "слово": "uk", "1234": "el"}
    assert {text: guess(text, languages) for text in texts} == texts
    assert (language_name("el"), language_name("xx")) == ("Greek", "xx")


def test_the_schema_offers_the_scripts() -> None:
    schema = yaml.safe_load((ROOT / "rules/schemas/config.schema.yaml").read_text(encoding="utf-8"))
    row = schema["properties"]["corpus"]["properties"]["languages"]["items"]
    assert row["properties"]["script"]["enum"] == list(SCRIPTS)
