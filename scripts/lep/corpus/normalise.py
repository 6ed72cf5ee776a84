"""Text normalisation of paper section 2.4.1: NFC, the scripts of the languages and Latin only, no emoji or links."""

import functools
import re
import unicodedata
from collections.abc import Collection

from lep.corpus.languages import SCRIPTS

# Latin (with its accented blocks), digits, punctuation: kept whatever the languages.
_COMMON = r"\t\n\x20-\x7E\xA0-\u024F\u0300-\u036F\u2010-\u2027\u2030-\u205E\u20AC\u2116"
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")  # a Markdown link keeps its text
_ADDRESS = re.compile(r"\b(?:https?://|www\.)\S+")
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


@functools.cache
def _foreign(scripts: tuple[str, ...]) -> re.Pattern:
    """Runs of what is dropped: a character of no kept script, with the accents that stand on it."""
    return re.compile(f"[^{_COMMON}{''.join(SCRIPTS[script][0] for script in scripts)}][\\u0300-\\u036F]*")


def _collapse(text: str) -> str:
    lines = (" ".join(line.split()) for line in text.split("\n"))
    return "\n".join(line for line in lines if line)
