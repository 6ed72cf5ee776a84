"""Text normalisation of paper section 2.4.1: NFC, Cyrillic and Latin only, no emoji, logograms or links."""

import re
import unicodedata

# Latin (with its accented blocks), Cyrillic, digits, punctuation; everything else is dropped, with the accents that
# stand on it: the paper keeps the Cyrillic and Latin vocabulary only.
_FOREIGN = re.compile(
    r"[^\t\n\x20-\x7E\xA0-\u024F\u0300-\u036F\u0400-\u052F\u2010-\u2027\u2030-\u205E\u20AC\u2116][\u0300-\u036F]*"
)
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")  # a Markdown link keeps its text
_ADDRESS = re.compile(r"\b(?:https?://|www\.)\S+")
_MARKUP = re.compile(r"</?[a-zA-Z][^>]*>|\*\*|`")
# UTF-8 lead bytes of U+0400 to U+053F: in valid UTF-8 they stand nowhere else, and bytes are counted at once.
_CYRILLIC = (b"\xd0", b"\xd1", b"\xd2", b"\xd3", b"\xd4")


def normalise(text: str) -> str:
    """One paragraph in NFC without links, markup and foreign characters; white space of every width collapsed."""
    text = _ADDRESS.sub("", _LINK.sub(r"\1", text))
    text = _collapse(unicodedata.normalize("NFC", _MARKUP.sub("", text)))
    # Only where a character goes can white space meet again.
    clean, gone = _FOREIGN.subn("", text)
    return _collapse(clean) if gone else clean


def letter_share(text: str, language: str) -> float:
    """Share of the letters of `text` that belong to the script of `language` (`ru` or `en`); 0 without letters."""
    letters = sum(map(str.isalpha, text))
    if not letters:
        return 0.0
    encoded = text.encode("utf-8", "replace")
    cyrillic = min(sum(map(encoded.count, _CYRILLIC)), letters)
    return (cyrillic if language == "ru" else letters - cyrillic) / letters


def _collapse(text: str) -> str:
    lines = (" ".join(line.split()) for line in text.split("\n"))
    return "\n".join(line for line in lines if line)
