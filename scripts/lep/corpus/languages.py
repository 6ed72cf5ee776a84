"""The languages of a corpus: their scripts and their names for people."""

from collections.abc import Mapping

from lep.corpus.scripts import letter_share

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
