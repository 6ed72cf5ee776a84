"""Products of a sparse matrix and a stored one, of which only the rows that count are read."""

import numpy as np
import torch
from scipy.sparse import csr_matrix

BLOCK_ROWS = 4096  # that callers take at a time: 134 MB of float64 at d = 4096
_GATHERED = 2**25  # numbers of float64 that are gathered at a time: 256 MB


def sparse_product(weights: csr_matrix, stored: torch.Tensor, ids: np.ndarray | None = None) -> torch.Tensor:
    """`weights` x `stored`, (rows, d), float64 on the CPU; each sum in the order of the entries of its row.

    `weights` is (rows, n), `stored` (at least n, d) of any dtype; with `ids` (n,), column j of `weights` stands for row
    ids[j] of it.
    """
    if (np.diff(weights.indptr) == 1).all() and (weights.data == 1).all():  # nothing to add up
        rows = weights.indices.astype(np.int64) if ids is None else ids[weights.indices]
        return stored[torch.from_numpy(rows)].to(torch.float64)
    used, local = np.unique(weights.indices, return_inverse=True)
    product = torch.zeros((weights.shape[0], stored.shape[1]), dtype=torch.float64)
    if not len(used):
        return product
    rows = torch.from_numpy(used.astype(np.int64) if ids is None else ids[used])
    places, starts = (torch.from_numpy(part.astype(np.int64)) for part in (local, weights.indptr[:-1]))
    scale = torch.from_numpy(weights.data)
    width = max(1, _GATHERED // len(used))
    for columns, sums in zip(stored.split(width, dim=1), product.split(width, dim=1), strict=True):
        gathered = columns[rows].to(torch.float64)
        sums[:] = torch.nn.functional.embedding_bag(places, gathered, starts, mode="sum", per_sample_weights=scale)
    return product
