"""Words of scripts whose vowels are marks (Devanagari), in the pre-tokenizers of byte-level vocabularies.

Patterns such as Llama 3's take a word for a run of letters, and a mark is no letter: they cut `किताब` into `क`, `ित`,
`ाब`. No piece of the new vocabulary that goes across such a cut could ever be used.
"""

import unicodedata
from collections.abc import Iterable

from lep.corpus.scripts import SHARED, script_name

# The pattern of GPT-2, which `ByteLevel` with `use_regex` has built in.
_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_ANY_LEAD = r"[^\r\n\p{L}\p{N}]?"  # what patterns after GPT-2's take in front of a word: any one character
_LETTERS = "\\p{L}+"
_JOINERS = "\u200c\u200d"


def marked_scripts(texts: Iterable[str]) -> list[str]:
    """Unicode's names of the scripts that have marks of their own in the texts, sorted."""
    marks = {c for text in texts for c in text if unicodedata.category(c).startswith("M")}
    return sorted({script_name(mark) for mark in marks} - {SHARED})


def keep_words_whole(pre_tokenizer: dict, scripts: list[str]) -> dict:
    """The pre-tokenizer of a `tokenizer.json` with words of `scripts` in one part, marks included.

    All other text is cut as before. Only patterns of GPT-2's kind are changed.
    """
    kind = pre_tokenizer["type"]
    if kind == "Sequence":
        parts = [keep_words_whole(part, scripts) for part in pre_tokenizer["pretokenizers"]]
        flat = [inner for part in parts for inner in (part["pretokenizers"] if part["type"] == "Sequence" else [part])]
        return {**pre_tokenizer, "pretokenizers": flat}
    if kind == "Split" and _LETTERS in pre_tokenizer["pattern"].get("Regex", "") and not pre_tokenizer.get("invert"):
        return {**pre_tokenizer, "pattern": {"Regex": _with_words(pre_tokenizer["pattern"]["Regex"], scripts)}}
    if kind == "ByteLevel" and pre_tokenizer.get("use_regex", True) and not pre_tokenizer.get("add_prefix_space", True):
        split = {"type": "Split", "pattern": {"Regex": _with_words(_GPT2, scripts)}, "behavior": "Isolated"}
        parts = [split | {"invert": False}, {**pre_tokenizer, "use_regex": False}]
        return {"type": "Sequence", "pretokenizers": parts}
    return pre_tokenizer


def _with_words(pattern: str, scripts: list[str]) -> str:
    lead = r"[^\r\n\p{L}\p{N}\p{M}]?" if _ANY_LEAD in pattern else " ?"
    letters = "".join(f"\\p{{{script.replace(' ', '_')}}}" for script in scripts)
    return f"{lead}(?:[{letters}&&\\p{{L}}][\\p{{M}}{_JOINERS}]*)+|{pattern}"
