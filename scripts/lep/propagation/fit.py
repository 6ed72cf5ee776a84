"""The maps that LEP can carry new rows through: each a function from sums over the fitted rows to P, (d, d).

`MAPS` is the register: a map gives P for all rows, P for the rows that are not held out, and facts of its own.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from lep.config import UserError
from lep.propagation.least_squares import fit_least_squares
from lep.propagation.moments import Moments, Problem
from lep.propagation.own import call_own, load_own

# Strengths of `ridge` that are tried, times the mean squared singular value of A.
PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)

# Maps that are orthogonal but for a factor, which makes their residual cheap.
_TURNS = ("procrustes", "scaled_procrustes")

Solution = tuple[torch.Tensor, torch.Tensor, dict[str, float | int | None]]


@dataclass(frozen=True, eq=False)
class Fit:
    """A fitted P, and how good it is. A residual is |A P - B| / |B|."""

    projection: torch.Tensor  # P, (d, d), float64
    rows: int  # of A
    residual: float  # on all rows
    heldout_residual: float | None  # on a random fifth of the rows, for a P fitted on the others; None = too few rows
    identity_residual: float | None  # on that fifth, for P = identity; None = too few rows
    found: dict[str, float | int | None] = field(default_factory=dict)  # facts of the map, such as rank and penalty

    def facts(self, prefix: str) -> dict[str, float | int | None]:
        """The numbers as {`prefix`_name: value}, with six digits."""
        values = {name: getattr(self, name) for name in ("residual", "heldout_residual", "identity_residual")}
        values |= self.found | {"rows": self.rows}
        return {f"{prefix}_{k}": six_digits(v) if isinstance(v, float) else v for k, v in values.items()}


@dataclass(frozen=True)
class MapSettings:
    """What the configuration says about maps."""

    penalty: float | None = None
    """strength of `ridge`, times the mean squared singular value of A; None = the best on held-out rows"""
    own: str = ""
    """the map `own`, as path/to/file.py:function"""

    def __post_init__(self) -> None:
        if self.penalty is not None and not 0 <= self.penalty < math.inf:
            raise UserError(f"the penalty of ridge is {self.penalty:g}; give a number from 0 on, or none to choose it")


def six_digits(value: float) -> float:
    """Round to the digits that are recorded; further digits differ between machines."""
    return float(f"{value:.6g}")


def fit_map(name: str, problem: Problem, settings: MapSettings) -> Fit:
    """Fit the map `name` of `MAPS` on all rows; a second fit, without the held-out rows, is measured on them.

    Raises `UserError` for an own map that cannot be used.
    """
    projection, partial, found = MAPS[name](problem, settings)
    held, whole, turns = problem.held, problem.whole, name in _TURNS
    heldout, unchanged = (held.residual(partial, turns), held.residual(None)) if held else (None, None)
    return Fit(projection, whole.rows, whole.residual(projection, turns), heldout, unchanged, found)


def _least_squares(problem: Problem, settings: MapSettings) -> Solution:
    """Argmin |A P - B|."""
    return fit_least_squares(problem)


def _ridge(problem: Problem, settings: MapSettings) -> Solution:
    """Argmin |A P - B|^2 + l |P - I|^2: towards the identity, which is what little data should leave.

    l is the penalty times the mean squared singular value of A. Without a given one, the penalty with the least
    residual on the held-out rows is taken; an infinite one, P = I, competes too.
    """
    penalty = _best_penalty(problem) if settings.penalty is None else settings.penalty
    whole, partial = (_towards_identity(part, penalty) for part in (problem.whole, problem.train))
    return whole, partial, {"penalty": penalty if math.isfinite(penalty) else None}


def _best_penalty(problem: Problem) -> float:
    """The penalty with the least residual on the held-out rows; infinite if all are worse than P = I.

    One eigendecomposition A'A = V S V' of the other rows serves all penalties: P = I + V D W, with the diagonal
    D = (S + l I)^-1 and W = V'(A'B - A'A). On the held-out rows with the sums G and C, |A P - B|^2 exceeds |A - B|^2 by
    sum(D W * V'GV D W) + 2 sum(D W * V'(G - C)), which needs no product of matrices that depends on l.
    """
    if not problem.held:
        return math.inf
    gram, cross = problem.held.gram, problem.held.cross
    values, vectors = torch.linalg.eigh(problem.train.gram)
    w = vectors.T @ (problem.train.cross - problem.train.gram)
    square = (vectors.T @ gram @ vectors) * (w @ w.T)
    line = (w * (vectors.T @ (gram - cross))).sum(dim=1)
    changes = {math.inf: 0.0}
    for penalty in PENALTIES:
        d = 1 / (values + penalty * values.mean())
        changes[penalty] = float(d @ square @ d + 2 * d @ line)
    return min(changes, key=changes.get)


def _towards_identity(moments: Moments, penalty: float) -> torch.Tensor:
    """P = I + (A'A + l I)^-1 (A'B - A'A)."""
    unit = torch.eye(len(moments.gram), dtype=torch.float64, device=moments.gram.device)
    if math.isinf(penalty):
        return unit
    strength = penalty * float(moments.gram.trace()) / len(unit)
    lower, failed = torch.linalg.cholesky_ex(moments.gram + strength * unit)
    if int(failed):
        raise UserError(
            f"ridge: with the penalty {penalty:g} the {moments.rows} rows do not determine the map; "
            "use a larger propagation.ridge_penalty, or null"
        )
    return unit + torch.cholesky_solve(moments.cross - moments.gram, lower)


def _procrustes(problem: Problem, settings: MapSettings) -> Solution:
    """Argmin |A P - B| over orthogonal P: lengths and angles of rows stay (Schoenemann 1966)."""
    return problem.whole.rotation, problem.train.rotation, {}


def _scaled_procrustes(problem: Problem, settings: MapSettings) -> Solution:
    """Argmin |A s P - B| over orthogonal P and numbers s."""
    parts = []
    for moments in (problem.whole, problem.train):
        parts.append((moments.rotation, float((moments.rotation * moments.cross).sum() / moments.gram.trace())))
    (whole, scale), (partial, other) = parts
    return scale * whole, other * partial, {"scale": scale}


def _own(problem: Problem, settings: MapSettings) -> Solution:
    """The user's own function of (A'A, A'B), both (d, d) float64, which returns P (d, d)."""
    function = load_own(settings.own)
    return *(call_own(function, part.gram, part.cross, settings.own) for part in (problem.whole, problem.train)), {}


MAPS: dict[str, Callable[[Problem, MapSettings], Solution]] = {
    "least_squares": _least_squares,
    "ridge": _ridge,
    "procrustes": _procrustes,
    "scaled_procrustes": _scaled_procrustes,
    "own": _own,
}
