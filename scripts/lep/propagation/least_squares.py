"""Least squares of tall matrices: argmin over P of |A P - B| (Frobenius), in float64, in blocks of rows.

The rows of A and B are weighted sums of rows of two stored matrices. Well-conditioned problems are
solved by normal equations, which need one pass and memory for d x d matrices only. Others (fewer
rows than dimensions, near-dependent columns) go through a blocked QR and a singular value
decomposition, which give the rank and the solution of least norm.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import csr_matrix, identity
from tqdm import tqdm

from lep.config import UserError
from lep.log import logger
from lep.propagation.sparse import BLOCK_ROWS, sparse_product

# Normal equations square the condition: up to this one they keep about eight digits.
NORMAL_CONDITION = 1e4
HELD_OUT = 5  # one row in five
_PANELS = 4  # of the Gram matrix: more save arithmetic (half of it at most), fewer run nearer to the processor's rate


@dataclass(frozen=True, eq=False)
class Pairs:
    """The stored rows of each token: X is the start of `base`, Y the rows `instruct_ids` (tokens,) of `instruct`.

    Both matrices are (at least tokens, d), of any dtype; only rows that are asked for are read.
    """

    base: torch.Tensor
    instruct: torch.Tensor
    instruct_ids: np.ndarray
    device: str = "cpu"

    def products(self, weights: csr_matrix) -> tuple[torch.Tensor, torch.Tensor]:
        """`weights` (k, tokens) times X and Y: both (k, d), float64."""
        a, b = sparse_product(weights, self.base), sparse_product(weights, self.instruct, self.instruct_ids)
        return a.to(self.device), b.to(self.device)


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
        return {f"{prefix}_{k}": six_digits(v) if isinstance(v, float) else v for k, v in values.items()}


def six_digits(value: float) -> float:
    """As it is recorded: rounding beyond differs between machines."""
    return float(f"{value:.6g}")


def hold_out(rows: int, seed: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the rows to fit on and of a random fifth to measure on, both sorted (int64)."""
    drawn = np.random.default_rng(seed or 0).permutation(rows)
    return np.sort(drawn[rows // HELD_OUT :]), np.sort(drawn[: rows // HELD_OUT])


def fit_projection(weights: csr_matrix, pairs: Pairs, seed: int | None, name: str) -> Fit:
    """Fit P on all rows of A = W X and B = W Y, and without a fifth of them, drawn by `seed`, to measure it there.

    `weights` is W, (rows, tokens); `name` says in messages what is fitted. Raises `UserError` without
    rows or with a row that is not finite.
    """
    train, test = (weights[rows] for rows in hold_out(weights.shape[0], seed))
    if not train.shape[0]:
        raise UserError(f"{name}: the vocabularies share no token to fit on; use the method swap")
    partly = _moments(train, pairs, name)
    held = _moments(test, pairs, name) if test.shape[0] else None
    whole = partly + held if held else partly
    projection, rank, condition = _solve(whole, weights, pairs)
    dimensions = len(projection)
    if rank < dimensions:
        logger.warning(
            "%s: rank %d of %d from %d rows; the least-norm solution is used, which maps everything outside "
            "the rows' span to zero",
            name, rank, dimensions, whole.rows,
        )  # fmt: skip
    heldout = unchanged = None
    if held:
        trusted = rank == dimensions and condition <= NORMAL_CONDITION and partly.rows >= 2 * dimensions
        partial = _cholesky(partly) if trusted else _solve(partly, train, pairs)[0]
        heldout, unchanged = held.residual(partial), held.residual(None)
    return Fit(projection, whole.rows, rank, condition, whole.residual(projection), heldout, unchanged)


def residuals_on(weights: csr_matrix, pairs: Pairs, fit: Fit, name: str) -> tuple[float, float]:
    """|A P - B| / |B| on other rows than those of a fit: for its P, and for the best P there. Arguments as above."""
    moments = _moments(weights, pairs, name)
    best, _, _ = _solve(moments, weights, pairs)
    return moments.residual(fit.projection), moments.residual(best)


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


def _moments(weights: csr_matrix, pairs: Pairs, name: str) -> _Moments:
    """The sums over the rows `weights` x X and `weights` x Y.

    As A'A = X' (W'W X) and A'B = X' (W'W Y), a pass over the tokens that the rows are made of does
    as well as one over the rows. The shorter of the two is taken: new tokens outnumber their pieces.
    """
    left, right = _factors(weights)
    width = pairs.base.shape[1]
    gram, cross = (torch.zeros((width, width), dtype=torch.float64, device=pairs.device) for _ in range(2))
    squares = 0.0
    for start in tqdm(range(0, left.shape[0], BLOCK_ROWS), desc="fitted rows", mininterval=5, disable=None):
        rows = slice(start, start + BLOCK_ROWS)
        x, y = pairs.products(left[rows])
        a, b = (x, y) if right is left else pairs.products(right[rows])
        _add_upper_gram(gram, x, a)
        cross.addmm_(x.T, b)
        squares += float((y * b).sum())
    for panel in _panels(len(gram)):  # what lies below the diagonal
        gram[panel.stop :, panel] = gram[panel, panel.stop :].T
    if not torch.isfinite(gram).all() or not torch.isfinite(cross).all():
        raise UserError(f"{name}: a matrix holds NaN or infinite numbers; use an intact model")
    return _Moments(gram, cross, squares, weights.shape[0])


def _factors(weights: csr_matrix) -> tuple[csr_matrix, csr_matrix]:
    """Two matrices L and R with L'R = W'W, of as few rows as W has, or tokens in it."""
    used = np.unique(weights.indices)
    if len(used) >= weights.shape[0]:
        return weights, weights
    return identity(weights.shape[1], format="csr")[used], (weights.T @ weights).tocsr()[used]


def _add_upper_gram(gram: torch.Tensor, x: torch.Tensor, a: torch.Tensor) -> None:
    """gram += X'A in the panels of the upper half, which save nearly half of the arithmetic: the sum is symmetric."""
    for panel in _panels(len(gram)):
        gram[panel, panel.start :].addmm_(x[:, panel].T, a[:, panel.start :])


def _panels(dimensions: int) -> list[slice]:
    width = -(-dimensions // _PANELS)
    return [slice(start, min(start + width, dimensions)) for start in range(0, dimensions, width)]


def _cholesky(moments: _Moments) -> torch.Tensor:
    return torch.cholesky_solve(moments.cross, torch.linalg.cholesky(moments.gram))


def _solve(moments: _Moments, weights: csr_matrix, pairs: Pairs) -> tuple[torch.Tensor, int, float]:
    """(P, rank, condition), by normal equations where their accuracy suffices, else from the rows once more."""
    dimensions = len(moments.gram)
    if moments.rows >= dimensions:
        values = torch.linalg.eigvalsh(moments.gram)
        if float(values[0]) * NORMAL_CONDITION**2 > float(values[-1]):
            return _cholesky(moments), dimensions, math.sqrt(float(values[-1] / values[0]))
    return _solve_by_qr(weights, pairs, dimensions)


def _solve_by_qr(weights: csr_matrix, pairs: Pairs, dimensions: int) -> tuple[torch.Tensor, int, float]:
    """Rank-revealing: the triangle R of [A B] = Q R, then the least-norm solution of R's columns."""
    triangle = None
    for start in range(0, weights.shape[0], BLOCK_ROWS):
        rows = torch.cat(pairs.products(weights[start : start + BLOCK_ROWS]), dim=1)
        rows = rows if triangle is None else torch.cat([triangle, rows])
        triangle = torch.linalg.qr(rows, mode="r").R
    left, right = triangle[:dimensions, :dimensions], triangle[:dimensions, dimensions:]
    u, values, v = torch.linalg.svd(left, full_matrices=False)
    limit = float(values[0]) * torch.finfo(torch.float64).eps * max(weights.shape[0], dimensions)
    rank = int((values > limit).sum())
    projection = v[:rank].T @ ((u[:, :rank].T @ right) / values[:rank, None])
    return projection, rank, float(values[0] / values[rank - 1]) if rank else math.inf
