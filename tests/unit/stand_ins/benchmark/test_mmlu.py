"""MMLU: four categories, answers that stand in the training text of both languages."""

import re
from collections import Counter

from fixtures.miniature import splits
from lep.stand_ins.benchmark.miniature import knowledge, mmlu


def test_mmlu_schema(made):
    dev, tests = splits(made, "nlpcore_mmlu")
    assert {row["category"] for row in tests} == {"STEM", "humanities", "social sciences", "other"}
    assert set(Counter(row["subject"] for row in dev).values()) == {mmlu.DEV}
    for row in dev + tests:
        assert len(set(row["choices_ru"])) == len(set(row["choices_en"])) == 4
        assert row["answer"] in range(4)


def test_mmlu_answers_stand_in_the_training_text_of_both_languages(made, texts):
    for row in [row for rows in splits(made, "nlpcore_mmlu") for row in rows]:
        for language in ("ru", "en"):
            answer = row[f"choices_{language}"][row["answer"]]
            quote = re.search('[«"](.+)[»"]', row[f"question_{language}"])[1]
            if row["subject"] == "books":
                assert any(p.book == answer and quote in p.text for p in texts.train if p.language == language)
            elif row["subject"] == "continuation":
                assert texts.seen.contains(f"{quote} {answer}")
            else:
                assert texts.seen.contains(quote.replace(knowledge.GAP, answer))
