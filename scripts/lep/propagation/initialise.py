"""Mean initialisation of new embeddings (paper section 2.1.2): a new row is the mean of the rows of its old tokens."""

from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from lep.config import UserError
from lep.manifest import with_manifest
from lep.models.folder import Embeddings, check_finite, read_embeddings
from lep.models.store import derive_model
from lep.propagation.averaging import Operator, read_operator
from lep.propagation.inputs import align
from lep.propagation.sparse import BLOCK_ROWS, sparse_product

RECIPE_VERSION = 1
EMPTY_NORM = 1e-12  # rows with a smaller norm are replaced by the mean row (Llama 3 has rows of zeros)


def apply_operator(operator: Operator, old: torch.Tensor) -> torch.Tensor:
    """The initial new matrix (new tokens, d) in the old one's dtype (paper equations 1 and 2).

    `old` is (rows, d) with at least one row per old token; padding rows after them are not used. Averages are computed
    in float64. Rows without old tokens, or with a norm below 1e-12, become the mean of the old tokens' rows. Raises
    `UserError` if `old` has too few rows.
    """
    rows, tokens = operator.matrix.shape
    if old.shape[0] < tokens:
        raise UserError(
            f"the averaging operator is for {tokens} old tokens, but the matrix has {old.shape[0]} rows; "
            "use the model whose tokenizer the operator was made for"
        )
    old = old.detach().cpu()
    mean = sum(part.to(torch.float64).sum(0) for part in old[:tokens].split(BLOCK_ROWS)) / tokens
    new = torch.empty((rows, old.shape[1]), dtype=old.dtype)
    for start in tqdm(range(0, rows, BLOCK_ROWS), desc="initial rows", mininterval=5, disable=None):
        block = sparse_product(operator.matrix[start : start + BLOCK_ROWS], old)
        block[torch.linalg.vector_norm(block, dim=1) < EMPTY_NORM] = mean
        new[start : start + len(block)] = block.to(old.dtype)
    return new


def initialise_embeddings(
    base: Path, operator: Path, vocabulary: Path, target: Path, seed: int | None = None, instruct: Path | None = None
) -> None:
    """Publish `base` with the new vocabulary; each matrix is averaged from its own old one (a tied model has one).

    With `instruct`, publish that model of the base instead, with averages of its own rows: the start of the control
    `direct`. Raises `UserError` for an operator of other tokenizers, an instruct model that lacks tokens of the base,
    and numbers that are not finite.
    """
    base, vocabulary = Path(base), Path(vocabulary)
    averaging = read_operator(operator)
    averaging.check(base, vocabulary)
    model = Path(instruct or base)
    old = read_embeddings(model)
    for name, matrix in old.matrices().items():
        check_finite(matrix, name, model)
    matrices = [old.input, old.head]
    if instruct:
        ids = align(base, model)
        # A special token that the instruct model renamed, and so has no row of, takes part with that of the same id.
        ids = torch.from_numpy(np.where(ids < 0, np.minimum(np.arange(len(ids)), len(old.input) - 1), ids))
        matrices = [None if matrix is None else matrix[ids] for matrix in matrices]
    matrices = [None if matrix is None else apply_operator(averaging, matrix) for matrix in matrices]
    derive_model(
        model,
        Embeddings(*matrices),
        vocabulary,
        target,
        recipe_version=RECIPE_VERSION,
        parents=with_manifest({"base": base, "instruct": instruct, "operator": operator, "vocabulary": vocabulary}),
        seed=seed,
        facts={name: averaging.facts[name] for name in ("kept", "split", "mean", "overlap")},
    )
