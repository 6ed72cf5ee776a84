"""Least squares of tall matrices that arrive in blocks of rows: argmin over P of |A P - B| (Frobenius), in float64.

Well-conditioned problems are solved by normal equations, which need one pass and memory for d x d
matrices only. Others (fewer rows than dimensions, near-dependent columns) go through a blocked QR
and a singular value decomposition, which give the rank and the solution of least norm.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from lep.config import UserError
from lep.log import logger

# Normal equations square the condition: up to this one they keep about eight digits.
NORMAL_CONDITION = 1e4
HELD_OUT = 5  # one row in five
_PANELS = 4  # of the Gram matrix: more save arithmetic (half of it at most), fewer run nearer to the processor's rate

# Starts a pass over the rows with the given numbers, in that order: pairs of blocks (k, d) of A and B.
Blocks = Callable[[np.ndarray], Iterator[tuple[torch.Tensor, torch.Tensor]]]
_Pass = Callable[[], Iterator[tuple[torch.Tensor, torch.Tensor]]]


@dataclass(frozen=True, eq=False)
class Fit:
    """P of shape (d, d), float64, and how good it is.

    `residual` is |A P - B| / |B| on all rows. `heldout_residual` is the same on a random fifth of the
    rows for a P fitted on the others, `identity_residual` on that fifth for P = identity; both are
    None without held-out rows. `condition` is the ratio of the extreme singular values within `rank`.
    """

    projection: torch.Tensor
    rows: int
    rank: int
    condition: float
    residual: float
    heldout_residual: float | None
    identity_residual: float | None

    def facts(self, prefix: str) -> dict[str, float | int | None]:
        """The numbers under `prefix`_name, with six digits."""
        names = ("residual", "heldout_residual", "identity_residual", "rank", "condition", "rows")
        values = {name: getattr(self, name) for name in names}
        return {f"{prefix}_{k}": float(f"{v:.6g}") if isinstance(v, float) else v for k, v in values.items()}


def hold_out(rows: int, seed: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the rows to fit on and of a random fifth to measure on, both sorted (int64)."""
    drawn = np.random.default_rng(seed or 0).permutation(rows)
    return np.sort(drawn[rows // HELD_OUT :]), np.sort(drawn[: rows // HELD_OUT])


def fit_projection(blocks: Blocks, train: np.ndarray, test: np.ndarray, name: str) -> Fit:
    """Fit P on all rows, and once more on the rows `train` alone to measure it on the rows `test`.

    `name` says in messages what is fitted. Raises `UserError` without rows or with a row that is not finite.
    """
    if not len(train):
        raise UserError(f"{name}: the vocabularies share no token to fit on; use the method swap")
    partly = _moments(blocks, train, name)
    held = _moments(blocks, test, name) if len(test) else None
    whole = partly + held if held else partly
    projection, rank, condition = _solve(whole, lambda: blocks(np.concatenate([train, test])))
    dimensions = len(projection)
    if rank < dimensions:
        logger.warning(
            "%s: rank %d of %d from %d rows; the least-norm solution is used, which maps everything outside "
            "the rows' span to zero",
            name, rank, dimensions, whole.rows,
        )  # fmt: skip
    heldout = identity = None
    if held:
        trusted = rank == dimensions and condition <= NORMAL_CONDITION and partly.rows >= 2 * dimensions
        partial = _cholesky(partly) if trusted else _solve(partly, lambda: blocks(train))[0]
        heldout, identity = held.residual(partial), held.residual(None)
    return Fit(projection, whole.rows, rank, condition, whole.residual(projection), heldout, identity)


@dataclass(frozen=True, eq=False)
class _Moments:
    """Sums over rows: gram A'A (d, d), cross A'B (d, d), the squares of B."""

    gram: torch.Tensor
    cross: torch.Tensor
    squares: float
    rows: int

    def __add__(self, other: "_Moments") -> "_Moments":
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return _Moments(*(mine + theirs for mine, theirs in pairs))

    def residual(self, projection: torch.Tensor | None) -> float:
        """|A P - B| / |B|, good to eight digits; None stands for the identity."""
        if projection is None:
            change = self.gram.trace() - 2 * self.cross.trace()
        else:
            change = (projection * (self.gram @ projection - 2 * self.cross)).sum()
        square = max(0.0, float(change) + self.squares)
        # Rounding leaves about 1e-16 of the squares' sum where the residual is nothing.
        return math.sqrt(square / self.squares) if square > 1e-14 * self.squares else 0.0


def _moments(blocks: Blocks, rows: np.ndarray, name: str) -> _Moments:
    gram = cross = None
    squares = 0.0
    for a, b in blocks(rows):
        if gram is None:
            gram, cross = (a.new_zeros((a.shape[1], a.shape[1])) for _ in range(2))
        _add_upper_gram(gram, a)
        cross.addmm_(a.T, b)
        squares += float((b * b).sum())
    for panel in _panels(len(gram)):  # what lies below the diagonal
        gram[panel.stop :, panel] = gram[panel, panel.stop :].T
    if not torch.isfinite(gram).all() or not torch.isfinite(cross).all():
        raise UserError(f"{name}: a matrix holds NaN or infinite numbers; use an intact model")
    return _Moments(gram, cross, squares, len(rows))


def _add_upper_gram(gram: torch.Tensor, a: torch.Tensor) -> None:
    """gram += A'A in the panels of the upper half, which save nearly half of the arithmetic."""
    for panel in _panels(len(gram)):
        gram[panel, panel.start :].addmm_(a[:, panel].T, a[:, panel.start :])


def _panels(dimensions: int) -> list[slice]:
    width = -(-dimensions // _PANELS)
    return [slice(start, min(start + width, dimensions)) for start in range(0, dimensions, width)]


def _cholesky(moments: _Moments) -> torch.Tensor:
    return torch.cholesky_solve(moments.cross, torch.linalg.cholesky(moments.gram))


def _solve(moments: _Moments, blocks: _Pass) -> tuple[torch.Tensor, int, float]:
    """(P, rank, condition), by normal equations where their accuracy suffices."""
    dimensions = len(moments.gram)
    if moments.rows >= dimensions:
        values = torch.linalg.eigvalsh(moments.gram)
        if float(values[0]) * NORMAL_CONDITION**2 > float(values[-1]):
            return _cholesky(moments), dimensions, math.sqrt(float(values[-1] / values[0]))
    return _solve_by_qr(blocks, dimensions, max(moments.rows, dimensions))


def _solve_by_qr(blocks: _Pass, dimensions: int, size: int) -> tuple[torch.Tensor, int, float]:
    """Rank-revealing: the triangle R of [A B] = Q R, then the least-norm solution of R's columns."""
    triangle = None
    for a, b in blocks():
        rows = torch.cat([a, b], dim=1)
        rows = rows if triangle is None else torch.cat([triangle, rows])
        triangle = torch.linalg.qr(rows, mode="r").R
    left, right = triangle[:dimensions, :dimensions], triangle[:dimensions, dimensions:]
    u, values, v = torch.linalg.svd(left, full_matrices=False)
    limit = float(values[0]) * torch.finfo(torch.float64).eps * size
    rank = int((values > limit).sum())
    projection = v[:rank].T @ ((u[:, :rank].T @ right) / values[:rank, None])
    return projection, rank, float(values[0] / values[rank - 1]) if rank else math.inf
