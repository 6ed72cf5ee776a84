"""RWSD and RuCoLA: a person of the text or of another one, and half of the sentences are spoilt."""

import random

from fixtures.miniature import ITEMS, LIMIT, WOMEN, splits
from lep.stand_ins.benchmark.items import Plan
from lep.stand_ins.benchmark.miniature import grammar
from lep.stand_ins.benchmark.morphology import lemma
from lep.stand_ins.benchmark.texts import words


def test_rwsd_means_the_person_of_the_text(hand_made):
    for rows in grammar.rwsd(hand_made, Plan("rwsd", ITEMS, LIMIT), random.Random(0)).values():
        for row in rows:
            person, pronoun = row["inputs"]["span1_text"], row["inputs"]["span2_text"]
            named, other = row["inputs"]["text"].rstrip(".").split(". ")
            assert pronoun in words(other)
            assert (row["outputs"] == "Да") == (person.lower() in words(named))
            assert (lemma(person) in WOMEN) == (pronoun == "она"), "another gender would give the answer away"


def test_rucola_is_half_and_half(made):
    for rows in splits(made, "rucola"):
        assert sum(row["acceptable"] for row in rows) == len(rows) // 2
        assert all((row["error_type"] == "0") == (row["acceptable"] == 1) for row in rows)
        assert set(rows[0]) == {"id", "sentence", "acceptable", "error_type", "detailed_source"}


def test_rucola_spoils_the_order_of_words():
    scrambled = grammar._scrambled("Он пришел в большой дом", random.Random(0))
    assert scrambled.endswith(" в")
    assert sorted(scrambled.split()) == ["большой", "в", "дом", "он", "пришел"]
    assert grammar._scrambled("Он пришел домой", random.Random(0)) is None
