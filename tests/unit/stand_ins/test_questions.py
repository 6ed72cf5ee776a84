"""Questions that the stand-ins are trained on: the text contains the answer, labels are right."""

import re

import pytest
from fixtures.checkout import ROOT
from fixtures.stand_ins import languages, pool, questions
from lep.stand_ins.choices import LEADS, LETTERS, split_words
from lep.stand_ins.kinds import KINDS
from lep.stand_ins.questions import MAKERS, PREPOSITIONS, YES_NO, _negated
from lep.stand_ins.text_pool import split_clauses
from lep.stand_ins.wordings import WORDINGS
from lep.workflow.schema import SCHEMA, load_schema

LETTERED = ("named", "next", "ending", "pairs", "gap")


def parts(user: str, assistant: str, language: str) -> tuple[str, list[str], int]:
    """Question, options and the place of the right one of a question with letters."""
    *asked, a, b, c, d = user.split("\n")
    options = [line.removeprefix(f"{letter}. ") for letter, line in zip(LETTERS, (a, b, c, d), strict=True)]
    assert [line[:3] for line in (a, b, c, d)] == [f"{letter}. " for letter in LETTERS]
    return "\n".join(asked), options, LETTERS.index(assistant.removeprefix(f"{LEADS[language]} "))


def test_every_kind_has_a_maker_a_share_and_wordings_in_both_languages() -> None:
    assert set(KINDS) == set(MAKERS)
    assert sum(KINDS.values()) == pytest.approx(1)
    assert load_schema(ROOT / SCHEMA)["$defs"]["kind"]["enum"] == list(KINDS)
    assert all(set(wordings) == set(MAKERS) for wordings in WORDINGS.values())


@languages
@pytest.mark.parametrize("kind", LETTERED)
def test_the_right_option_stands_in_the_text_and_few_others_do(language: str, kind: str) -> None:
    places, inside = set(), 0
    for user, assistant in questions(language, kind):
        asked, options, right = parts(user, assistant, language)
        assert options[right] in asked
        assert len(set(options)) == 4
        inside += sum(option in asked for option in options) - 1
        places.add(right)
    assert places == {0, 1, 2, 3}
    assert inside <= 320, "at most one wrong option of the text, and only where the question names the right one"


@languages
def test_neighbours_and_pairs(language: str) -> None:
    for user, assistant in questions(language, "next"):
        asked, options, right = parts(user, assistant, language)
        assert any(f"{word} {options[right]}" in asked for word in re.findall(r"\w+", asked))
    for user, assistant in questions(language, "pairs"):
        asked, options, right = parts(user, assistant, language)
        keys = re.findall(rf"([^;:]+?) - {re.escape(options[right])}", asked)
        assert any(asked.count(key.strip().removeprefix("List").removeprefix("Список")) > 1 for key in keys)


@languages
def test_the_gap_is_filled_by_the_right_word(language: str) -> None:
    for user, assistant in questions(language, "gap"):
        asked, options, right = parts(user, assistant, language)
        clause = asked.rpartition(": ")[2]
        assert " ".join(clause.replace("___", options[right]).split()) in " ".join(asked.split())


@languages
def test_statements_are_of_the_text_negated_or_foreign(language: str) -> None:
    texts = {clause.casefold() for text in pool(language).texts for clause in split_clauses(text)}
    counts = dict.fromkeys("123", 0)
    denial = "не" if language == "ru" else "not"
    for user, assistant in questions(language, "entailment", count=600):
        label = assistant[-1]
        counts[label] += 1
        if label == "2":
            assert denial in user.casefold().split()
    assert min(counts.values()) > 150
    for user, assistant in questions(language, "cause"):
        text, one, two = user.rsplit("\n", 2)
        held = {"1": one, "2": two}[assistant[-1]][3:]
        assert held.casefold() in text.casefold()
        assert held.casefold() in texts


@pytest.mark.parametrize(
    ("clause", "language", "denied"),
    [
        ("he was in the house", "en", "he was not in the house"),
        ("they shall not go", "en", None),
        ("он сказал им", "ru", "он не сказал им"),
        ("он не сказал им", "ru", None),
        ("дом его", "ru", None),
    ],
)
def test_negation(clause: str, language: str, denied: str | None) -> None:
    assert _negated(clause, language) == denied


@languages
def test_yes_is_a_word_of_the_text(language: str) -> None:
    yes, no = YES_NO[language]
    answers = [assistant.split()[-1] for _, assistant in questions(language, "refers")]
    assert {*answers} == {yes, no}
    assert 100 < answers.count(yes) < 200


@languages
def test_a_badly_built_sentence_ends_with_a_preposition(language: str) -> None:
    built = {True: 0, False: 0}
    for user, assistant in questions(language, "order"):
        ends = any(f" {word}." in user for word in PREPOSITIONS[language])
        assert ends == (assistant[-1] == "0")
        built[ends] += 1
    assert min(built.values()) > 100


@languages
def test_short_answers_are_words_and_numbers_of_the_question(language: str) -> None:
    for user, assistant in questions(language, "following", "exam_last", "exam_first"):
        answer = assistant.removeprefix(f"{LEADS[language]} ")
        assert answer.casefold() in user.casefold()
    for user, assistant in questions(language, "exam_number"):
        word = re.search(r"(?:word|слово|словом) ([^\s:?]+)", user)[1]
        rows = dict(re.findall(r"(\d)\) ([^)]+?)(?= \d\)|$)", user))
        assert [number for number, row in rows.items() if word in row] == [assistant[-1]]
    for user, assistant in questions(language, "exam_matching"):
        rows = re.findall(r"[A-EА-Д]\) (\S+)", user)
        options = dict(re.findall(r"(\d)\) (\S+)", user))
        assert rows == [options[number] for number in assistant.removeprefix(f"{LEADS[language]} ").split(",")]


@languages
def test_copies_and_summaries_come_from_the_text(language: str) -> None:
    for user, assistant in questions(language, "copy"):
        assert user.endswith(assistant)
        assert user != assistant
    for user, assistant in questions(language, "summary", "important"):
        first, _, others = user.rpartition("\n")[2].partition(". ")
        assert first.endswith(assistant.partition(": ")[2].rstrip("."))
        assert others.count(".") >= 2


@languages
def test_questions_follow_the_seed(language: str) -> None:
    assert questions(language) == questions(language)
    assert len(set(questions(language))) > 290


@languages
def test_pools_are_of_one_language_and_hold_no_placeholder(language: str) -> None:
    material = pool(language)
    assert material.language == language
    assert not any("{" in text or "\n" in text for text in (*material.lines, *material.texts))
    assert all(word in {*split_words(" ".join(material.texts))} for word in material.words[:50])
