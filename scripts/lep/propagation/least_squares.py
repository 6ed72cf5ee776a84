"""Least squares of tall matrices: argmin over P of |A P - B| (Frobenius), in float64.

- Well-conditioned problems are solved by normal equations: one pass, and memory only for d x d matrices.
- Others (fewer rows than dimensions, near-dependent columns) are solved by a blocked QR and a singular value
  decomposition, which give the rank and the solution of least norm.
"""

import math

import torch

from lep.log import logger
from lep.propagation.moments import Moments, Problem

# Normal equations square the condition number: up to this value about eight digits of the solution are correct.
NORMAL_CONDITION = 1e4


def fit_least_squares(problem: Problem) -> tuple[torch.Tensor, torch.Tensor, dict[str, float]]:
    """P for all rows, P for the rows that are not held out, and facts: the rank and the condition number of A.

    The condition number is the ratio of the largest to the smallest singular value within the rank.
    """
    whole, train, dimensions = problem.whole, problem.train, problem.dimensions
    projection, rank, condition = solve(whole)
    if rank < dimensions:
        logger.warning(
            "%s: rank %d of %d from %d rows; the least-norm solution is used, which maps everything outside "
            "the rows' span to zero",
            problem.name, rank, dimensions, whole.rows,
        )  # fmt: skip
    partial = projection
    if problem.held:
        # If all rows together are far from singular, four fifths of them are too: skip the test of their condition.
        trusted = rank == dimensions and condition <= NORMAL_CONDITION and train.rows >= 2 * dimensions
        partial = _cholesky(train) if trusted else solve(train)[0]
    return projection, partial, {"rank": rank, "condition": condition}


def solve(moments: Moments) -> tuple[torch.Tensor, int, float]:
    """(P, rank, condition) by normal equations if they are accurate enough, else by QR, which reads the rows again."""
    dimensions = len(moments.gram)
    if moments.rows >= dimensions:
        values = torch.linalg.eigvalsh(moments.gram)
        if float(values[0]) * NORMAL_CONDITION**2 > float(values[-1]):
            return _cholesky(moments), dimensions, math.sqrt(float(values[-1] / values[0]))
    return _solve_by_qr(moments, dimensions)


def _cholesky(moments: Moments) -> torch.Tensor:
    return torch.cholesky_solve(moments.cross, torch.linalg.cholesky(moments.gram))


def _solve_by_qr(moments: Moments, dimensions: int) -> tuple[torch.Tensor, int, float]:
    """(P, rank, condition) by the triangle R of [A B] = Q R, and the least-norm solution from its singular values."""
    triangle = None
    for block in moments.blocks():
        rows = torch.cat(block, dim=1)
        rows = rows if triangle is None else torch.cat([triangle, rows])
        triangle = torch.linalg.qr(rows, mode="r").R
    left, right = triangle[:dimensions, :dimensions], triangle[:dimensions, dimensions:]
    u, values, v = torch.linalg.svd(left, full_matrices=False)
    limit = float(values[0]) * torch.finfo(torch.float64).eps * max(moments.rows, dimensions)
    rank = int((values > limit).sum())
    projection = v[:rank].T @ ((u[:, :rank].T @ right) / values[:rank, None])
    return projection, rank, float(values[0] / values[rank - 1]) if rank else math.inf
