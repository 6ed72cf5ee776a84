"""The inputs that all methods of LEP and both matrices share, and their checks."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lep.config import UserError
from lep.log import logger
from lep.methods import METHODS
from lep.models.folder import (
    Embeddings,
    byte_view,
    check_finite,
    check_ids,
    check_shapes,
    is_tied,
    load_tokenizer,
    read_matrix,
    tokenizer_sha256,
)
from lep.models.safetensors_header import check_body
from lep.propagation.averaging import Operator, build_operator, read_operator
from lep.propagation.fit import MapSettings
from lep.vocabulary.byte_view import ByteView


@dataclass(frozen=True, eq=False)
class Inputs:
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
    token_text: str  # of the averaged rows: one of TOKEN_TEXTS
    maps: MapSettings


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


def check_models(base: Path, instruct: Path, donor: Path) -> None:
    """All checks that need no fit; raises `UserError`."""
    tying = {str(folder): is_tied(folder) for folder in (base, instruct, donor)}
    if len(set(tying.values())) > 1:
        raise UserError(
            f"base, instruct and donor must have the same tie_word_embeddings, found {tying}; "
            "use three models of one family"
        )
    check_body(instruct)
    shapes = {}
    for folder in (base, instruct, donor):
        matrix = read_matrix(folder, "input")
        head = None if tying[str(folder)] else read_matrix(folder, "head")
        check_shapes(Embeddings(matrix, head), folder)
        check_ids(load_tokenizer(folder), len(matrix), folder)
        check_finite(matrix, "input", folder)
        if head is not None:
            check_finite(head, "head", folder)
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


def find_operator(
    base: Path, donor: Path, operator: Path | None, methods: Iterable[str], token_text: str
) -> Operator | None:
    """The published averaging operator or, without one, a new one; None if no method needs it."""
    if operator is None:
        needed = any(METHODS[method].rows or METHODS[method].keeps_difference for method in methods)
        return build_operator(base, donor, published=token_text == "published") if needed else None
    averaging = read_operator(operator)
    averaging.check(base, donor)
    return averaging


def operator_facts(operator: Operator | None) -> dict[str, int]:
    """The operator's facts that a propagated model repeats."""
    names = ("overlap", "overlap_readable", "overlap_differs", "published_differs")
    return {name: operator.facts[name] for name in names if name in operator.facts} if operator else {}
