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


def test_multiq_answer_is_next_to_the_only_shared_word(texts):
    for rows in comprehension.multiq(texts, Plan("multiq", ITEMS, LIMIT), random.Random(0)).values():
        for row in rows:
            first, second = (words(row["inputs"][key]) for key in ("support_text", "text"))
            (bridge,) = set(first) & set(second)
            step = 1 if "после" in row["inputs"]["question"] else -1
            assert row["outputs"][0] == first[first.index(bridge) + step]
            assert bridge in row["outputs"][1]


def test_parus_right_choice_is_what_the_connective_says(hand_made):
    truth = {tuple(words(effect)): tuple(words(cause)) for effect, cause in FACTS}
    rows = comprehension.parus(hand_made, Plan("parus", 8, LIMIT), random.Random(0))
    seen = set()
    for row in [row for split in rows.values() for row in split]:
        inputs = {name: tuple(words(text)) for name, text in row["inputs"].items()}
        right, wrong = inputs[f"choice{row['outputs']}"], inputs[f"choice{3 - int(row['outputs'])}"]
        facts = {(inputs["premise"], right), (right, inputs["premise"])}
        assert facts & set(truth.items())
        assert wrong != right
        assert (row["meta"]["task"] == "cause") == ((inputs["premise"], right) in truth.items())
        seen.add(row["meta"]["task"])
    assert seen == {"cause", "effect"}


def test_rcb_labels(made):
    for row in [row for rows in splits(made, "rcb") for row in rows]:
        premise, hypothesis = (" ".join(words(row["inputs"][key])) for key in ("premise", "hypothesis"))
        bare = [re.sub(r"\bне ", "", text) for text in (premise, hypothesis)]
        assert (bare[1] in bare[0]) == (row["outputs"] in "12")
        if row["outputs"] != "3":
            assert (hypothesis in premise and ("не" in hypothesis.split() or f"не {hypothesis}" not in premise)) == (
                row["outputs"] == "1"
            )


@pytest.mark.parametrize(
    ("clause", "denied"),
    [
        ("и пошел Иаков домой", "и не пошел Иаков домой"),
        ("Иаков не знал сего", "Иаков знал сего"),
        ("Пошел он", "не пошел он"),
    ],
)
def test_denial(clause, denied):
    assert comprehension._denied(clause) == denied


@pytest.mark.parametrize(
    "clause", ["если он пошел домой", "иди в дом свой", "который пошел домой", "дом его велик", "он не в дом пошел"]
)
def test_clauses_that_state_nothing_certain_are_left_out(clause):
    assert not comprehension._plain(clause)


def test_a_budget_too_tight_is_refused(texts):
    with pytest.raises(UserError, match="benchmark task multiq"):
        comprehension.multiq(texts, Plan("multiq", ITEMS, 100), random.Random(0))
