"""Quality: every reason to drop a paragraph or a document, counted; clean text stays as it is."""

from collections import Counter

import pytest
from lep.corpus.quality import QualityRecipe, clean_document

GOOD = "Длинный хороший абзац, в котором есть слова."


def document(*texts: str, **given: str) -> dict:
    paragraphs = [{"id": f"{i:03d}", "text": text} for i, text in enumerate(texts)]
    return {"id": "d", "language": "ru", "title": "", **given, "paragraphs": paragraphs}


def clean(*texts: str, recipe: QualityRecipe | None = None, **given: str) -> tuple[list[str] | None, dict[str, int]]:
    counts: Counter = Counter()
    kept = clean_document(document(*texts, **given), recipe or QualityRecipe(), counts)
    return kept and [p["text"] for p in kept["paragraphs"]], dict(counts)


def test_another_language_of_the_corpus() -> None:
    """Its script counts as that of its paragraphs, and a document in a language that the corpus has not goes."""
    greek, counts = "Μια καλή παράγραφος με λέξεις.", Counter()
    scripts = {"el": "greek", "en": "latin"}
    kept = clean_document(document(greek, "An English paragraph.", language="el"), QualityRecipe(), counts, scripts)
    assert ([p["text"] for p in kept["paragraphs"]], dict(counts)) == ([greek], {"paragraphs/foreign": 1})
    assert clean_document(document(GOOD), QualityRecipe(), counts, scripts) is None
    assert counts["documents/other_language"] == 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("мало", "short"),
        ("🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂", "short"),
        ("A paragraph in English.", "foreign"),
        ("1234567890 1234567890", "foreign"),
        ("漢字漢字漢字漢字漢字漢字漢字", "short"),
        ("Теги: кошки, собаки, хомяки", "metadata"),
        ("Источник: https://a.ru агентство новостей", "metadata"),
        ("Опубликовано: 12 мая, автор Иванов", "metadata"),
        ("---===*** да ***===---!!!", "symbols"),
    ],
)
def test_paragraphs_that_go(text: str, reason: str) -> None:
    kept, counts = clean(GOOD, text)
    assert kept == [GOOD]
    assert {key: n for key, n in counts.items() if key.startswith("paragraphs/")} == {f"paragraphs/{reason}": 1}


@pytest.mark.parametrize(
    "text",
    [
        "Источник: " + "так начинается и длинное предложение, которое говорит о реке и её истоке, " * 3,
        "Категория, к которой относится слово, названа выше.",
        "Комментарии к закону написал профессор права.",
        "Комментарии:",
    ],
)
def test_prose_that_only_looks_like_furniture_stays(text: str) -> None:
    assert clean(text, GOOD) == ([" ".join(text.split()), GOOD], {})


@pytest.mark.parametrize(
    "head", ["Комментарии (12)", "12 комментариев", "Comments: 3", "Leave a comment", "Оставить комментарий…"]
)
def test_a_comment_section_goes_with_all_behind_it(head: str) -> None:
    assert clean(GOOD, head, "Первый! Отличная статья, спасибо.", GOOD + GOOD) == ([GOOD], {"paragraphs/comments": 3})


@pytest.mark.parametrize(
    ("texts", "limits", "reason"),
    [
        (["мало"], {}, "empty"),
        ([GOOD], {"minimum_words": 8}, "few_words"),
        ([GOOD], {"mean_word_length": (6.0, 20.0)}, "word_length"),
        (["а б в г д е ё ж з и к"], {}, "word_length"),
        ([GOOD, "мало", "мало"], {"maximum_dropped_share": 0.6}, "badly_formatted"),
    ],
)
def test_documents_that_go(texts: list[str], limits: dict, reason: str) -> None:
    kept, counts = clean(*texts, recipe=QualityRecipe(**limits))
    assert kept is None
    assert counts[f"documents/{reason}"] == 1
    assert sum(n for key, n in counts.items() if key.startswith("paragraphs/")) == len(texts), "each is accounted for"


def test_a_document_on_the_edge_of_every_limit_stays() -> None:
    limits = {"minimum_words": 7, "mean_word_length": (5.0, 7.0), "maximum_dropped_share": 0.5}
    assert clean(GOOD, "мало", recipe=QualityRecipe(**limits)) == ([GOOD], {"paragraphs/short": 1})


def test_titles_are_normalised_and_paragraphs_keep_their_ids() -> None:
    given = document("мало", f"  {GOOD} 🙂", title="  **Т\u00a0е\u0308** 🙂")
    kept = clean_document(given, QualityRecipe(), Counter())
    assert kept["title"] == "Т ё"
    assert kept["paragraphs"] == [{"id": "001", "text": GOOD}]


def test_dropped_characters_are_counted_by_script() -> None:
    kept, counts = clean(GOOD, GOOD + " 漢字 🙂", title="名")
    assert (kept, counts) == ([GOOD, GOOD], {"characters/dropped/Han": 2, "characters/dropped/symbols": 1})
