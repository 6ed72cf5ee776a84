"""Languages: the share of each script, and the language that a script tells."""

import pytest
from fixtures.checkout import ROOT
from fixtures.scripts import WORDS
from hypothesis import given, settings
from hypothesis import strategies as st
from lep.corpus.languages import guess, language_name
from lep.corpus.scripts import SCRIPTS, letter_share
from lep.workflow.schema import SCHEMA, load_schema


@pytest.mark.parametrize(
    ("text", "russian"),
    [
        ("слово", 1.0),
        ("word", 0.0),
        ("да no", 0.5),
        ("Ёё ў", 1.0),
        ("Wi-Fi сеть", 0.5),
        ("aбвг 1234 ...", 0.75),
        ("обʼєкт", 1.0),
        ("Ꙗꙁыкъ", 1.0),
    ],
)
def test_letter_share(text: str, russian: float) -> None:
    assert letter_share(text, "cyrillic") == russian
    assert letter_share(text.replace("ʼ", ""), "latin") == 1 - russian


def test_text_without_letters_belongs_to_no_language() -> None:
    assert letter_share("1234 — …", "cyrillic") == letter_share("", "latin") == 0


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(sorted(SCRIPTS)), st.integers(1, 5)), min_size=1, max_size=6))
def test_shares_of_scripts_are_those_of_the_letters(parts: list[tuple[str, int]]) -> None:
    text = " ".join(next(filter(str.isalpha, WORDS[script])) * count for script, count in parts)
    total = sum(count for _, count in parts)
    for script in SCRIPTS:
        share = sum(count for other, count in parts if other == script) / total
        assert letter_share(text, script) == pytest.approx(share)


@pytest.mark.parametrize("text", ["Tiếng Việt", "Azərbaycan", "ụlọ", "Oʻzbekiston", "ﬁle", "ɓera"])
def test_latin_letters_outside_the_first_blocks_are_latin(text: str) -> None:
    assert letter_share(text, "latin") == 1


def test_the_script_tells_the_language() -> None:
    languages = {"el": "greek", "en": "latin", "uk": "cyrillic", "ru": "cyrillic"}
    texts = {"Η λέξη word": "el", "one слово word": "en", "слово": "uk", "1234": "el"}
    assert {text: guess(text, languages) for text in texts} == texts
    assert (language_name("el"), language_name("xx")) == ("Greek", "xx")


def test_the_schema_offers_the_scripts() -> None:
    schema = load_schema(ROOT / SCHEMA)
    row = schema["properties"]["corpus"]["properties"]["languages"]["items"]
    assert row["properties"]["script"]["$ref"] == "#/$defs/script"
    assert schema["$defs"]["script"]["enum"] == list(SCRIPTS)
