"""Scores of one answer: F1 and exact match, exam points, ROUGE on lemmas, copying, R-precision."""

import re
import string
from collections import Counter
from collections.abc import Sequence
from difflib import SequenceMatcher
from functools import cache

COPIED = 0.99  # share of matched characters that makes a paragraph count as copied
_ASCII = re.compile(f"[{re.escape(string.punctuation)}]")  # punctuation that the authors' code removes
_TYPOGRAPHIC = re.compile(f"[{re.escape(string.punctuation)}«»„“”–—…]")


def answer_scores(prediction: str, answers: Sequence[str]) -> dict[str, float]:
    """Word F1 and exact match after SQuAD's normalisation; each is the maximum over the right answers."""
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
    """Points of one exam answer (USE): `points` as in the authors' code, and `points_by_count`.

    - `matching`: a point per right position; 0 if the number of positions differs.
    - `text`: 1 if the answer is one of the right words. Digits, blanks and punctuation are removed from the answer
      first, but not underscores: `_день_` is not `день`.
    - `choice`: 1 if the numbers are right. `points` compares sets, so `3,3` equals `3`; in `points_by_count` a repeated
      number is wrong.
    - task 16: a point per right number, minus the surplus numbers; missing numbers count as wrong ones, as in MERA.

    Case and blanks around commas are ignored in answer and gold. Nothing else is removed from the gold of `text`, so a
    gold answer of two words never matches. The authors' code ignores case and blanks in the answer only: there, a gold
    answer with a capital or such a blank never matches.
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
    """ROUGE-1 and ROUGE-2 on lemmas: F-measure (as in the authors' code) and recall (as in the paper's text).

    `rouge1_typographic` and `rouge2_typographic` are F-measures after removal of « » „ “ ” – — … as well; the authors'
    code leaves these in the words.
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
    """(F-measure, recall) of n-grams."""
    grams = [Counter(zip(*(words[i:] for i in range(n)), strict=False)) for words in (said, right)]
    sizes = [sum(counter.values()) for counter in grams]
    common = sum((grams[0] & grams[1]).values())
    return (2 * common / sum(sizes), common / sizes[1]) if common else (0.0, 0.0)


def lemmas(text: str, punctuation: re.Pattern = _ASCII) -> list[str]:
    """Lemmas of the words of a text, in lower case; punctuation separates words."""
    return [_lemma(word) for word in punctuation.sub(" ", text.lower()).split()]


@cache
def _analyzer():
    from pymorphy3 import MorphAnalyzer

    return MorphAnalyzer()


@cache
def _lemma(word: str) -> str:
    return _analyzer().parse(word)[0].normal_form


def r_precision(scores: Sequence[float], gold: Sequence[int]) -> tuple[float, list[int]]:
    """(R-precision, indices of the R best sentences), R being the number of right ones; ties go to the earlier one."""
    best = sorted(range(len(scores)), key=lambda index: (-scores[index], index))[: len(set(gold))]
    return len(set(best) & set(gold)) / len(set(gold)), sorted(best)


def copy_scores(
    prediction: str, reference: str, tokenizer: object, max_tokens: int, stop: str = ""
) -> dict[str, float]:
    """Measures of copying; all are 0 for an empty answer.

    - `length_ratio`: smaller over larger token count of answer and reference. The answer counts as generated
      (`generated_length`, as in the authors' code), the reference up to `max_tokens`.
    - `length_ratio_text`: the same with the tokens of the answer's text
    - `lcs`: share of the answer's characters in matching blocks (as in the authors' code)
    - `copied`: 1 if `lcs` is at least 0.99
    - `lcs_tokens`: longest common subsequence of tokens over the length of the reference (as in the paper's text)
    - `symbols_per_token`: of the answer
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
    """Number of tokens that a model generated for an answer, without the token that contains the stop string.

    - A model with few-shot examples writes an empty line after its answer. The harness returns text only, so the answer
      and this line are encoded together again.
    - If the vocabulary has one token for `.` and the line ends (Llama 3), the full stop is lost with it.
    - No token is lost if `stop` is empty (chat models end their turn with a special token), or if the answer was cut at
      `max_tokens`.
    """
    ids = token_ids(tokenizer, answer)
    if ids and stop and len(ids) < max_tokens:
        ids = token_ids(tokenizer, answer + 2 * stop)
        while stop in tokenizer.decode(ids):
            ids.pop()
    return len(ids)


def token_ids(tokenizer: object, text: str) -> list[int]:
    """Token ids of a text in the middle of a line: with a leading space, unless the tokenizer adds one itself."""
    if not text:
        return []
    spaced = text if tokenizer.tokenize("a")[0].startswith("▁") else f" {text}"
    return tokenizer.encode(spaced, add_special_tokens=False)


def matched_characters(prediction: str, reference: str) -> int:
    """Number of characters in difflib's matching blocks, without its heuristic for frequent characters."""
    if prediction == reference:
        return len(prediction)
    blocks = SequenceMatcher(None, prediction, reference, autojunk=False).get_matching_blocks()
    return sum(block.size for block in blocks)


def common_subsequence(first: Sequence[int], second: Sequence[int]) -> int:
    """Length of the longest common subsequence, by bit-parallel rows in big integers (Hyyrö, 2004)."""
    places: dict[int, int] = {}
    for index, element in enumerate(first):
        places[element] = places.get(element, 0) | 1 << index
    row = mask = (1 << len(first)) - 1
    for element in second:
        matches = row & places.get(element, 0)
        row = ((row + matches) | (row - matches)) & mask
    return (row ^ mask).bit_count()
