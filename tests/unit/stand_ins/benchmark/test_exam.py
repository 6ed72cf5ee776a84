"""USE: a variant of 34 points whose answers can be checked."""

import random
import re

from fixtures.miniature import document, made_documents, made_of, splits
from lep.stand_ins.benchmark.items import PROMPTS
from lep.stand_ins.benchmark.miniature import exam
from lep.stand_ins.benchmark.texts import words


def test_use_variant_is_worth_34_points(made):
    shots, tests = splits(made, "use")
    assert len(shots) == PROMPTS
    assert {row["meta"]["variant"] for row in shots}.isdisjoint({row["meta"]["variant"] for row in tests})
    assert sum(row["meta"]["score"] for row in tests) == 34
    assert [row["meta"]["id_task"] for row in tests] == [str(number) for number in range(1, 27)]
    special = {
        row["meta"]["id_task"]: (row["meta"]["type"], row["meta"]["score"]) for row in tests if row["meta"]["score"] > 1
    }
    assert special == {"8": ("matching", 5), "16": ("choice", 2), "26": ("matching", 4)}
    for row in shots + tests:
        assert set(row["inputs"]) == {"task", "text", "choices", "additional_text"}
        kind = row["meta"]["type"]
        assert re.fullmatch(r"[а-я]+" if kind == "text" else r"\d(,\d)*", row["outputs"])
        if kind == "matching":
            assert len(row["outputs"].split(",")) == row["meta"]["score"]


def test_use_answers_can_be_checked(hand_made):
    pool = exam._Pool(hand_made, random.Random(0))
    made = {
        maker: [m for _ in range(300) if (m := maker(pool))]
        for maker in (exam._commas, exam._gaps, exam._parts_of_speech)
    }
    assert made[exam._gaps]
    assert made[exam._commas]
    for _, inputs, answer in made[exam._gaps]:
        options = dict(re.findall(r"(\d)\) (\S+)", inputs["choices"]))
        text = inputs["text"]
        for letter, number in zip("АБВГ", answer.split(","), strict=True):
            text = text.replace(f"({letter})", options[number])
        assert " ".join(words(text)) in {" ".join(words(s)) for s in pool.sentences}
    for _, inputs, answer in made[exam._commas]:
        text = inputs["text"]
        for number in answer.split(","):
            text = text.replace(f" ({number})", ",")
        assert re.sub(r" \(\d\)", "", text) in pool.sentences


def test_use_choice_answers():
    texts = made_of([document("bible/01/001", "ru", ["Иное."])], made_documents())
    pool = exam._Pool(texts, random.Random(1))
    for _ in range(200):
        if made := exam._gender(pool):
            options = re.findall(r"\d\) (\S+)", made[1]["choices"])
            right = [str(i) for i, word in enumerate(options, 1) if exam.noun(word).tag.gender == "femn"]
            assert made[2] == ",".join(right)
