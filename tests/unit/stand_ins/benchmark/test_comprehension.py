"""MultiQ, PARus and RCB: the label is what the text says."""

import random
import re

import pytest
from fixtures.miniature import FACTS, ITEMS, LIMIT, splits
from lep.config import UserError
from lep.stand_ins.benchmark.items import Plan, generator
from lep.stand_ins.benchmark.miniature import comprehension
from lep.stand_ins.benchmark.texts import words


def test_another_seed_asks_other_questions(texts):
    plan = Plan("multiq", ITEMS, LIMIT)
    one, other = (comprehension.multiq(texts, plan, generator(seed, "multiq")) for seed in (1, 2))
    assert one != other


def test_multiq_answer_stands_after_the_word_that_only_one_text_has(texts):
    for rows in comprehension.multiq(texts, Plan("multiq", ITEMS, LIMIT), random.Random(0)).values():
        for row in rows:
            both = [words(row["inputs"][key]) for key in ("support_text", "text")]
            key = words(row["inputs"]["question"])[-1]
            (holder,) = [text for text in both if key in text]
            assert holder.count(key) == 1
            assert row["outputs"] == [holder[holder.index(key) + 1], f"{key} {holder[holder.index(key) + 1]}"]


def test_parus_right_choice_is_what_the_premise_says(hand_made):
    truth = {tuple(words(effect)): tuple(words(cause)) for effect, cause in FACTS}
    rows = comprehension.parus(hand_made, Plan("parus", 8, LIMIT), random.Random(0))
    seen = set()
    for row in [row for split in rows.values() for row in split]:
        inputs = {name: words(text) for name, text in row["inputs"].items()}
        right, wrong = inputs[f"choice{row['outputs']}"], inputs[f"choice{3 - int(row['outputs'])}"]
        effect, cause = " ".join(inputs["premise"]).split(" ибо ")
        assert truth[tuple(effect.split())] == tuple(cause.split())
        assert " ".join(right) == (cause if row["meta"]["task"] == "cause" else effect)
        assert " ".join(wrong) not in (cause, effect)
        seen.add(row["meta"]["task"])
    assert seen == {"cause", "effect"}


def test_rcb_labels(made):
    for row in [row for rows in splits(made, "rcb") for row in rows]:
        premise, hypothesis = (" ".join(words(row["inputs"][key])) for key in ("premise", "hypothesis"))
        assert (hypothesis in premise) == (row["outputs"] == "1")
        assert ("не" in hypothesis.split()) == (row["outputs"] == "2")
        assert (re.sub(r"\bне ", "", hypothesis) in premise) == (row["outputs"] in "12")


@pytest.mark.parametrize(
    ("clause", "denied"),
    [
        ("и пошел Иаков домой", "и не пошел Иаков домой"),
        ("Пошел он", "не пошел он"),
    ],
)
def test_denial(clause, denied):
    assert comprehension._denied(clause) == denied


@pytest.mark.parametrize(
    "clause", ["если он пошел домой", "иди в дом свой", "который пошел домой", "дом его велик", "он не пошел в дом"]
)
def test_clauses_that_state_nothing_certain_are_left_out(clause):
    assert not comprehension._plain(clause)


def test_a_budget_too_tight_is_refused(texts):
    with pytest.raises(UserError, match="benchmark task multiq"):
        comprehension.multiq(texts, Plan("multiq", ITEMS, 100), random.Random(0))
