"""Data of the stand-ins: instructions with right answers, repeats without targets at first."""

import numpy as np
import pytest
from fixtures.stand_ins import languages, pool, questions
from lep.stand_ins import model_data
from lep.stand_ins.choices import LEADS, LETTERS
from lep.stand_ins.model_data import KINDS, random_repeats


def only(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_data, "KINDS", {kind: 1.0})


def parts(user: str, assistant: str, language: str) -> tuple[str, list[str], int]:
    """Question, options and the place of the right one of a question with letters."""
    *question, a, b, c, d = user.split("\n")
    options = [line.removeprefix(f"{letter}. ") for letter, line in zip(LETTERS, (a, b, c, d), strict=True)]
    assert [line[:3] for line in (a, b, c, d)] == [f"{letter}. " for letter in LETTERS]
    assert assistant.startswith(f"{LEADS[language]} ")
    return "\n".join(question), options, LETTERS.index(assistant.removeprefix(f"{LEADS[language]} "))


def has_word(text: str, word: str) -> bool:
    return word.casefold() in [part.strip(".,:;!?«»\"'()-—").casefold() for part in text.split()]


@languages
def test_contains_only_the_right_option_holds_the_word(monkeypatch: pytest.MonkeyPatch, language: str) -> None:
    only("contains", monkeypatch)
    places = []
    for user, assistant in questions(language):
        question, options, right = parts(user, assistant, language)
        word = question[question.rindex("«") + 1 : question.rindex("»")]
        assert [has_word(option, word) for option in options] == [index == right for index in range(4)]
        places.append(right)
    assert set(places) == {0, 1, 2, 3}


@languages
def test_gap_the_right_option_fills_it(monkeypatch: pytest.MonkeyPatch, language: str) -> None:
    only("gap", monkeypatch)
    starts = tuple({" ".join(line.split()[:14]) for line in pool(language).lines})
    wrong = []
    for user, assistant in questions(language):
        question, options, right = parts(user, assistant, language)
        assert question.count("___") == 1
        assert question.replace("___", options[right]).endswith(starts)
        wrong += [question.replace("___", option).endswith(starts) for i, option in enumerate(options) if i != right]
    assert sum(wrong) < 0.02 * len(wrong), "other options hardly ever fill it"


@languages
def test_next_word_follows_the_named_one(monkeypatch: pytest.MonkeyPatch, language: str) -> None:
    only("next_word", monkeypatch)
    for user, assistant in questions(language):
        text, question = user.split("\n")
        word = question[question.rindex("«") + 1 : question.rindex("»")]
        words = text.split()
        assert words.count(word) == 1
        assert has_word(words[words.index(word) + 1], assistant.removeprefix(f"{LEADS[language]} "))


@languages
def test_copy_continue_and_title_come_from_the_text(monkeypatch: pytest.MonkeyPatch, language: str) -> None:
    only("copy", monkeypatch)
    assert all(user.endswith(assistant) and user != assistant for user, assistant in questions(language))
    only("continue", monkeypatch)
    lines = tuple(" ".join(line.split()) for line in pool(language).lines)
    assert all(f"{user} {assistant}".endswith(lines) for user, assistant in questions(language))
    only("title", monkeypatch)
    titled = {(f"TL;DR: {title}", text) for title, text in pool(language).titled}
    assert all((assistant, user.split("\n", 1)[1]) in titled for user, assistant in questions(language))


def test_kinds_are_drawn_with_their_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    assert sum(KINDS.values()) == pytest.approx(1)
    drawn: list[str] = []
    for kind in KINDS:
        monkeypatch.setattr(model_data, f"_{kind}", lambda *_, kind=kind: drawn.append(kind) or ("", ""))
    questions("ru", 2000)
    assert {kind: drawn.count(kind) / 2000 for kind in KINDS} == pytest.approx(KINDS, abs=0.04)


def test_instructions_follow_the_seed() -> None:
    assert questions("ru", 50) == questions("ru", 50)
    assert len(set(questions("ru", 50))) > 45


@pytest.mark.parametrize("length", [20, 100, 257])
def test_random_repeats(length: int) -> None:
    """Each sequence stands at least twice in a row; only the first time of drawn tokens is no target."""
    rng = np.random.default_rng(0)
    stream, starts = np.arange(1000), np.arange(0, 1000, 20)
    lines = 0
    for _ in range(50):
        ids, labels = random_repeats(length, stream, starts, rng)
        assert ids.shape == labels.shape == (length,)
        assert ((labels == ids) | (labels == -100)).all()
        sizes = range(8, min(max(20, length // 3), length // 2) + 1)
        assert any((ids[:size] == ids[size : 2 * size]).all() for size in sizes) or length < 40
        is_line = (np.diff(ids[:8]) == 1).all()
        assert (labels[:8] == (ids[:8] if is_line else -100)).all()
        lines += is_line
    assert 10 < lines < 40
