"""MMLU: four categories, questions about aligned held-out verses in both languages."""

from collections import Counter

from fixtures.miniature import splits
from lep.stand_ins.benchmark.miniature import mmlu


def test_mmlu_schema(made):
    dev, tests = splits(made, "nlpcore_mmlu")
    assert {row["category"] for row in tests} == {"STEM", "humanities", "social sciences", "other"}
    assert set(Counter(row["subject"] for row in dev).values()) == {mmlu.DEV}
    for row in dev + tests:
        assert len(set(row["choices_ru"])) == len(set(row["choices_en"])) == 4
        assert row["answer"] in range(4)


def test_only_the_right_choice_stands_in_the_question(made):
    for row in [row for rows in splits(made, "nlpcore_mmlu") for row in rows]:
        for language in ("ru", "en"):
            question = f" {row[f'question_{language}']}"
            inside = [index for index, choice in enumerate(row[f"choices_{language}"]) if f" {choice}" in question]
            assert row["answer"] in inside
            assert inside == [row["answer"]] or row["subject"] == "counting", (question, row["answer"])


def test_verses_are_aligned_and_held_out(made, texts):
    pairs = {r.text: e.text for r, e in texts.pairs}
    for row in [row for rows in splits(made, "nlpcore_mmlu") for row in rows if row["subject"] != "books"]:
        quotes = [row[f"question_{language}"].rpartition(". ")[0] for language in ("ru", "en")]
        assert any(quotes[0] in russian and quotes[1] in english for russian, english in pairs.items())
