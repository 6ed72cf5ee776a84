"""Text normalisation of paper section 2.4.1: NFC, only Latin and the scripts of the languages, no emoji, no links."""

import functools
import re
import unicodedata
from collections import Counter
from collections.abc import Collection

from lep.corpus.scripts import character_class, kept_characters, marks_of, script_name

# Digits and punctuation are kept in every corpus, as is Latin.
_COMMON = r"\t\n\x20-\x7E\xA0-\xFF\u2010-\u2027\u2030-\u205E\u20AC\u2116"
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")  # a Markdown link keeps its text
_ADDRESS = re.compile(r"\b(?:https?://|www\.)\S+")
_MARKUP = re.compile(r"</?[a-zA-Z][^>]*>|\*\*|`")


def normalise(text: str, scripts: Collection[str], dropped: Counter | None = None) -> str:
    """One paragraph in NFC, without links, markup and characters outside Latin and `scripts` (the paper: Cyrillic).

    White space of any width within a line becomes one space; empty lines are removed. `dropped` gets the number of
    removed characters by the name of their script.
    """
    text = _ADDRESS.sub("", _LINK.sub(r"\1", text))
    text = _collapse(unicodedata.normalize("NFC", _MARKUP.sub("", text)))
    foreign = _foreign(tuple(scripts))
    clean, gone = foreign.subn("", text)
    if not gone:
        return clean
    if dropped is not None:
        dropped.update(script_name(found[0]) for found in foreign.findall(text))
    # Only the removal of a character can bring two spaces together again.
    return _collapse(clean)


@functools.cache
def _foreign(scripts: tuple[str, ...]) -> re.Pattern:
    """Pattern of what is removed: a character outside the kept scripts, with its combining marks."""
    kept = kept_characters({"latin", *scripts})
    return re.compile(f"[^{_COMMON}{character_class(kept)}][{character_class(marks_of(kept))}]*")


def _collapse(text: str) -> str:
    lines = (" ".join(line.split()) for line in text.split("\n"))
    return "\n".join(line for line in lines if line)
