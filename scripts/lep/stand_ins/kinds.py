"""The kinds of questions that the stand-ins are trained on, and their shares."""

from collections.abc import Mapping

KINDS: Mapping[str, float] = {
    "copy": 0.19, "named": 0.12, "next": 0.07, "ending": 0.06, "pairs": 0.08, "gap": 0.04, "cause": 0.07,
    "entailment": 0.08, "refers": 0.06, "order": 0.04, "following": 0.05, "exam_last": 0.015, "exam_first": 0.015,
    "exam_number": 0.02, "exam_matching": 0.03, "summary": 0.03, "important": 0.03,
}  # fmt: skip


def mixture(factors: Mapping[str, float]) -> list[str]:
    """Kinds to draw from, each as often as its share of `KINDS` times its factor (1 where none is given)."""
    return [kind for kind, share in KINDS.items() for _ in range(round(1000 * share * factors.get(kind, 1)))]
