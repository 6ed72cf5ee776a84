"""Text normalisation of paper section 2.4.1: NFC, the scripts of the languages and Latin only, no emoji or links."""

import functools
import re
import unicodedata
from collections.abc import Collection, Mapping

# Latin (with its accented blocks), digits, punctuation: kept whatever the languages.
_COMMON = r"\t\n\x20-\x7E\xA0-\u024F\u0300-\u036F\u2010-\u2027\u2030-\u205E\u20AC\u2116"
# Scripts that write words apart: their characters, and how their letters begin in UTF-8, which in valid UTF-8 stands
# nowhere else (but on a few rare letters), so that bytes are counted at once.
SCRIPTS: Mapping[str, tuple[str, tuple[bytes, ...]]] = {
    "latin": ("", ()),
    "cyrillic": (r"\u0400-\u052F", (b"\xd0", b"\xd1", b"\xd2", b"\xd3", b"\xd4")),
    "greek": (r"\u0370-\u03FF\u1F00-\u1FFF", (b"\xce", b"\xcf", b"\xe1\xbc", b"\xe1\xbd", b"\xe1\xbe", b"\xe1\xbf")),
    "hebrew": (r"\u0590-\u05FF", (b"\xd6", b"\xd7")),
    "arabic": (r"\u0600-\u06FF\u0750-\u077F\u200C", (b"\xd8", b"\xd9", b"\xda", b"\xdb", b"\xdd")),
    "devanagari": (r"\u0900-\u097F\u200C\u200D", (b"\xe0\xa4", b"\xe0\xa5")),
    "georgian": (r"\u10A0-\u10FF", (b"\xe1\x82", b"\xe1\x83")),
}
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")  # a Markdown link keeps its text
_ADDRESS = re.compile(r"\b(?:https?://|www\.)\S+")
_OTHERS = tuple(head for _, heads in SCRIPTS.values() for head in heads)
_MARKUP = re.compile(r"</?[a-zA-Z][^>]*>|\*\*|`")


def normalise(text: str, scripts: Collection[str]) -> str:
    """One paragraph in NFC without links, markup and characters outside of `scripts` and Latin (the paper: Cyrillic).

    White space of every width is collapsed.
    """
    text = _ADDRESS.sub("", _LINK.sub(r"\1", text))
    text = _collapse(unicodedata.normalize("NFC", _MARKUP.sub("", text)))
    # Only where a character goes can white space meet again.
    clean, gone = _foreign(tuple(scripts)).subn("", text)
    return _collapse(clean) if gone else clean


def letter_share(text: str, script: str) -> float:
    """Share of the letters of `text` that belong to `script`, one of `SCRIPTS`; 0 without letters."""
    letters = sum(map(str.isalpha, text))
    if not letters:
        return 0.0
    encoded = text.encode("utf-8", "replace")
    # Latin is what no other script has: its accented letters begin as other characters do.
    heads = SCRIPTS[script][1] or _OTHERS
    found = min(sum(map(encoded.count, heads)), letters)
    return (found if heads is not _OTHERS else letters - found) / letters


@functools.cache
def _foreign(scripts: tuple[str, ...]) -> re.Pattern:
    """Runs of what is dropped: a character of no kept script, with the accents that stand on it."""
    return re.compile(f"[^{_COMMON}{''.join(SCRIPTS[script][0] for script in scripts)}][\\u0300-\\u036F]*")


def _collapse(text: str) -> str:
    lines = (" ".join(line.split()) for line in text.split("\n"))
    return "\n".join(line for line in lines if line)
