"""What a run shows and what it cannot, counted from its scores and claims, for the abstract."""

from collections.abc import Sequence
from statistics import median

from lep.names import MICRO, TASKS, Family
from lep.report.claim_list import KINDS
from lep.report.claims import UNDECIDED
from lep.report.markup import number, signed
from lep.report.scores import Scores


def tell(families: Sequence[Family], scores: Scores, claims: Sequence[dict[str, str]]) -> dict:
    """Facts of the three sentences.

    - `tasks`, `tasks_above`: scores of single tasks, of all models, and how many of them are above chance
    - `models`, `models_above`: models, and those whose Micro-Avg is above chance
    - `originals`: of each family the tasks that its original instruct model does above chance
    - `kinds`: of each kind of claims the differences that differ from zero, all, and the least and the largest one
    - `undecided`, `claims`, `half`: undecided claims on scores, all of these, and half their median width of interval
    """
    cells = [model[task] for model in scores.entries.values() for task in TASKS if task in model]
    averages = [model[MICRO] for model in scores.entries.values() if MICRO in model]
    compared = [claim for claim in claims if claim["low"]]
    halves = [(float(claim["high"]) - float(claim["low"])) / 2 for claim in compared]
    return {
        "tasks": str(len(cells)), "tasks_above": str(sum(score.above_chance for score in cells)),
        "models": str(len(averages)), "models_above": str(sum(score.above_chance for score in averages)),
        "originals": [{"title": one.shown("instruct"), "above": _tasks_above(one, scores)} for one in families],
        "kinds": [_kind(name, compared) for name in KINDS if _of_kind(name, compared)],
        "undecided": str(sum(claim["verdict"] == UNDECIDED for claim in compared)), "claims": str(len(compared)),
        "half": number(median(halves)) if halves else "",
    }  # fmt: skip


def _tasks_above(family: Family, scores: Scores) -> str:
    return str(sum(scores.need(family.instruct, task).above_chance for task in TASKS))


def _of_kind(name: str, claims: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    return [claim for claim in claims if claim["id"].split("/")[0] in KINDS[name].parts]


def _kind(name: str, claims: Sequence[dict[str, str]]) -> dict[str, str]:
    found = _of_kind(name, claims)
    differing = [claim for claim in found if float(claim["low"]) > 0 or float(claim["high"]) < 0]
    values = sorted(float(claim["ours"]) for claim in found)
    return {
        "name": name, "title": KINDS[name].title, "claims": str(len(found)), "differing": str(len(differing)),
        "least": signed(values[0]), "largest": signed(values[-1]),
    }  # fmt: skip
