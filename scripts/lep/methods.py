"""The register of methods of Learned Embedding Propagation: which map carries new rows, and what it is fitted on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lep.config import UserError


@dataclass(frozen=True)
class Method:
    """A method of Learned Embedding Propagation: new rows = donor's rows x P, and perhaps what P leaves unexplained.

    With T, the averaging operator, and A = T x base, B = T x instruct:

    - `map`: how P is fitted, a name in `lep.propagation.fit.MAPS`; empty = the identity
    - `rows`: what it is fitted on: `shared` tokens, or the `averaged` rows A and B
    - `keeps_difference`: whether B - A P is added, so that initial rows of the base become those of the instruct model
    - `in_paper`: the paper's methods (section 2.2) are the rows of Tables 3 and 4; others are in Table S1 alone
    """

    title: str
    summary: str
    """sentence in model cards"""
    map: str = ""
    rows: str = ""
    keeps_difference: bool = False
    in_paper: bool = False


METHODS = {
    "swap": Method("Swap", "the donor's rows as they are", in_paper=True),
    "overlap": Method(
        "Overlap", "the donor's rows through a linear map, fitted on the tokens that both vocabularies share",
        "least_squares", "shared", in_paper=True,
    ),
    "conversion": Method(
        "Conversion", "the donor's rows through a linear map, fitted on the averaged rows of base and instruct model",
        "least_squares", "averaged", in_paper=True,
    ),
    "ridge": Method(
        "Ridge", "the donor's rows through a linear map that is drawn towards the identity, fitted as in Conversion",
        "ridge", "averaged",
    ),
    "procrustes": Method(
        "Procrustes", "the donor's rows through an orthogonal map, fitted as in Conversion", "procrustes", "averaged"
    ),
    "scaled_procrustes": Method(
        "Scaled Procrustes", "the donor's rows through an orthogonal map and one factor, fitted as in Conversion",
        "scaled_procrustes", "averaged",
    ),
    "delta": Method(
        "Delta", "the donor's rows and the averaged difference of instruct and base model", keeps_difference=True
    ),
    "delta_ridge": Method(
        "Delta + Ridge", "the averaged rows of the instruct model, and what the donor has learned through Ridge's map",
        "ridge", "averaged", keeps_difference=True,
    ),
    "own": Method("Own map", "the donor's rows through a map of the user", "own", "averaged"),
}  # fmt: skip


@dataclass(frozen=True)
class Control:
    """A model that Table S1 sets beside the propagated ones; the paper has none of them."""

    title: str
    summary: str
    is_made: bool = True
    """whether it is a model of each vocabulary; else it is there anyway"""


CONTROLS = {
    "original": Control("Original", "the instruct model with its own vocabulary, not adapted", is_made=False),
    "donor_body": Control(
        "Donor", "the donor as it is, its body too, under the tokenizer and chat template of the instruct model"
    ),
    "direct": Control(
        "Direct",
        "the instruct model with embeddings that were trained on it, as long as the donor's, without propagation",
    ),
}
COMPARED: dict[str, Method | Control] = METHODS | CONTROLS  # the rows of Table S1
PAPER_METHODS = tuple(name for name, method in METHODS.items() if method.in_paper)
CALIBRATED_METHOD = "conversion"  # calibrations start from the models of this method (paper section 2.4.3)


def split_own(name: str) -> tuple[str, str]:
    """File and function of the user's own map, `path/to/file.py:function`; `UserError` if it is not written so."""
    path, _, function = name.rpartition(":")
    if not path.endswith(".py") or not function.isidentifier():
        raise UserError(f"propagation.own: {name!r} is not a function; write path/to/file.py:function")
    return path, function


def own_map_faults(settings: Mapping, root: Path) -> list[str]:
    """What is wrong with `propagation.own`, if the method `own` is to run."""
    if "own" not in settings["methods"]:
        return []
    try:
        path, _ = split_own(settings["own"])
    except UserError as error:
        return [str(error)]
    return [] if (root / path).is_file() else [f"propagation.own: {path} does not exist"]


def in_paper(methods: Sequence[str]) -> tuple[str, ...]:
    """Those methods that the paper's tables and claims are about."""
    return tuple(method for method in methods if METHODS[method].in_paper)


def parse_controls(values: Sequence[str]) -> tuple[str, ...]:
    """Controls of a run in the order of the register; `UserError` for an unknown one."""
    if unknown := [value for value in values if value not in CONTROLS]:
        raise UserError(f"unknown control {', '.join(unknown)}; use {', '.join(CONTROLS)}")
    return tuple(control for control in CONTROLS if control in values)


def parse_methods(values: Sequence[str]) -> tuple[str, ...]:
    """LEP methods of a run in the order of the register; `UserError` for an unknown one."""
    if unknown := [value for value in values if value not in METHODS]:
        raise UserError(f"unknown LEP method {', '.join(unknown)}; use {', '.join(METHODS)}")
    return tuple(method for method in METHODS if method in values)
