"""Quality filters: drop page furniture and low-quality paragraphs and documents, and count the reasons.

The paper (section 2.4.1) removes metadata, links, comment sections and badly formatted documents. Links are removed by
`lep.corpus.normalise`; this module removes the rest by rules like those of Gopher (Rae et al. 2021, table A1). Every
threshold is a configuration value.
"""

import re
from collections import Counter
from collections.abc import Mapping

from pydantic.dataclasses import dataclass

from lep.config import STRICT
from lep.corpus.languages import RUSSIAN
from lep.corpus.normalise import normalise
from lep.corpus.scripts import letter_share

# Only with a number or as a request: manuals have sections with the bare title `Comments`.
_COMMENTS = re.compile(
    r"(?:комментарии|отзывы|обсуждение|comments|replies)\s*[:(]\s*\d+\s*\)?|\d+ (?:комментари(?:й|я|ев)|comments?)"
    r"|(?:оставить|добавить|написать) комментарий.?|leave a (?:comment|reply).?",
    re.IGNORECASE,
)
_METADATA = re.compile(
    r"(?:теги|метки|источник|опубликовано|рубрик[аи]|категори[ия]|просмотров|рейтинг|поделиться|читайте также"
    r"|фото|tags|posted (?:by|on|in)|published|filed under|share (?:this|on)|read more|categor(?:y|ies)|views)\s*:",
    re.IGNORECASE,
)
_LONGEST_METADATA = 120  # characters; a longer line with such a beginning is prose


@dataclass(frozen=True, config=STRICT)
class QualityRecipe:
    """Thresholds; a paragraph or document outside of one is dropped."""

    minimum_characters: int = 10  # of a paragraph; 0 = off
    minimum_letter_share: float = 0.6  # of a paragraph's letters, in the script of its language; 0 = off
    maximum_symbol_share: float = 0.5  # of a paragraph's characters: no letters, digits or spaces; 1 = off
    minimum_words: int = 1  # of a document; 0 = off
    mean_word_length: tuple[float, float] = (2.0, 20.0)  # least and greatest in a document, characters
    maximum_dropped_share: float = 1.0  # of a document's paragraphs; 1 = off


def clean_document(
    document: dict, recipe: QualityRecipe, counts: Counter, scripts: Mapping[str, str] = RUSSIAN
) -> dict | None:
    """The document with its good paragraphs, normalised; None if the document is dropped.

    - `scripts`: {language: script} of the corpus; documents in other languages are dropped
    - `counts`: gets `paragraphs/REASON` and `documents/REASON` for what is dropped. The good paragraphs of a dropped
      document count as `paragraphs/of_dropped_documents`, and removed characters as `characters/dropped/SCRIPT`
    """
    if document["language"] not in scripts:
        counts["documents/other_language"] += 1
        return None
    kept: list[dict] = []
    gone: Counter = Counter()
    paragraphs = document["paragraphs"]
    script, wanted = scripts[document["language"]], scripts.values()
    for place, paragraph in enumerate(paragraphs):
        text = normalise(paragraph["text"], wanted, gone)
        if _COMMENTS.fullmatch(text):
            # A comment section extends to the end of the document.
            counts["paragraphs/comments"] += len(paragraphs) - place
            break
        if reason := _paragraph_fault(text, script, recipe):
            counts[f"paragraphs/{reason}"] += 1
        else:
            kept.append({"id": paragraph["id"], "text": text})
    counts.update({f"characters/dropped/{name}": number for name, number in gone.items()})
    reason = _document_fault(kept, len(paragraphs), recipe)
    if reason:
        counts[f"documents/{reason}"] += 1
        counts["paragraphs/of_dropped_documents"] += len(kept)
        return None
    return {**document, "title": normalise(document["title"], wanted), "paragraphs": kept}


def _paragraph_fault(text: str, script: str, recipe: QualityRecipe) -> str | None:
    if len(text) < recipe.minimum_characters:
        return "short"
    if letter_share(text, script) < recipe.minimum_letter_share:
        return "foreign"
    if len(text) <= _LONGEST_METADATA and _METADATA.match(text):
        return "metadata"
    plain = sum(map(str.isalnum, text)) + text.count(" ") + text.count("\n")
    if len(text) - plain > recipe.maximum_symbol_share * len(text):
        return "symbols"
    return None


def _document_fault(kept: list[dict], before: int, recipe: QualityRecipe) -> str | None:
    if not kept:
        return "empty"
    words = sum(paragraph["text"].count(" ") + 1 for paragraph in kept)
    if words < recipe.minimum_words:
        return "few_words"
    length = sum(len(paragraph["text"]) + 1 for paragraph in kept) / words - 1
    if not recipe.mean_word_length[0] <= length <= recipe.mean_word_length[1]:
        return "word_length"
    if before - len(kept) > recipe.maximum_dropped_share * before:
        return "badly_formatted"
    return None
