"""Learned Embedding Propagation: transfer adapted matrices from a base to its instruct model (paper section 2.2).

For both matrices, new rows = rows of the donor (the adapted base) x P, with P (d, d) = argmin |A P - B|:

- `swap`: P = identity
- `overlap`: A and B are the rows of the shared tokens in base and instruct model
- `conversion`: A = T x base, B = T x instruct, with the averaging operator T, of the tokens' bytes or as published

Further methods fit P otherwise (`lep.propagation.fit`), or keep the difference that P leaves: new rows = donor x P +
T (instruct - base x P). The body is the instruct model's, unchanged.

    python -m lep.propagate --base DIR --instruct DIR --donor DIR --method conversion --out DIR
"""

import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import torch
from scipy.sparse import csr_matrix, identity

from lep.compute.determinism import prepare_torch, resolve_device
from lep.config import UserError
from lep.log import logger
from lep.manifest import with_manifest
from lep.methods import METHODS
from lep.models.folder import Embeddings, all_finite, byte_view, is_tied, read_matrix
from lep.models.store import derive_model
from lep.propagation.averaging import TOKEN_TEXTS
from lep.propagation.fit import Fit, MapSettings, fit_map, six_digits
from lep.propagation.geometry import changed_geometry
from lep.propagation.inputs import Inputs, added_rows, align, check_models, find_operator, operator_facts
from lep.propagation.least_squares import solve
from lep.propagation.moments import Pairs, Problem, read_problem, sum_moments
from lep.propagation.own import load_own
from lep.propagation.rows import Difference, project
from lep.propagation.tokenizer import merge_tokenizers

RECIPE_VERSION = 5


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
    maps: MapSettings | None = None,
    body: Path | None = None,
) -> None:
    """Publish `instruct` with the donor's vocabulary and propagated matrices (paper equations 3 to 7).

    - `base`, `instruct`: models with the original vocabulary
    - `donor`: the base with the new vocabulary and trained matrices
    - `operator`: published averaging operator of the tokenizers of base and donor; None = built here
    - `targets`: folder to write for each method
    - `seed`: draws the held-out rows of the quality report, nothing else
    - `token_text`: averaged rows split the `bytes` of a token, or its string as the `published` code does; then the
      residuals for the bytes are reported too
    - `maps`: settings of the maps `ridge` and `own`
    - `body`: model whose body the new ones get; None = `instruct`. The control `donor_body` has the donor's

    Added tokens of the instruct model keep their rows, special roles and chat template. Raises `UserError` for an
    unknown method or text, an own map that cannot be used, models of different tying or width, an operator of other
    tokenizers, and ids without a row.
    """
    maps = maps or MapSettings()
    base, instruct, donor = Path(base), Path(instruct), Path(donor)
    _check_request(targets, token_text, maps)
    prepare_torch(threads, seed or 0)
    check_models(base, instruct, donor)
    averaging = find_operator(base, donor, operator, targets, token_text)
    parents = with_manifest({"base": base, "instruct": instruct, "donor": donor, "operator": operator})
    with tempfile.TemporaryDirectory() as scratch:
        tokenizer = merge_tokenizers(donor, instruct, Path(scratch))
        new = byte_view(tokenizer)
        ids, copied = align(base, instruct), added_rows(byte_view(instruct), new)
        device = resolve_device(device)
        plan = Inputs(base, instruct, donor, averaging, ids, copied, len(new), device, seed, token_text, maps)
        fits = _fit_all(plan, targets)
        for method, target in targets.items():
            embeddings, facts = _propagated(plan, method, fits)
            derive_model(
                Path(body or instruct),
                embeddings,
                tokenizer,
                target,
                recipe_version=RECIPE_VERSION,
                parents=parents,
                seed=seed,
                config={"method": method} | _settings_of(method, plan),
                facts=facts,
            )


def _check_request(methods: Iterable[str], token_text: str, maps: MapSettings) -> None:
    for method in methods:
        if method not in METHODS:
            raise UserError(f"unknown LEP method {method!r}; use one of {', '.join(METHODS)}")
    if token_text not in TOKEN_TEXTS:
        raise UserError(f"unknown token text {token_text!r}; use one of {', '.join(TOKEN_TEXTS)}")
    if any(METHODS[method].map == "own" for method in methods):
        load_own(maps.own)


def _settings_of(method: str, plan: Inputs) -> dict[str, str | float | None]:
    """The settings that decide a method's rows, for its manifest."""
    entry = METHODS[method]
    return (
        ({"token_text": plan.token_text} if entry.rows == "averaged" else {})
        | ({"ridge_penalty": plan.maps.penalty} if entry.map == "ridge" else {})
        | ({"own": plan.maps.own} if entry.map == "own" else {})
    )


def _matrices(plan: Inputs) -> tuple[str, ...]:
    return ("input",) if is_tied(plan.instruct) else ("input", "head")


def _fit_all(plan: Inputs, methods: Iterable[str]) -> dict[tuple[str, str, str], tuple[Fit, dict]]:
    """{(matrix, rows, map): the fit and its facts}, with one pass over each kind of rows of a matrix."""
    wanted = dict.fromkeys((METHODS[method].rows, METHODS[method].map) for method in methods if METHODS[method].map)
    fits = {}
    for which in _matrices(plan):
        for rows in dict.fromkeys(rows for rows, _ in wanted):
            problem = _read_problem(plan, which, rows)
            for name in (name for kind, name in wanted if kind == rows):
                fit = fit_map(name, problem, plan.maps)
                facts = fit.facts(which)
                if rows == "averaged" and plan.token_text != "bytes":
                    facts |= _bytes_residuals(plan, which, fit, problem.name)
                fits[which, rows, name] = fit, facts
    return fits


def _propagated(plan: Inputs, method: str, fits: Mapping) -> tuple[Embeddings, dict]:
    """The new matrices by one method, and facts about them."""
    entry = METHODS[method]
    facts = {"method": method, "copied": len(plan.copied[0]), **operator_facts(plan.operator)}
    matrices = []
    for which in _matrices(plan):
        fit, found = fits[which, entry.rows, entry.map] if entry.map else (None, {})
        matrix, geometry = _propagate_matrix(plan, which, fit, entry.keeps_difference)
        found = found | {f"{which}_{key}": value for key, value in geometry.items()}
        logger.info("%s %s: %s", method, which, found)
        facts |= found
        matrices.append(matrix)
    return Embeddings(matrices[0], matrices[1] if len(matrices) > 1 else None), facts


def _pairs(plan: Inputs, which: str) -> Pairs:
    # Rows of renamed tokens (id -1) are never read: the weights leave these tokens out.
    ids = np.maximum(plan.instruct_ids, 0)
    return Pairs(read_matrix(plan.base, which), read_matrix(plan.instruct, which), ids, plan.device)


def _read_problem(plan: Inputs, which: str, rows: str) -> Problem:
    """The sums that maps of one matrix are fitted on: its `shared` or `averaged` rows."""
    weights = _shared_rows(plan) if rows == "shared" else _averaged_rows(plan, plan.token_text)
    method = next(name for name, entry in METHODS.items() if entry.rows == rows)
    shared = f" ({weights.shape[0]} shared tokens)" if rows == "shared" else ""
    return read_problem(weights, _pairs(plan, which), plan.seed, f"{method} of the {which} matrix{shared}")


def _bytes_residuals(plan: Inputs, which: str, fit: Fit, name: str) -> dict[str, float]:
    """With published token texts: the residual of a map on the rows of the bytes, and the least possible one there."""
    moments = sum_moments(_averaged_rows(plan, "bytes"), _pairs(plan, which), name)
    found = moments.residual(fit.projection), moments.residual(solve(moments)[0])
    names = (f"{which}_bytes_residual", f"{which}_bytes_best_residual")
    return dict(zip(names, map(six_digits, found), strict=True))


def _propagate_matrix(plan: Inputs, which: str, fit: Fit | None, keeps_difference: bool) -> tuple[torch.Tensor, dict]:
    """The new matrix (rows, d) in the instruct model's dtype, and how its geometry changed."""
    donor, instruct = read_matrix(plan.donor, which), read_matrix(plan.instruct, which)
    difference = None
    if keeps_difference:
        difference = Difference(plan.operator.matrix, read_matrix(plan.base, which), instruct, plan.instruct_ids)
    # The donor may have padding rows, the new tokenizer may have added tokens of the instruct model.
    new = instruct.new_zeros((max(plan.tokens, len(donor)), donor.shape[1]))
    project(donor, fit.projection if fit else None, new, plan.device, difference)
    # Added tokens (chat markers) keep the rows that the instruct model has learned for them.
    new_ids, instruct_ids = (torch.from_numpy(ids) for ids in plan.copied)
    new[new_ids] = instruct[instruct_ids]
    if not all_finite(new):
        raise UserError(f"{plan.donor}: the {which} matrix contains NaN or infinite numbers; use an intact donor")
    geometry = changed_geometry(donor, new, *_compared_ids(plan), plan.seed) if plan.operator else {}
    return new, {key: value if value is None else six_digits(value) for key, value in geometry.items()}


def _compared_ids(plan: Inputs) -> tuple[np.ndarray, np.ndarray]:
    """Ids of the tokens that are made of several old ones, and of all tokens; without those whose rows are copied."""
    parts = np.diff(plan.operator.matrix.indptr)
    ids = np.setdiff1d(np.arange(len(parts)), plan.copied[0])
    return ids[parts[ids] > 1], ids


def _shared_rows(plan: Inputs) -> csr_matrix:
    """The rows that `overlap` is fitted on, as weights of the base's tokens, (rows, base tokens)."""
    known = plan.instruct_ids >= 0
    return identity(len(known), format="csr")[plan.operator.shared[known[plan.operator.shared]]]


def _averaged_rows(plan: Inputs, token_text: str) -> csr_matrix:
    """The rows that `conversion` and others are fitted on, as weights of the base's tokens, (rows, base tokens).

    Rows that average nothing, or a token that the instruct model lacks, are dropped: they do not constrain the map.
    """
    matrix = plan.operator.of(token_text)
    usable = np.diff(matrix.indptr) > 0
    unknown = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))[plan.instruct_ids[matrix.indices] < 0]
    usable[unknown] = False
    return matrix[np.flatnonzero(usable)]
