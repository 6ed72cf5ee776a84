"""The languages of a corpus: their scripts and their names for people."""

from collections.abc import Mapping

# As in the paper: the first language is the one that models are adapted to.
RUSSIAN: Mapping[str, str] = {"ru": "cyrillic", "en": "latin"}
_NAMES = {
    "ar": "Arabic", "be": "Belarusian", "bg": "Bulgarian", "cs": "Czech", "de": "German", "el": "Greek",
    "en": "English", "es": "Spanish", "fa": "Persian", "fi": "Finnish", "fr": "French",
    "he": "Hebrew", "hi": "Hindi", "hu": "Hungarian", "it": "Italian", "ka": "Georgian",
    "kk": "Kazakh", "pl": "Polish", "pt": "Portuguese", "ru": "Russian",
    "sr": "Serbian", "tr": "Turkish", "uk": "Ukrainian", "ur": "Urdu",
}  # fmt: skip


def language_name(code: str) -> str:
    """The English name of a language code; an unknown code is returned as it is."""
    return _NAMES.get(code, code)


def guess(text: str, scripts: Mapping[str, str]) -> str:
    """The language of `scripts` ({language: script}) whose script has most letters of `text`; the first of a tie."""
    return max(scripts, key=lambda language: letter_share(text, scripts[language]))


# Scripts with spaces between words: their characters, and the first UTF-8 byte(s) of their letters. Counting these
# bytes counts the letters without decoding; other characters, a few rare letters apart, do not contain them.
SCRIPTS: Mapping[str, tuple[str, tuple[bytes, ...]]] = {
    "latin": ("", ()),
    "cyrillic": (r"\u0400-\u052F", (b"\xd0", b"\xd1", b"\xd2", b"\xd3", b"\xd4")),
    "greek": (r"\u0370-\u03FF\u1F00-\u1FFF", (b"\xce", b"\xcf", b"\xe1\xbc", b"\xe1\xbd", b"\xe1\xbe", b"\xe1\xbf")),
    "hebrew": (r"\u0590-\u05FF", (b"\xd6", b"\xd7")),
    "arabic": (r"\u0600-\u06FF\u0750-\u077F\u200C", (b"\xd8", b"\xd9", b"\xda", b"\xdb", b"\xdd")),
    "devanagari": (r"\u0900-\u097F\u200C\u200D", (b"\xe0\xa4", b"\xe0\xa5")),
    "georgian": (r"\u10A0-\u10FF", (b"\xe1\x82", b"\xe1\x83")),
}


def letter_share(text: str, script: str) -> float:
    """Share of the letters of `text` that belong to `script`, one of `SCRIPTS`; 0 without letters."""
    letters = sum(map(str.isalpha, text))
    if not letters:
        return 0.0
    encoded = text.encode("utf-8", "replace")
    # A letter is Latin if it belongs to no other script: the first bytes of Latin letters are not unique.
    heads = SCRIPTS[script][1] or _OTHERS
    found = min(sum(map(encoded.count, heads)), letters)
    return (found if heads is not _OTHERS else letters - found) / letters


_OTHERS = tuple(head for _, heads in SCRIPTS.values() for head in heads)
