"""Texts: what counts as seen, clauses and sentences, bad files."""

import pytest
from fixtures.miniature import document, made_of, write
from lep.config import UserError
from lep.stand_ins.benchmark.texts import Seen, Texts, clauses, excerpt, sentences


def test_seen_finds_words_in_a_row_but_not_across_paragraphs():
    seen = Seen(["И был вечер, и было утро: день один.", "Ещё слово."])
    assert seen.contains("БЫЛО утро - день")
    assert not seen.contains("день один еще")
    assert not seen.contains("утро было")
    assert seen.count(["и"], at_most=9) == 2
    assert seen.contains("еще слово")


def test_a_run_of_eight_words_counts_as_seen():
    seen = Seen(["раз два три четыре пять шесть семь восемь девять"])
    assert seen.overlaps("Ноль, раз два три четыре пять шесть семь восемь!")
    assert not seen.overlaps("Ноль, раз два три четыре пять шесть семь!")
    assert seen.overlaps("Совсем другое дело. Раз два.")


def test_excerpt_takes_whole_clauses_around_a_word():
    text = "Первое дело, второе дело; третье дело."
    start = text.index("второе")
    assert excerpt(text, start, start + 6, 12) == "второе дело"
    assert excerpt(text, start, start + 6, 30) == "Первое дело, второе дело"
    assert excerpt(text, start, start + 6, 5) is None
    assert excerpt("он сказал: «иди, и смотри", 0, 2, 40) is None


def test_clauses_and_sentences():
    assert clauses("И сказал Бог: да будет свет. И стал свет.") == ["И сказал Бог", "да будет свет", "И стал свет"]
    assert sentences("Кто там? спросил он. «Я», - был ответ.") == ["Кто там? спросил он.", "«Я», - был ответ."]


def test_other_sources_are_left_out_but_count_as_seen(tmp_path):
    other = document("news/1", "ru", ["Сегодня было ясно."], source="news")
    texts = made_of([other], [document("bible/01/002", "ru", ["Сегодня было ясно.", "Завтра будет дождь."])])
    assert [p.text for p in texts.held_out] == ["Завтра будет дождь."]


def test_missing_and_empty_files(corpus, tmp_path):
    with pytest.raises(UserError, match="does not exist; build the corpus first"):
        Texts(corpus[0], tmp_path / "none.jsonl")
    with pytest.raises(UserError, match="has no document"):
        Texts(corpus[0], write(tmp_path / "empty.jsonl", []))
