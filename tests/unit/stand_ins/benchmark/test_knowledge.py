"""Questions of knowledge: answers that stand in the training text, options of one form."""

import random
import re
from collections import Counter
from itertools import pairwise

import pytest
from fixtures.miniature import ITEMS, document, made_of, splits
from lep.stand_ins.benchmark.items import PROMPTS
from lep.stand_ins.benchmark.miniature import knowledge
from lep.stand_ins.benchmark.morphology import lemma
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


def test_knowledge_answers_stand_in_the_training_text(made, texts):
    paragraphs = [p for p in texts.train if p.language == "ru"]
    kinds = Counter()
    for subset, key in (("rummlu", "text"), ("ruopenbookqa", "question"), ("ruworldtree", "question")):
        for row in [row for rows in splits(made, subset) for row in rows]:
            question = row["inputs"][key]
            answer = row["inputs"][f"option_{row['outputs'].lower()}"]
            quote = re.search("«(.+)»", question)[1] if "«" in question else ""
            kinds[question.split()[0]] += 1
            if question.startswith("Какое слово пропущено"):
                assert texts.seen.contains(quote.replace(knowledge.GAP, answer))
            elif question.startswith("Чем кончается"):
                assert texts.seen.contains(f"{quote} {answer}")
            elif question.startswith("В какой книге"):
                assert any(p.book == answer and quote in p.text for p in paragraphs)
            elif question.startswith("Как по-русски"):
                assert (answer, quote) in {(r.text, e.text) for r, e in texts.pairs}
            elif question.startswith("Где есть надпись"):
                assert {p.title for p in paragraphs if p.text == quote} == {answer}
            elif question.startswith("Кто назван"):
                names = {question.removesuffix("?").split()[-1].lower(), answer.lower()}
                assert any(names <= {lemma(word) for word in words(p.text)} for p in paragraphs)
            else:
                rows_ = [[lemma(word) for word in words(p.text)] for p in paragraphs]
                pair = {lemma(quote), lemma(answer)}
                assert any({a, b} == pair for row_ in rows_ for a, b in pairwise(row_))
            assert not texts.seen.contains(question)
    assert len(kinds) >= 4


def test_missing_word_options_are_of_one_form():
    verses = [
        "В начале сотворил Бог землю.",
        "И нашел он рыбу.",
        "И увидел он гору.",
        "И построил он стену.",
        "И ел траву.",
    ]
    texts = made_of(
        [document("bible/01/001", "ru", [f"{v} {v}" for v in verses])], [document("bible/01/002", "ru", ["Так."])]
    )
    questions = list(knowledge.missing_word(texts.russian(), random.Random(0)))
    assert all(set(q.options) <= {"землю", "рыбу", "гору", "стену", "траву"} for q in questions)
