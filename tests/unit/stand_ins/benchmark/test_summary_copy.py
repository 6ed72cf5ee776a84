"""Summaries and copies: oracle labels, lengths, no sentence of the training text."""

from fixtures.miniature import ITEMS, LIMIT, document, read, splits, write
from lep.stand_ins.benchmark.items import Plan, generator
from lep.stand_ins.benchmark.miniature import summary_copy
from lep.stand_ins.benchmark.texts import Texts


def test_treeway_labels_are_the_oracle(made):
    for rows in splits(made, "treeway"):
        for row in rows:
            assert 4 <= len(row["src_sents"]) <= 6
            assert 1 <= len(row["extractive_summary"]) <= 2
            assert row["extractive_summary"] == summary_copy.oracle(row["src_sents"], " ".join(row["summary_sents"]))


def test_oracle_takes_the_sentence_the_summary_was_made_from():
    source = ["Кошка спит.", "Собаки громко лаяли ночью.", "Идет дождь.", "Пора домой."]
    assert summary_copy.oracle(source, "Собака лаяла") == [1]
    assert summary_copy.oracle(source, "Кошка спит, идет дождь") == [0, 2]
    assert summary_copy.oracle(source, "Ничего общего") == []


def test_copies(made):
    for subset in ("cp_sent_en", "cp_para_en", "cp_sent_ru", "cp_para_ru"):
        for rows in splits(made, subset):
            assert all(row["outputs"] == row["inputs"]["text"] and "\n" not in row["outputs"] for row in rows)
    assert all(
        80 <= len(row["outputs"]) <= 120 for task in ("cp_para_ru", "cp_para_en") for row in splits(made, task)[1]
    )
    assert all(25 <= len(row["outputs"]) <= 60 for rows in splits(made, "cp_sent_ru") for row in rows)


def test_a_sentence_that_leaked_into_training_is_not_used(corpus, made, tmp_path):
    leaked = splits(made, "cp_sent_ru")[1][0]["outputs"]
    train = write(
        tmp_path / "train.jsonl", [*read(corpus[0]), document("bible/01/900", "ru", [f"Было так. {leaked.upper()}"])]
    )
    texts = Texts(train, corpus[1])
    rows = summary_copy.copying("ru", "sent")(texts, Plan("cp_sent_ru", ITEMS, LIMIT), generator(42, "cp_sent_ru"))
    assert all(leaked != row["outputs"] for split in rows.values() for row in split)
