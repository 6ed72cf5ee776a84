"""Scores of one answer against examples worked by hand and, where one exists, a library's definition."""

import itertools
import random

import pytest
from darumeru import scoring
from fixtures.words import Words


@pytest.mark.parametrize(
    ("prediction", "answers", "f1", "exact"),
    [
        ("Город Москва!", ["москва", "город москва"], 1.0, 1.0),
        ("the Volga", ["Volga"], 1.0, 1.0),
        ("река Волга", ["Волга"], 2 / 3, 0.0),
        ("", ["Волга"], 0.0, 0.0),
        ("ёлка", ["елка"], 0.0, 0.0),
        ("раз раз", ["раз"], 2 / 3, 0.0),
    ],
)
def test_answer(prediction: str, answers: list[str], f1: float, exact: float) -> None:
    assert scoring.answer_scores(prediction, answers) == pytest.approx({"f1": f1, "exact_match": exact})


@pytest.mark.parametrize(
    ("prediction", "answer", "kind", "task", "points"),
    [
        ("1, 3", "1,3", "choice", "1", 1),
        ("3,1", "1,3", "choice", "1", 1),
        ("1", "1,3", "choice", "1", 0),
        ("1,3,4", "1,3", "choice", "1", 0),
        ("1,1", "1", "choice", "1", 1),
        ("", "1,3", "choice", "1", 0),
        ("1,3", "1,3", "choice", "16", 2),
        ("1", "1,3", "choice", "16", 1),
        ("1,3,4", "1,3", "choice", "16", 1),
        ("1,4,5", "1,3", "choice", "16", 0),
        ("", "1,3", "choice", "16", 0),
        ("1,2 ,3", "1,2,4", "matching", "8", 2),
        ("1,2", "1,2,4", "matching", "8", 0),
        (" Слово.", "слово,словечко", "text", "2", 1),
        ("1) слово", "слово", "text", "2", 1),
        ("слово слово", "слово", "text", "2", 0),
        ("", "слово", "text", "2", 0),
    ],
)
def test_exam_points(prediction: str, answer: str, kind: str, task: str, points: int) -> None:
    assert scoring.exam_points(prediction, answer, kind, task)["points"] == points


def test_rouge_by_hand() -> None:
    """Lemmas: кот читать на печь / кот читать долго; punctuation and case do not count."""
    scores = scoring.rouge("Коты читали, на печи!", "кот читает долго")
    assert scores["rouge1"] == pytest.approx(2 * 2 / (4 + 3))
    assert scores["rouge1_recall"] == pytest.approx(2 / 3)
    assert scores["rouge2"] == pytest.approx(2 * 1 / (3 + 2))
    assert scores["rouge2_recall"] == pytest.approx(1 / 2)
    assert set(scoring.rouge("", "кот").values()) == {0.0}
    assert scoring.rouge("Кот", "кот")["rouge2"] == 0.0


def test_rouge_equals_the_library() -> None:
    scorer_module = pytest.importorskip("rouge_score.rouge_scorer")

    class Lemmas:
        tokenize = staticmethod(scoring.lemmas)

    scorer = scorer_module.RougeScorer(["rouge1", "rouge2"], tokenizer=Lemmas())
    words = ["кот", "спал", "на", "печи", "и", "видел", "сон", "о", "рыбе"]
    rng = random.Random(1)
    for _ in range(30):
        said, right = (" ".join(rng.choices(words, k=rng.randint(1, 12))) for _ in range(2))
        theirs, ours = scorer.score(right, said), scoring.rouge(said, right)
        for name in ("rouge1", "rouge2"):
            assert ours[name] == pytest.approx(theirs[name].fmeasure)
            assert ours[f"{name}_recall"] == pytest.approx(theirs[name].recall)


def test_copy_by_hand() -> None:
    scores = scoring.copy_scores("раз два три", "раз два три четыре", Words(), 100)
    assert scores["length_ratio"] == pytest.approx(3 / 4)
    assert scores["lcs"] == 1.0  # every character of the answer is matched
    assert scores["copied"] == 1.0
    assert scores["lcs_tokens"] == pytest.approx(3 / 4)
    assert scores["symbols_per_token"] == pytest.approx(11 / 4)
    assert scoring.copy_scores("a b c d e f", "a b c", Words(), 2)["length_ratio"] == pytest.approx(2 / 6)
    assert set(scoring.copy_scores("  ", "текст", Words(), 100).values()) == {0.0}
    same = scoring.copy_scores(" ёж 🦔\n", "ёж 🦔", Words(), 100)
    assert (same["length_ratio"], same["lcs"], same["copied"], same["lcs_tokens"]) == (1, 1, 1, 1)


def test_copy_threshold_is_a_share_of_the_answer() -> None:
    text = "абвгдежзик" * 20
    assert scoring.copy_scores(f"{text}яя", text, Words(), 500)["copied"] == 1.0  # 200/202 = 0.9901
    assert scoring.copy_scores(f"{text}яяя", text, Words(), 500)["copied"] == 0.0  # 200/203 = 0.985


def test_token_count_has_one_leading_space() -> None:
    plain, piece = Words(), Words(piece=True)
    scoring.token_ids(plain, "кот")
    scoring.token_ids(piece, "кот")
    assert (plain.seen, piece.seen) == (" кот", "кот")


def test_common_subsequence_equals_brute_force() -> None:
    rng = random.Random(2)
    for _ in range(50):
        a, b = ([rng.randint(0, 3) for _ in range(rng.randint(0, 7))] for _ in range(2))
        subsequences = {s for n in range(len(a) + 1) for s in itertools.combinations(a, n)}
        best = max(n for n in range(len(b) + 1) for s in itertools.combinations(b, n) if s in subsequences)
        assert scoring.common_subsequence(a, b) == best


def test_r_precision_takes_the_earlier_of_equals() -> None:
    assert scoring.r_precision([-1.0, -1.0, -2.0], [0]) == (1.0, [0])
    assert scoring.r_precision([-1.0, -1.0, -2.0], [1]) == (0.0, [0])
    assert scoring.r_precision([-3.0, -1.0, -2.0], [0, 2]) == (0.5, [1, 2])
