"""Questions about a quoted text: it contains the answer, options are of one form."""

import random
import re
from collections import Counter

import pytest
from fixtures.miniature import ITEMS, document, made_of, splits
from lep.stand_ins.benchmark.items import PROMPTS
from lep.stand_ins.benchmark.miniature import knowledge
from lep.stand_ins.benchmark.texts import words


@pytest.mark.parametrize("subset", ["rummlu", "ruopenbookqa", "ruworldtree"])
def test_multiple_choice_schema_and_balance(made, subset):
    key = "text" if subset == "rummlu" else "question"
    shots, tests = splits(made, subset)
    assert (len(shots), len(tests)) == (PROMPTS, ITEMS)
    for row in shots + tests:
        options = [row["inputs"][f"option_{letter}"] for letter in "abcd"]
        assert len(set(options)) == 4
        assert set(row["inputs"]) - {key, "subject"} == {f"option_{letter}" for letter in "abcd"}
        assert ("domain" in row["meta"]) == (subset == "rummlu")
    assert len({row["inputs"][key] for row in shots + tests}) == PROMPTS + ITEMS
    for rows in (shots, tests):
        counts = Counter(row["outputs"] for row in rows)
        assert set(counts) == set("ABCD")
        assert max(counts.values()) - min(counts.values()) <= 1


def test_the_question_contains_its_answer_and_at_most_one_other_option(made):
    """Held-out questions: the text must decide, and a model that picks any option of the text must not be right."""
    kinds: Counter = Counter()
    for subset, key in (("rummlu", "text"), ("ruopenbookqa", "question"), ("ruworldtree", "question")):
        for row in [row for rows in splits(made, subset) for row in rows]:
            question = row["inputs"][key]
            options = {letter: row["inputs"][f"option_{letter.lower()}"] for letter in "ABCD"}
            inside = {letter for letter, option in options.items() if f" {option}" in f" {question}"}
            assert row["outputs"] in inside
            asked = re.split(r"[.]|говорит:", question)[-1].strip() or question
            kinds[asked.split()[0]] += 1
            assert len(inside) == (2 if asked.startswith(("Какое слово говорят", "Как по", "Где")) else 1), question
    assert len(kinds) >= 4


def test_neighbours_and_pairs_belong_together(texts):
    verses = texts.russian("bible")
    for question in knowledge.attribute(verses, random.Random(0)):
        row = words(question.text.partition(". Какое")[0])
        thing = words(question.text)[-1]
        assert abs(row.index(words(question.options[0])[0]) - row.index(thing)) == 1
    strings = {(r.text, e.text) for r, e in texts.pairs}
    for question in knowledge.translation(texts, random.Random(0)):
        assert (question.options[0], question.text.removesuffix("?").partition("Как по-русски ")[2]) in strings
    titles = {(p.title, p.text) for p in texts.russian("home_assistant")}
    for question in knowledge.integration(texts, random.Random(0)):
        assert (question.options[0], question.text.removesuffix("?").partition("Где есть ")[2]) in titles


def test_options_are_of_one_form():
    verses = ["начале сотворил он землю.", "и нашел он траву.", "и увидел он реку.", "построил он себе стену."]
    again = [f"{verse[:-1]} вновь." for verse in verses]
    texts = made_of([document("bible/01/001", "ru", ["Так."])], [document("bible/01/002", "ru", verses + again)])
    questions = list(knowledge.named(texts.russian(), random.Random(0)))
    assert questions
    assert all(set(q.options) == {"землю", "траву", "реку", "стену"} for q in questions)
