"""Learned Embedding Propagation: transfer adapted matrices from a base to its instruct model (paper section 2.2).

For both matrices, new rows = rows of the donor (the adapted base) x P, with P (d, d) = argmin |A P - B|:

- `swap`: P = identity
- `overlap`: A and B are the rows of the shared tokens in base and instruct model
- `conversion`: A = T x base, B = T x instruct, with the averaging operator T, of the tokens' bytes or as published

The body is the instruct model's, unchanged.

    python -m lep.propagate --base DIR --instruct DIR --donor DIR --method conversion --out DIR
"""

import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.sparse import csr_matrix, identity
from tqdm import tqdm

from lep.compute.determinism import prepare_torch, resolve_device
from lep.config import UserError
from lep.log import logger
from lep.manifest import with_manifest
from lep.models.folder import (
    Embeddings,
    byte_view,
    check_ids,
    check_shapes,
    is_tied,
    load_tokenizer,
    read_matrix,
    tokenizer_sha256,
)
from lep.models.store import derive_model
from lep.names import METHODS
from lep.propagation.averaging import TOKEN_TEXTS, Operator, build_operator, read_operator
from lep.propagation.least_squares import Fit, Pairs, fit_projection, residuals_on, six_digits
from lep.propagation.sparse import BLOCK_ROWS
from lep.propagation.tokenizer import merge_tokenizers
from lep.vocabulary.byte_view import ByteView

RECIPE_VERSION = 4


@dataclass(frozen=True, eq=False)
class _Inputs:
    """The inputs that all methods and both matrices share."""

    base: Path
    instruct: Path
    donor: Path
    operator: Operator | None  # None: only swap is asked for
    instruct_ids: np.ndarray  # (base tokens,): the instruct model's id of each base token, -1 if it has none
    copied: tuple[np.ndarray, np.ndarray]  # new ids, and the instruct ids whose rows they get
    tokens: int  # size of the new tokenizer
    device: str  # of the fits
    seed: int | None  # of the held-out rows
    token_text: str  # of conversion: one of TOKEN_TEXTS


def propagate(
    base: Path,
    instruct: Path,
    donor: Path,
    operator: Path | None,
    targets: Mapping[str, Path],
    seed: int | None = None,
    threads: int = 1,
    device: str = "cpu",
    token_text: str = "bytes",
) -> None:
    """Publish `instruct` with the donor's vocabulary and propagated matrices (paper equations 3 to 7).

    - `base`, `instruct`: models with the original vocabulary
    - `donor`: the base with the new vocabulary and trained matrices
    - `operator`: published averaging operator of the tokenizers of base and donor; None = built here
    - `targets`: folder to write for each method
    - `seed`: draws the held-out rows of the quality report, nothing else
    - `token_text`: conversion splits the `bytes` of a token, or its string as the `published` code does; then the
      residuals for the bytes are reported too

    Added tokens of the instruct model keep their rows, special roles and chat template. Raises `UserError` for an
    unknown method or text, models of different tying or width, an operator of other tokenizers, and ids without a row.
    """
    base, instruct, donor = Path(base), Path(instruct), Path(donor)
    for method in targets:
        if method not in METHODS:
            raise UserError(f"unknown LEP method {method!r}; use one of {', '.join(METHODS)}")
    if token_text not in TOKEN_TEXTS:
        raise UserError(f"unknown token text {token_text!r}; use one of {', '.join(TOKEN_TEXTS)}")
    prepare_torch(threads, seed or 0)
    _check_models(base, instruct, donor)
    averaging = _operator(base, donor, operator, targets)
    parents = with_manifest({"base": base, "instruct": instruct, "donor": donor, "operator": operator})
    with tempfile.TemporaryDirectory() as scratch:
        tokenizer = merge_tokenizers(donor, instruct, Path(scratch))
        new = byte_view(tokenizer)
        ids, copied = align(base, instruct), added_rows(byte_view(instruct), new)
        device = resolve_device(device)
        plan = _Inputs(base, instruct, donor, averaging, ids, copied, len(new), device, seed, token_text)
        for method, target in targets.items():
            embeddings, facts = _propagated(plan, method)
            derive_model(
                instruct,
                embeddings,
                tokenizer,
                target,
                recipe_version=RECIPE_VERSION,
                parents=parents,
                seed=seed,
                config={"method": method} | ({"token_text": token_text} if method == "conversion" else {}),
                facts=facts,
            )


def align(base: Path, instruct: Path) -> np.ndarray:
    """The instruct model's id of each base token, by name, (base tokens,); -1 for special tokens that it renamed.

    Raises `UserError` if the instruct model lacks an ordinary token: it then was not made from this base.
    """
    old, ids_of = byte_view(base), byte_view(instruct).ids
    ids = np.array([-1 if token is None else ids_of.get(token, -1) for token in old.tokens], dtype=np.int64)
    special = {*old.added.values(), *old.specials}
    lacking = [old.tokens[i] for i in np.flatnonzero(ids < 0) if old.tokens[i] is not None and i not in special]
    if lacking:
        hashes = " and ".join(f"{folder} has sha256 {tokenizer_sha256(folder)}" for folder in (base, instruct))
        raise UserError(
            f"the instruct model's vocabulary lacks {len(lacking)} tokens of the base's, such as {lacking[:5]}; "
            f"base and instruct must share their original vocabulary, but the tokenizer of {hashes}"
        )
    return ids


def added_rows(instruct: ByteView, new: ByteView) -> tuple[np.ndarray, np.ndarray]:
    """New ids and instruct ids, both (n,), of the added tokens of the new tokenizer that the instruct model has."""
    pairs = [(index, instruct.ids[name]) for name, index in sorted(new.added.items()) if name in instruct.ids]
    found = np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2)
    return found[:, 0], found[:, 1]


def _propagated(plan: _Inputs, method: str) -> tuple[Embeddings, dict]:
    """The new matrices by one method, and facts about them."""
    names = ("input",) if is_tied(plan.instruct) else ("input", "head")
    facts = {"method": method, "copied": len(plan.copied[0]), **_operator_facts(plan.operator)}
    matrices = []
    for name in names:
        fit, found = (None, {}) if method == "swap" else _fit(plan, method, name)
        facts |= found
        matrices.append(_propagate_matrix(plan, name, fit))
    return Embeddings(matrices[0], matrices[1] if len(matrices) > 1 else None), facts


def _fit(plan: _Inputs, method: str, which: str) -> tuple[Fit, dict]:
    """The fit of one matrix, and its facts.

    With published token texts also the residual of this map on the rows of the bytes, and the least possible one there.
    """
    instruct = read_matrix(plan.instruct, which)
    # Rows of renamed tokens (id -1) are never read: the weights leave these tokens out.
    pairs = Pairs(read_matrix(plan.base, which), instruct, np.maximum(plan.instruct_ids, 0), plan.device)
    weights = _shared_rows(plan) if method == "overlap" else _converted_rows(plan, plan.token_text)
    shared = f" ({weights.shape[0]} shared tokens)" if method == "overlap" else ""
    name = f"{method} of the {which} matrix{shared}"
    fit = fit_projection(weights, pairs, plan.seed, name)
    facts = fit.facts(which)
    if method == "conversion" and plan.token_text != "bytes":
        found = map(six_digits, residuals_on(_converted_rows(plan, "bytes"), pairs, fit, name))
        facts |= zip((f"{which}_bytes_residual", f"{which}_bytes_best_residual"), found, strict=True)
    logger.info("%s %s: %s", method, which, facts)
    return fit, facts


def _propagate_matrix(plan: _Inputs, which: str, fit: Fit | None) -> torch.Tensor:
    """The new matrix (rows, d) in the instruct model's dtype; without a fit the donor's rows, unchanged."""
    donor, instruct = read_matrix(plan.donor, which), read_matrix(plan.instruct, which)
    # The donor may have padding rows, the new tokenizer may have added tokens of the instruct model.
    new = instruct.new_zeros((max(plan.tokens, len(donor)), donor.shape[1]))
    _project(donor, fit.projection if fit else None, new, plan.device)
    # Added tokens (chat markers) keep the rows that the instruct model has learned for them.
    new_ids, instruct_ids = (torch.from_numpy(ids) for ids in plan.copied)
    new[new_ids] = instruct[instruct_ids]
    if not all(torch.isfinite(rows).all() for rows in new.split(BLOCK_ROWS)):
        raise UserError(f"{plan.donor}: the {which} matrix contains NaN or infinite numbers; use an intact donor")
    return new


def _project(donor: torch.Tensor, projection: torch.Tensor | None, new: torch.Tensor, device: str) -> None:
    """new[:len(donor)] = donor x P, computed in float32 (in float64 for a donor of float64)."""
    if projection is None:
        new[: len(donor)] = donor.to(new.dtype)
        return
    wide = torch.promote_types(donor.dtype, torch.float32)
    projection = projection.to(device, wide)
    for start in tqdm(range(0, len(donor), BLOCK_ROWS), desc="projected rows", mininterval=5, disable=None):
        rows = donor[start : start + BLOCK_ROWS]
        new[start : start + len(rows)] = (rows.to(device, wide) @ projection).to("cpu", new.dtype)


def _shared_rows(plan: _Inputs) -> csr_matrix:
    """The rows that `overlap` is fitted on, as weights of the base's tokens, (rows, base tokens)."""
    known = plan.instruct_ids >= 0
    return identity(len(known), format="csr")[plan.operator.shared[known[plan.operator.shared]]]


def _converted_rows(plan: _Inputs, token_text: str) -> csr_matrix:
    """The rows that `conversion` is fitted on, as weights of the base's tokens, (rows, base tokens).

    Rows that average nothing, or a token that the instruct model lacks, are dropped: they do not constrain the map.
    """
    matrix = plan.operator.of(token_text)
    usable = np.diff(matrix.indptr) > 0
    unknown = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))[plan.instruct_ids[matrix.indices] < 0]
    usable[unknown] = False
    return matrix[np.flatnonzero(usable)]


def _check_models(base: Path, instruct: Path, donor: Path) -> None:
    """All checks that need no fit; raises `UserError`."""
    tying = {str(folder): is_tied(folder) for folder in (base, instruct, donor)}
    if len(set(tying.values())) > 1:
        raise UserError(
            f"base, instruct and donor must have the same tie_word_embeddings, found {tying}; "
            "use three models of one family"
        )
    shapes = {}
    for folder in (base, instruct, donor):
        matrix = read_matrix(folder, "input")
        head = None if tying[str(folder)] else read_matrix(folder, "head")
        check_shapes(Embeddings(matrix, head), folder)
        check_ids(load_tokenizer(folder), len(matrix), folder)
        shapes[str(folder)] = matrix.shape[1], matrix.dtype
    if len({width for width, _ in shapes.values()}) > 1:
        raise UserError(
            f"base, instruct and donor must have the same hidden size, found (hidden size, dtype) {shapes}; "
            "use three models of one family"
        )
    if shapes[str(donor)][1] != shapes[str(instruct)][1]:
        logger.warning("the donor's matrices are %s and are cast to the instruct model's %s", *(
            shapes[str(folder)][1] for folder in (donor, instruct)
        ))  # fmt: skip


def _operator(base: Path, donor: Path, operator: Path | None, methods: Iterable[str]) -> Operator | None:
    if operator is None:
        return build_operator(base, donor) if set(methods) - {"swap"} else None
    averaging = read_operator(operator)
    averaging.check(base, donor)
    return averaging


def _operator_facts(operator: Operator | None) -> dict[str, int]:
    names = ("overlap", "overlap_readable", "overlap_differs", "published_differs")
    return {name: operator.facts[name] for name in names} if operator else {}
