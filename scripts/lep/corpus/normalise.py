"""Text normalisation of paper section 2.4.1: NFC, only Latin and the scripts of the languages, no emoji, no links."""

import functools
import re
import unicodedata
from collections.abc import Collection

from lep.corpus.languages import SCRIPTS

# Latin (with its accented blocks), digits and punctuation are kept in every corpus.
_COMMON = r"\t\n\x20-\x7E\xA0-\u024F\u0300-\u036F\u2010-\u2027\u2030-\u205E\u20AC\u2116"
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")  # a Markdown link keeps its text
_ADDRESS = re.compile(r"\b(?:https?://|www\.)\S+")
_MARKUP = re.compile(r"</?[a-zA-Z][^>]*>|\*\*|`")


def normalise(text: str, scripts: Collection[str]) -> str:
    """One paragraph in NFC, without links, markup and characters outside Latin and `scripts` (the paper: Cyrillic).

    White space of any width within a line becomes one space; empty lines are removed.
    """
    text = _ADDRESS.sub("", _LINK.sub(r"\1", text))
    text = _collapse(unicodedata.normalize("NFC", _MARKUP.sub("", text)))
    # Only the removal of a character can bring two spaces together again.
    clean, gone = _foreign(tuple(scripts)).subn("", text)
    return _collapse(clean) if gone else clean


@functools.cache
def _foreign(scripts: tuple[str, ...]) -> re.Pattern:
    """Pattern of what is removed: a character outside the kept scripts, with its combining accents."""
    return re.compile(f"[^{_COMMON}{''.join(SCRIPTS[script][0] for script in scripts)}][\\u0300-\\u036F]*")


def _collapse(text: str) -> str:
    lines = (" ".join(line.split()) for line in text.split("\n"))
    return "\n".join(line for line in lines if line)
