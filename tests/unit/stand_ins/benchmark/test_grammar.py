"""RWSD and RuCoLA: gender decides, and half of the sentences are spoilt."""

import random

from fixtures.miniature import ITEMS, LIMIT, WOMEN, splits
from lep.stand_ins.benchmark.items import Plan
from lep.stand_ins.benchmark.miniature import grammar


def test_rwsd_gender_decides(hand_made):
    for rows in grammar.rwsd(hand_made, Plan("rwsd", ITEMS, LIMIT), random.Random(0)).values():
        for row in rows:
            person, pronoun = row["inputs"]["span1_text"].lower(), row["inputs"]["span2_text"].lower()
            assert row["inputs"]["span1_text"] in row["inputs"]["text"]
            assert (row["outputs"] == "Да") == ((person in WOMEN) == (pronoun == "она"))


def test_rucola_is_half_and_half(made):
    for rows in splits(made, "rucola"):
        assert sum(row["acceptable"] for row in rows) == len(rows) // 2
        assert all((row["error_type"] == "0") == (row["acceptable"] == 1) for row in rows)
        assert set(rows[0]) == {"id", "sentence", "acceptable", "error_type", "detailed_source"}


def test_rucola_spoils_sentences():
    assert grammar._disagreeing("пошел Моисей к горе Синай") == "пошли Моисей к горе Синай"
    assert grammar._disagreeing("они пришли к воде") == "они пришли к вода"
    assert grammar._disagreeing("они пришли на берег") is None
    scrambled = grammar._scrambled("Он пришел в большой дом", random.Random(0))
    assert scrambled.endswith(" в")
    assert sorted(scrambled.split()) == ["большой", "в", "дом", "он", "пришел"]
    assert grammar._scrambled("Он пришел домой", random.Random(0)) is None
