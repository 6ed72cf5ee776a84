"""What one answer is worth: F1 and exact match, exam points, ROUGE on lemmas, copying, R-precision."""

import re
import string
from collections import Counter
from collections.abc import Sequence
from difflib import SequenceMatcher
from functools import cache

COPIED = 0.99  # share of matched characters from which a paragraph counts as copied
_ASCII = re.compile(f"[{re.escape(string.punctuation)}]")  # the punctuation that the authors' code strips
_TYPOGRAPHIC = re.compile(f"[{re.escape(string.punctuation)}«»„“”–—…]")


def answer_scores(prediction: str, answers: Sequence[str]) -> dict[str, float]:
    """Word F1 and exact match after SQuAD's normalisation, each the best over the right answers."""
    said = _squad_words(prediction)
    right = [_squad_words(answer) for answer in answers]
    return {
        "f1": max(_f1(said, answer) for answer in right),
        "exact_match": float(any(said == answer for answer in right)),
    }


def _squad_words(text: str) -> list[str]:
    """Lower case, no ASCII punctuation, no English articles."""
    kept = "".join(character for character in text.lower() if character not in string.punctuation)
    return re.sub(r"\b(a|an|the)\b", " ", kept).split()


def _f1(said: list[str], right: list[str]) -> float:
    if not said or not right:
        return float(said == right)
    return 2 * sum((Counter(said) & Counter(right)).values()) / (len(said) + len(right))


def exam_points(prediction: str, answer: str, kind: str, task: str) -> dict[str, int]:
    """Points of one exam answer (USE): `points` as the authors' code gives them, and `points_by_count`.

    `matching`: right positions, none if the count differs. `text`: one point if the answer, in lower case and without
    digits, blanks and punctuation, is among the right words (an underscore is neither: `_день_` is not `день`).
    `choice`: one point for the right numbers, compared as sets: `3,3` passes for `3`. In `points_by_count` a number
    said twice is one too many. Task 16 gives a point for each right number less the surplus ones (a short answer
    counts as filled up with wrong numbers, as in MERA).

    Blanks around commas and capitals are forgiven on both sides, answer and gold; what else is dropped from a `text`
    answer stays in the gold one, so a gold answer of two words cannot be met. The authors' code forgives the answer
    alone: a gold answer with such a blank or a capital cannot be met there.
    """
    right, said = _parts(answer), _parts(prediction)
    if kind == "text":
        points = int(re.sub(r"[\d\W]", "", prediction).lower() in right)
    elif kind == "matching":
        points = sum(a == b for a, b in zip(said, right, strict=True)) if len(said) == len(right) else 0
    elif task == "16":
        points = max(0, len(set(said) & set(right)) - max(len(said), len(right)) + len(right))
    else:
        points = int(set(said) == set(right))
    by_count = int(sorted(said) == sorted(right)) if kind == "choice" and task != "16" else points
    return {"points": points, "points_by_count": by_count}


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.strip().lower().split(",")]


def rouge(prediction: str, reference: str) -> dict[str, float]:
    """ROUGE-1 and -2 on lemmas: F-measure (the authors' code) and recall (the paper's text).

    `rouge1_typographic` and `rouge2_typographic` are the F-measure where « » „ “ ” – — … are stripped too; elsewhere
    they stay part of the word, as in the authors' code.
    """
    result = {}
    for suffix, punctuation in (("", _ASCII), ("_typographic", _TYPOGRAPHIC)):
        said, right = lemmas(prediction, punctuation), lemmas(reference, punctuation)
        for n in (1, 2):
            f_measure, recall = _overlap(said, right, n)
            result[f"rouge{n}{suffix}"] = f_measure
            if not suffix:
                result[f"rouge{n}_recall"] = recall
    return result


def _overlap(said: Sequence[str], right: Sequence[str], n: int) -> tuple[float, float]:
    """F-measure and recall of n-grams."""
    grams = [Counter(zip(*(words[i:] for i in range(n)), strict=False)) for words in (said, right)]
    sizes = [sum(counter.values()) for counter in grams]
    common = sum((grams[0] & grams[1]).values())
    return (2 * common / sum(sizes), common / sizes[1]) if common else (0.0, 0.0)


def lemmas(text: str, punctuation: re.Pattern = _ASCII) -> list[str]:
    """Lemmas of the words of a text: lower case, punctuation as spaces."""
    return [_lemma(word) for word in punctuation.sub(" ", text.lower()).split()]


@cache
def _analyzer():
    from pymorphy3 import MorphAnalyzer

    return MorphAnalyzer()


@cache
def _lemma(word: str) -> str:
    return _analyzer().parse(word)[0].normal_form


def r_precision(scores: Sequence[float], gold: Sequence[int]) -> tuple[float, list[int]]:
    """Share of the R right sentences among the R best scored, and those R; of equal scores the earlier is taken."""
    best = sorted(range(len(scores)), key=lambda index: (-scores[index], index))[: len(set(gold))]
    return len(set(best) & set(gold)) / len(set(gold)), sorted(best)


def copy_scores(
    prediction: str, reference: str, tokenizer: object, max_tokens: int, stop: str = ""
) -> dict[str, float]:
    """How well a text was copied; everything is 0 for an empty answer.

    `length_ratio` compares token counts, that of the answer as generated (`generated_length`, the authors' code) and
    that of the reference cut at `max_tokens`; `length_ratio_text` takes the tokens of the answer's text instead.
    `lcs` is the share of the answer's characters in matching blocks (the authors' code), `copied` whether it reaches
    0.99; `lcs_tokens` is the longest common subsequence of tokens over the reference's length (the paper's text).
    """
    prediction, reference = prediction.strip(), reference.strip()
    said, right = token_ids(tokenizer, prediction), token_ids(tokenizer, reference)
    generated, wanted = generated_length(prediction, tokenizer, max_tokens, stop), min(len(right), max_tokens)
    lcs = matched_characters(prediction, reference) / len(prediction) if prediction else 0.0
    return {
        "length_ratio": _smaller_share(generated, wanted),
        "length_ratio_text": _smaller_share(len(said), wanted),
        "lcs": lcs,
        "copied": float(lcs >= COPIED),
        "lcs_tokens": common_subsequence(said, right) / len(right) if prediction else 0.0,
        "symbols_per_token": len(prediction) / (1 + len(said)),
    }


def _smaller_share(one: int, other: int) -> float:
    return min(one, other) / max(one, other) if one and other else 0.0


def generated_length(answer: str, tokenizer: object, max_tokens: int, stop: str) -> int:
    """Tokens that a model generates for an answer, without the whole token that holds the stop string.

    A model that was shown examples writes an empty line behind its answer. The harness hands over text alone, whatever
    computes it, so both are encoded together: where a vocabulary has one token for `.` and the line ends (Llama 3),
    the full stop goes with them. Nothing is lost where no stop string is set (`stop` empty: chat models end their
    turn with a token of its own) or the answer was cut at `max_tokens`.
    """
    ids = token_ids(tokenizer, answer)
    if ids and stop and len(ids) < max_tokens:
        ids = token_ids(tokenizer, answer + 2 * stop)
        while stop in tokenizer.decode(ids):
            ids.pop()
    return len(ids)


def token_ids(tokenizer: object, text: str) -> list[int]:
    """Tokens of a text as it follows a word: with a leading space, unless the tokenizer writes one itself."""
    if not text:
        return []
    spaced = text if tokenizer.tokenize("a")[0].startswith("▁") else f" {text}"
    return tokenizer.encode(spaced, add_special_tokens=False)


def matched_characters(prediction: str, reference: str) -> int:
    """Characters in difflib's matching blocks, without its heuristic for frequent characters."""
    if prediction == reference:
        return len(prediction)
    blocks = SequenceMatcher(None, prediction, reference, autojunk=False).get_matching_blocks()
    return sum(block.size for block in blocks)


def common_subsequence(first: Sequence[int], second: Sequence[int]) -> int:
    """Length of the longest common subsequence; one big-integer row per element (Hyyrö, 2004)."""
    places: dict[int, int] = {}
    for index, element in enumerate(first):
        places[element] = places.get(element, 0) | 1 << index
    row = mask = (1 << len(first)) - 1
    for element in second:
        matches = row & places.get(element, 0)
        row = ((row + matches) | (row - matches)) & mask
    return (row ^ mask).bit_count()
