"""Sparse x dense product that reads only the dense rows with a non-zero weight."""

import numpy as np
import torch
from scipy.sparse import csr_matrix

BLOCK_ROWS = 4096  # rows that callers compute at a time: 134 MB of float64 at d = 4096
_GATHERED = 2**25  # float64 numbers that are gathered at a time: 256 MB


def sparse_product(weights: csr_matrix, stored: torch.Tensor, ids: np.ndarray | None = None) -> torch.Tensor:
    """`weights` x `stored`, (rows, d), float64 on the CPU; a row is summed in the order of its entries.

    `weights` is (rows, n), `stored` is (at least n, d) of any dtype. With `ids` (n,), column j of `weights` is for row
    ids[j] of `stored`.
    """
    if (np.diff(weights.indptr) == 1).all() and (weights.data == 1).all():  # only a choice of rows
        rows = weights.indices.astype(np.int64) if ids is None else ids[weights.indices]
        return stored[torch.from_numpy(rows)].to(torch.float64)
    used, local = np.unique(weights.indices, return_inverse=True)
    product = torch.zeros((weights.shape[0], stored.shape[1]), dtype=torch.float64)
    if not len(used):
        return product
    rows = torch.from_numpy(used.astype(np.int64) if ids is None else ids[used])
    places, starts = (torch.from_numpy(part.astype(np.int64)) for part in (local, weights.indptr[:-1]))
    scale = torch.from_numpy(weights.data)
    # A few columns at a time, so that the gathered rows stay small.
    width = max(1, _GATHERED // len(used))
    for columns, sums in zip(stored.split(width, dim=1), product.split(width, dim=1), strict=True):
        gathered = columns[rows].to(torch.float64)
        sums[:] = torch.nn.functional.embedding_bag(places, gathered, starts, mode="sum", per_sample_weights=scale)
    return product
