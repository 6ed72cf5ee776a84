"""Scripts by Unicode's properties Script and Script_Extensions: what belongs to them, and how much of a text."""

import functools
import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from itertools import groupby

# Scripts with spaces between words, by their code in Unicode (ISO 15924).
SCRIPTS: Mapping[str, str] = {
    "latin": "Latn", "cyrillic": "Cyrl", "greek": "Grek", "hebrew": "Hebr", "arabic": "Arab", "devanagari": "Deva",
    "georgian": "Geor",
}  # fmt: skip
_END = 0x20000  # the scripts above, and all that are shared, have no character from here on
# Letters that no script owns: apostrophes and the like (`Oʻzbekiston`, `обʼєкт`) are used with all of them.
_MODIFIERS = frozenset(c for c in range(0x2B0, 0x300) if unicodedata.category(chr(c)) == "Lm")
# Marks that stand on letters of any script; others are parts of emoji.
_MARKS = frozenset([*range(0x300, 0x370), *range(0x1AB0, 0x1B00), *range(0x1DC0, 0x1E00), *range(0xFE20, 0xFE30)])
_JOINERS = frozenset([0x200C, 0x200D])  # letters of these scripts change their shape beside them
_JOINED = ("arabic", "devanagari")
SHARED = "symbols"  # name for what no script owns


def kept_characters(scripts: Iterable[str]) -> frozenset[int]:
    """Code points of text in `scripts`: letters, marks, digits and punctuation of the scripts, and shared marks."""
    wanted = list(scripts)
    joiners = _JOINERS if any(script in _JOINED for script in wanted) else frozenset()
    return frozenset().union(_MODIFIERS, _MARKS, joiners, *(_by_script()[SCRIPTS[script]] for script in wanted))


def marks_of(characters: Iterable[int]) -> frozenset[int]:
    """The combining marks among code points."""
    return frozenset(c for c in characters if unicodedata.category(chr(c)).startswith("M"))


def character_class(characters: Collection[int]) -> str:
    """Code points as ranges for the brackets of a regular expression; `re` looks them up in constant time."""
    runs = [list(run) for _, run in groupby(enumerate(sorted(characters)), key=lambda pair: pair[1] - pair[0])]
    return "".join(f"\\U{run[0][1]:08x}-\\U{run[-1][1]:08x}" for run in runs)


def letter_share(text: str, script: str) -> float:
    """Share of the letters of `text` that belong to `script`, one of `SCRIPTS`; 0 without letters."""
    letters = sum(map(str.isalpha, text))
    return sum(map(len, _letters(script).findall(text))) / letters if letters else 0.0


def has_letter(text: str, script: str) -> bool:
    """Whether `text` has a letter of `script`."""
    return _letters(script).search(text) is not None


@functools.cache
def script_name(character: str) -> str:
    """Unicode's name of a character's script; SHARED for what several scripts use (emoji among it)."""
    from fontTools import unicodedata as scripts

    code = scripts.script(character)
    return SHARED if code in ("Zyyy", "Zinh", "Zzzz") else scripts.script_name(code)


@functools.cache
def is_shared(character: str) -> bool:
    """Whether a character is used with any script, like digits and most punctuation."""
    from fontTools.unicodedata import script_extension

    return script_extension(character) <= {"Zyyy", "Zinh", "Zzzz"}


@functools.cache
def _letters(script: str) -> re.Pattern:
    """Pattern of runs of letters."""
    letters = (c for c in _by_script()[SCRIPTS[script]] | _MODIFIERS if chr(c).isalpha())
    return re.compile(f"[{character_class(set(letters))}]+")


@functools.cache
def _by_script() -> dict[str, frozenset[int]]:
    """Code points by the code of each script that uses them."""
    from fontTools.unicodedata import script_extension  # the library, for `workflow` imports this module

    found: dict[str, list[int]] = {code: [] for code in SCRIPTS.values()}
    for code_point in range(_END):
        for code in script_extension(chr(code_point)):
            if code in found:
                found[code].append(code_point)
    return {code: frozenset(points) for code, points in found.items()}
