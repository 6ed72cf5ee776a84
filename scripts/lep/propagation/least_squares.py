"""Least squares of tall matrices: argmin over P of |A P - B| (Frobenius), in float64, in blocks of rows.

The rows of A and B are weighted sums of rows of two stored matrices.

- Well-conditioned problems are solved by normal equations: one pass, and memory only for d x d matrices.
- Others (fewer rows than dimensions, near-dependent columns) are solved by a blocked QR and a singular value
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

# Normal equations square the condition number: up to this value about eight digits of the solution are correct.
NORMAL_CONDITION = 1e4
HELD_OUT = 5  # one row in five
_PANELS = 4  # of the Gram matrix: more panels save arithmetic (at most half), fewer run closer to peak speed


@dataclass(frozen=True, eq=False)
class Pairs:
    """The rows of each base token in two stored matrices, X and Y; only the rows in use are read."""

    base: torch.Tensor  # (at least tokens, d), any dtype; X is its first rows
    instruct: torch.Tensor  # (rows, d), any dtype; Y is its rows `instruct_ids`
    instruct_ids: np.ndarray  # (tokens,)
    device: str = "cpu"  # of the products

    def products(self, weights: csr_matrix) -> tuple[torch.Tensor, torch.Tensor]:
        """`weights` (k, tokens) times X and Y: both (k, d), float64."""
        a, b = sparse_product(weights, self.base), sparse_product(weights, self.instruct, self.instruct_ids)
        return a.to(self.device), b.to(self.device)


@dataclass(frozen=True, eq=False)
class Fit:
    """A fitted P, and how good it is. A residual is |A P - B| / |B|."""

    projection: torch.Tensor  # P, (d, d), float64
    rows: int  # of A
    rank: int  # of A
    condition: float  # largest over smallest singular value of A, within the rank
    residual: float  # on all rows
    heldout_residual: float | None  # on a random fifth of the rows, for a P fitted on the others; None = too few rows
    identity_residual: float | None  # on that fifth, for P = identity; None = too few rows

    def facts(self, prefix: str) -> dict[str, float | int | None]:
        """The numbers as {`prefix`_name: value}, with six digits."""
        names = ("residual", "heldout_residual", "identity_residual", "rank", "condition", "rows")
        values = {name: getattr(self, name) for name in names}
        return {f"{prefix}_{k}": six_digits(v) if isinstance(v, float) else v for k, v in values.items()}


def six_digits(value: float) -> float:
    """Round to the digits that are recorded; further digits differ between machines."""
    return float(f"{value:.6g}")


def hold_out(rows: int, seed: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the rows to fit on, and of a random fifth to measure on; both sorted, int64."""
    drawn = np.random.default_rng(seed or 0).permutation(rows)
    return np.sort(drawn[rows // HELD_OUT :]), np.sort(drawn[: rows // HELD_OUT])


def fit_projection(weights: csr_matrix, pairs: Pairs, seed: int | None, name: str) -> Fit:
    """Fit P on all rows of A = W X and B = W Y; a second fit, without a fifth of the rows, is measured on that fifth.

    - `weights`: W, (rows, tokens)
    - `seed`: draws the fifth
    - `name`: what is fitted, for messages

    Raises `UserError` without rows, and with a row that is not finite.
    """
    train, test = (weights[rows] for rows in hold_out(weights.shape[0], seed))
    if not train.shape[0]:
        raise UserError(f"{name}: the vocabularies share no token to fit on; use the method swap")
    # The moments of both parts add up to the moments of all rows: one pass over the rows is enough for both fits.
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
        # If all rows together are far from singular, four fifths of them are too: skip the test of their condition.
        trusted = rank == dimensions and condition <= NORMAL_CONDITION and partly.rows >= 2 * dimensions
        partial = _cholesky(partly) if trusted else _solve(partly, train, pairs)[0]
        heldout, unchanged = held.residual(partial), held.residual(None)
    return Fit(projection, whole.rows, rank, condition, whole.residual(projection), heldout, unchanged)


def residuals_on(weights: csr_matrix, pairs: Pairs, fit: Fit, name: str) -> tuple[float, float]:
    """|A P - B| / |B| on rows that `fit` was not made for: of its P, and of the best P for these rows.

    Arguments as in `fit_projection`.
    """
    moments = _moments(weights, pairs, name)
    best, _, _ = _solve(moments, weights, pairs)
    return moments.residual(fit.projection), moments.residual(best)


@dataclass(frozen=True, eq=False)
class _Moments:
    """Sums over rows of A and B, float64."""

    gram: torch.Tensor  # A'A, (d, d)
    cross: torch.Tensor  # A'B, (d, d)
    squares: float  # |B|^2
    rows: int

    def __add__(self, other: "_Moments") -> "_Moments":
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return _Moments(*(mine + theirs for mine, theirs in pairs))

    def residual(self, projection: torch.Tensor | None) -> float:
        """|A P - B| / |B|, correct to eight digits; None means P = identity."""
        if projection is None:
            change = self.gram.trace() - 2 * self.cross.trace()
        else:
            change = (projection * (self.gram @ projection - 2 * self.cross)).sum()
        square = max(0.0, float(change) + self.squares)
        # For an exact fit rounding leaves about 1e-16 of the sum of squares.
        return math.sqrt(square / self.squares) if square > 1e-14 * self.squares else 0.0


def _moments(weights: csr_matrix, pairs: Pairs, name: str) -> _Moments:
    """The sums over the rows `weights` x X and `weights` x Y.

    Since A'A = X' (W'W X) and A'B = X' (W'W Y), a pass over the tokens in the rows gives the same sums as a pass over
    the rows. The shorter pass is taken: there may be more rows (new tokens) than tokens in them (their pieces).
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
    for panel in _panels(len(gram)):  # mirror the upper half
        gram[panel.stop :, panel] = gram[panel, panel.stop :].T
    if not torch.isfinite(gram).all() or not torch.isfinite(cross).all():
        raise UserError(f"{name}: a matrix contains NaN or infinite numbers; use an intact model")
    return _Moments(gram, cross, squares, weights.shape[0])


def _factors(weights: csr_matrix) -> tuple[csr_matrix, csr_matrix]:
    """Two matrices L and R with L'R = W'W; their rows are those of W or the tokens in it, whichever are fewer."""
    used = np.unique(weights.indices)
    if len(used) >= weights.shape[0]:
        return weights, weights
    return identity(weights.shape[1], format="csr")[used], (weights.T @ weights).tocsr()[used]


def _add_upper_gram(gram: torch.Tensor, x: torch.Tensor, a: torch.Tensor) -> None:
    """gram += X'A, only in the upper half: the sum is symmetric, so this saves nearly half of the arithmetic."""
    for panel in _panels(len(gram)):
        gram[panel, panel.start :].addmm_(x[:, panel].T, a[:, panel.start :])


def _panels(dimensions: int) -> list[slice]:
    width = -(-dimensions // _PANELS)
    return [slice(start, min(start + width, dimensions)) for start in range(0, dimensions, width)]


def _cholesky(moments: _Moments) -> torch.Tensor:
    return torch.cholesky_solve(moments.cross, torch.linalg.cholesky(moments.gram))


def _solve(moments: _Moments, weights: csr_matrix, pairs: Pairs) -> tuple[torch.Tensor, int, float]:
    """(P, rank, condition) by normal equations if they are accurate enough, else by QR, which reads the rows again."""
    dimensions = len(moments.gram)
    if moments.rows >= dimensions:
        values = torch.linalg.eigvalsh(moments.gram)
        if float(values[0]) * NORMAL_CONDITION**2 > float(values[-1]):
            return _cholesky(moments), dimensions, math.sqrt(float(values[-1] / values[0]))
    return _solve_by_qr(weights, pairs, dimensions)


def _solve_by_qr(weights: csr_matrix, pairs: Pairs, dimensions: int) -> tuple[torch.Tensor, int, float]:
    """(P, rank, condition) by the triangle R of [A B] = Q R, and the least-norm solution from its singular values."""
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
