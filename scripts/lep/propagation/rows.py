"""New rows of one matrix from those of the donor, in blocks of rows."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import csr_matrix
from tqdm import tqdm

from lep.propagation.sparse import BLOCK_ROWS, sparse_product


@dataclass(frozen=True, eq=False)
class Difference:
    """T x base and T x instruct of one matrix: what the initial rows are made of, before and after instruction tuning.

    A token that the instruct model lacks counts in neither; a row without old tokens has the mean rows, as it has in
    the initialisation.
    """

    operator: csr_matrix  # T, (new tokens, base tokens)
    base: torch.Tensor  # (at least tokens, d)
    instruct: torch.Tensor  # (rows, d)
    instruct_ids: np.ndarray  # (base tokens,); -1 = the instruct model lacks the token

    def blocks(self) -> Callable[[int, int], tuple[torch.Tensor, torch.Tensor]]:
        """A function that gives the rows [start, stop) of both, (k, d) float64, on the CPU."""
        known = self.instruct_ids >= 0
        ids = np.maximum(self.instruct_ids, 0)
        weights = self.operator.copy()
        weights.data = weights.data * known[weights.indices]
        every = csr_matrix(known[None] / known.sum())
        means = sparse_product(every, self.base), sparse_product(every, self.instruct, ids)
        empty = np.diff(self.operator.indptr) == 0

        def read(start: int, stop: int) -> tuple[torch.Tensor, torch.Tensor]:
            part, missing = weights[start:stop], torch.from_numpy(empty[start:stop])
            before, after = sparse_product(part, self.base), sparse_product(part, self.instruct, ids)
            before[missing], after[missing] = means
            return before, after

        return read


def project(
    donor: torch.Tensor,
    projection: torch.Tensor | None,
    new: torch.Tensor,
    device: str,
    difference: Difference | None = None,
) -> None:
    """new[:len(donor)] = donor x P or, with a difference, (donor - T base) x P + T instruct.

    Computed in float32 (in float64 for a donor of float64) and stored in the type of `new`; without P (None) it is the
    identity. Rows of the donor without a token (padding) have no difference.
    """
    if projection is None and difference is None:
        new[: len(donor)] = donor.to(new.dtype)
        return
    wide = torch.promote_types(donor.dtype, torch.float32)
    projection = None if projection is None else projection.to(device, wide)
    read = difference.blocks() if difference else None
    tokens = difference.operator.shape[0] if difference else 0
    for start in tqdm(range(0, len(donor), BLOCK_ROWS), desc="projected rows", mininterval=5, disable=None):
        rows = donor[start : start + BLOCK_ROWS].to(device, wide)
        stop = min(start + BLOCK_ROWS, tokens)
        after = None
        if start < stop:
            before, after = (part.to(device, wide) for part in read(start, stop))
            rows = rows.clone()
            rows[: stop - start] -= before
        if projection is not None:
            rows = rows @ projection
        if after is not None:
            rows[: stop - start] += after
        new[start : start + len(rows)] = rows.to("cpu", new.dtype)
