"""Sums over the rows that a map is fitted on: A'A, A'B and |B|^2, in float64, in blocks of rows.

The rows of A and B are weighted sums of rows of two stored matrices. All maps of one matrix are solved from the same
sums, so the rows are read once.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from scipy.sparse import csr_matrix, identity
from tqdm import tqdm

from lep.config import UserError
from lep.propagation.orthogonal import nearest_orthogonal
from lep.propagation.sparse import BLOCK_ROWS, sparse_product

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
class Moments:
    """Sums over rows of A and B, float64, and how to read the rows again."""

    gram: torch.Tensor  # A'A, (d, d)
    cross: torch.Tensor  # A'B, (d, d)
    squares: float  # |B|^2
    rows: int
    blocks: Callable  # () -> iterator of blocks (A, B), each (k, d), for solvers that need the rows themselves

    @cached_property
    def rotation(self) -> torch.Tensor:
        """The orthogonal P with the least |A P - B|, (d, d)."""
        return nearest_orthogonal(self.cross)

    def residual(self, projection: torch.Tensor | None, turns: bool = False) -> float:
        """|A P - B| / |B|, correct to eight digits; None means P = identity.

        `turns`: P is orthogonal but for a factor, so that |A P| is |A| times this factor, without a product.
        """
        if projection is None:
            change = self.gram.trace() - 2 * self.cross.trace()
        elif turns:
            change = self.gram.trace() * projection.square().sum() / len(projection)
            change -= 2 * (projection * self.cross).sum()
        else:
            change = (projection * (self.gram @ projection - 2 * self.cross)).sum()
        square = max(0.0, float(change) + self.squares)
        # For an exact fit rounding leaves about 1e-16 of the sum of squares.
        return math.sqrt(square / self.squares) if square > 1e-14 * self.squares else 0.0


@dataclass(frozen=True, eq=False)
class Problem:
    """The rows that the maps of one matrix are fitted on."""

    whole: Moments  # of all rows
    train: Moments  # of all but a random fifth
    held: Moments | None  # of that fifth; None = too few rows
    name: str  # what is fitted, for messages

    @property
    def dimensions(self) -> int:
        return len(self.whole.gram)


def hold_out(rows: int, seed: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the rows to fit on, and of a random fifth to measure on; both sorted, int64."""
    drawn = np.random.default_rng(seed or 0).permutation(rows)
    return np.sort(drawn[rows // HELD_OUT :]), np.sort(drawn[: rows // HELD_OUT])


def read_problem(weights: csr_matrix, pairs: Pairs, seed: int | None, name: str) -> Problem:
    """The sums over all rows of A = W X and B = W Y, and over the parts that held-out residuals need.

    - `weights`: W, (rows, tokens)
    - `seed`: draws the held-out fifth
    - `name`: what is fitted, for messages

    Raises `UserError` without rows, and with a row that is not finite.
    """
    train, test = (weights[rows] for rows in hold_out(weights.shape[0], seed))
    if not train.shape[0]:
        raise UserError(f"{name}: the vocabularies share no token to fit on; use the method swap")
    partly = sum_moments(train, pairs, name)
    if not test.shape[0]:
        return Problem(partly, partly, None, name)
    held = sum_moments(test, pairs, name)
    # The sums of both parts add up to the sums of all rows: one pass over the rows is enough.
    sums = (getattr(partly, key) + getattr(held, key) for key in ("gram", "cross", "squares", "rows"))
    return Problem(Moments(*sums, lambda: _blocks(weights, pairs)), partly, held, name)


def sum_moments(weights: csr_matrix, pairs: Pairs, name: str) -> Moments:
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
    return Moments(gram, cross, squares, weights.shape[0], lambda: _blocks(weights, pairs))


def _blocks(weights: csr_matrix, pairs: Pairs):
    """The rows of A and B, a block at a time."""
    for start in range(0, weights.shape[0], BLOCK_ROWS):
        yield pairs.products(weights[start : start + BLOCK_ROWS])


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
