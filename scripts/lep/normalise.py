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
_SPACES = re.compile(r"[ \t\xA0]+")


def normalise(text: str) -> str:
    """One paragraph in NFC without links, markup and foreign characters; white space collapsed."""
    text = _ADDRESS.sub("", _LINK.sub(r"\1", text))
    text = unicodedata.normalize("NFC", _MARKUP.sub("", text))
    text = _FOREIGN.sub("", text)
    return "\n".join(line for line in (_SPACES.sub(" ", line).strip() for line in text.split("\n")) if line)


def letter_share(text: str, language: str) -> float:
    """Share of the letters of `text` that belong to the script of `language` (`ru` or `en`); 0 without letters."""
    letters = [character for character in text if character.isalpha()]
    if not letters:
        return 0.0
    cyrillic = sum("\u0400" <= character <= "\u052f" for character in letters)
    return (cyrillic if language == "ru" else len(letters) - cyrillic) / len(letters)
