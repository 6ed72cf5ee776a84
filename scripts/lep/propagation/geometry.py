"""How a propagation changes the geometry of new rows: their lengths, and who is near whom."""

import numpy as np
import torch

NEW_ROWS = 256  # rows that are looked at
OTHERS = 8192  # rows among which neighbours are looked for
NEIGHBOURS = 10


def changed_geometry(
    before: torch.Tensor, after: torch.Tensor, new: np.ndarray, every: np.ndarray, seed: int | None
) -> dict[str, float | None]:
    """Facts about a sample of the rows `new` (ids) of two matrices, both (rows, d), among the rows `every` (ids):

    - `norm_ratio`: mean length after / mean length before
    - `neighbours_kept`: share of the ten nearest rows (by cosine, within a sample of `every`) that stay the same

    None where there are too few rows.
    """
    draw = np.random.default_rng(seed or 0)
    chosen = np.sort(draw.permutation(new)[:NEW_ROWS])
    others = np.sort(draw.permutation(every)[:OTHERS])
    if len(chosen) == 0 or len(others) <= NEIGHBOURS:
        return {"norm_ratio": None, "neighbours_kept": None}
    sides = [_neighbours(matrix, chosen, others) for matrix in (before, after)]
    kept = [len(np.intersect1d(one, other)) for one, other in zip(*(near for _, near in sides), strict=True)]
    lengths = [length for length, _ in sides]
    ratio = lengths[1] / lengths[0] if lengths[0] else None
    return {"norm_ratio": ratio, "neighbours_kept": float(np.mean(kept)) / NEIGHBOURS}


def _neighbours(matrix: torch.Tensor, chosen: np.ndarray, others: np.ndarray) -> tuple[float, np.ndarray]:
    """The mean length of the rows `chosen`, and for each the ids of its nearest rows among `others`, (chosen, 10)."""
    rows, around = (matrix[torch.from_numpy(ids)].to(torch.float32) for ids in (chosen, others))
    length = float(torch.linalg.vector_norm(rows, dim=1).mean())
    unit = [torch.nn.functional.normalize(part, dim=1) for part in (rows, around)]
    likeness = unit[0] @ unit[1].T
    likeness[torch.from_numpy(chosen[:, None] == others[None])] = -2  # a row is not its own neighbour
    return length, others[likeness.topk(NEIGHBOURS, dim=1).indices.numpy()]
