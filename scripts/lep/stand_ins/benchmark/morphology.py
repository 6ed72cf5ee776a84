"""Russian morphology by pymorphy3, cached. Only unambiguous readings are used."""

import re
from functools import cache

import pymorphy3

from lep.stand_ins.benchmark.lexicon import WOMEN

_ADJECTIVE = re.compile(r"(?:[ыиое]й|[ая]я|[оеыи]е|[ое]го|[ое]му|[ую]ю|[ыи]х|[ыи]ми?|[ое]м)$")


@cache
def _analyser() -> pymorphy3.MorphAnalyzer:
    return pymorphy3.MorphAnalyzer()


@cache
def readings(word: str) -> tuple:
    """Readings of a word form with a probability of at least 0.1, most probable first; else the most probable one."""
    parses = _analyser().parse(word.lower())
    return tuple(parse for parse in parses if parse.score >= 0.1) or tuple(parses[:1])


@cache
def lemma(word: str) -> str:
    """Dictionary form of the most probable reading, with `е` for `ё`."""
    return readings(word)[0].normal_form.replace("ё", "е")


@cache
def part_of_speech(word: str) -> str | None:
    """Part of speech, or None if the readings disagree or the dictionary lacks the word."""
    found = {str(reading.tag.POS) for reading in readings(word)}
    known = _analyser().word_is_known(word.lower())
    return found.pop() if known and len(found) == 1 else None


@cache
def noun(word: str) -> "pymorphy3.analyzer.Parse | None":
    """The most probable reading of an unambiguous singular noun with a gender, or None.

    All readings must agree on part of speech, gender, number and animacy; the case may be ambiguous.
    """
    tags = {(str(r.tag.POS), r.tag.gender, r.tag.number, r.tag.animacy) for r in readings(word)}
    reading = readings(word)[0]
    certain = len(tags) == 1 and reading.tag.POS == "NOUN" and reading.tag.number == "sing"
    return reading if certain and reading.tag.gender in ("masc", "femn", "neut") else None


@cache
def person(word: str) -> str | None:
    """Gender (`masc`, `femn`) of an unambiguous animate singular noun, or None.

    The dictionary takes some men's names in -а and -я (Илия) for women's, so women's names come from a list.
    """
    reading = noun(word)
    known = reading is not None and _analyser().word_is_known(word.lower()) and len(word) > 2
    if not known or reading.tag.animacy != "anim" or reading.tag.gender == "neut":
        return None
    if word[0].isupper() and reading.tag.gender == "femn" and lemma(word) not in WOMEN and "Name" in reading.tag:
        return None
    return str(reading.tag.gender)


@cache
def is_name(word: str) -> bool:
    """Whether a capitalised word is a given name in the dictionary."""
    known = word[:1].isupper() and _analyser().word_is_known(word.lower())
    return known and {"Name", "sing"} in readings(word)[0].tag


@cache
def adjective(word: str) -> bool:
    """Whether a word is an adjective in its full form, and no pronoun like `такой`."""
    if not _ADJECTIVE.search(word.lower()):
        return False  # saves the dictionary look-up
    return part_of_speech(word) == "ADJF" and not any("Apro" in reading.tag for reading in readings(word))


@cache
def could_be_singular(word: str, gender: str) -> bool:
    """Whether any reading of the word is a singular noun of that gender."""
    return any(r.tag.POS == "NOUN" and r.tag.number == "sing" and r.tag.gender == gender for r in readings(word))


@cache
def inflected(word: str, grammemes: frozenset[str], normal: str | None = None) -> str | None:
    """The word in another form (such as `{"gent", "plur"}`); None if there is no such form.

    The reading is the most probable one, or the most probable one with dictionary form `normal`.
    """
    parses = readings(word)
    if normal is not None:
        parses = tuple(parse for parse in parses if parse.normal_form.replace("ё", "е") == normal) or parses
    form = parses[0].inflect(set(grammemes))
    return form.word.replace("ё", "е") if form else None


def like(form: str, model: str) -> str:
    """`form`, capitalised if `model` is."""
    return form[:1].upper() + form[1:] if model[:1].isupper() else form
