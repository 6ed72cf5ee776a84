"""USE: a variant of 34 points whose answers can be checked."""

import random
import re
from collections.abc import Callable

import pytest
from fixtures.miniature import splits
from lep.stand_ins.benchmark.items import PROMPTS
from lep.stand_ins.benchmark.miniature import exam
from lep.stand_ins.benchmark.texts import Texts, words


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


def made_by(maker: Callable[[exam._Pool], exam.Made], texts: Texts) -> list[tuple[str, dict, str]]:
    pool = exam._Pool(texts, random.Random(0))
    found = [made for _ in range(300) if (made := maker(pool))]
    assert found
    return found


def test_a_written_word_is_the_first_the_last_or_the_one_after_a_word(hand_made):
    for place in (0, -1):
        for kind, inputs, answer in made_by(exam._word("Выпиши", place), hand_made):
            assert (kind, answer) == ("text", words(inputs["text"])[place])
    for kind, inputs, answer in made_by(exam._after, hand_made):
        row, key = words(inputs["text"]), words(inputs["task"])[-1]
        assert row.count(key) == 1
        assert (kind, answer) == ("text", row[row.index(key) + 1])


@pytest.mark.parametrize("count", [1, 2])
def test_numbers_are_those_of_the_lines_with_the_word(hand_made, count):
    for kind, inputs, answer in made_by(exam._lines(count), hand_made):
        word, options = words(inputs["task"])[-1], re.findall(r"(\d)\) ([^)]+?)(?= \d\)|$)", inputs["choices"])
        holding = [number for number, text in options if word in text.split()]
        assert kind == "choice"
        assert len(options) == 4
        assert len(holding) == count
        assert answer == ",".join(holding)


@pytest.mark.parametrize(("count", "length"), [(5, 1), (4, 2)])
def test_matching_pairs_equal_stretches(hand_made, count, length):
    for kind, inputs, answer in made_by(exam._equal(count, length), hand_made):
        rows = re.findall(r"[А-Д]\) ([^)]+?)(?= [А-Д]\)|$)", inputs["text"])
        options = dict(re.findall(r"(\d)\) ([^)]+?)(?= \d\)|$)", inputs["choices"]))
        assert kind == "matching"
        assert len(rows) == count
        assert all(len(row.split()) == length for row in rows)
        assert rows == [options[number] for number in answer.split(",")]
