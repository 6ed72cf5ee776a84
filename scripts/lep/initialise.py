"""The averaging operator T of a pair of vocabularies, and mean initialisation with it (paper section 2.1.2).

T is a sparse matrix of shape (new tokens, old tokens): the row of a new token averages the rows of
the K old tokens it splits into (weights 1/K); a token that both vocabularies have keeps its row. It
is made once per pair and used by initialisation and by the vocabulary conversion of LEP alike.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file, save_file
from scipy.sparse import csr_matrix
from tqdm import tqdm

from lep.config import UserError
from lep.manifest import publish, published, read_manifest, staging
from lep.model_files import byte_view
from lep.model_store import Embeddings, derive_model, read_embeddings, tokenizer_sha256
from lep.sparse import BLOCK_ROWS, sparse_product
from lep.tokenizers import ByteView, overlap, readable_overlap

RECIPE_VERSION = 1
FILE = "operator.safetensors"
EMPTY_NORM = 1e-12  # rows below are replaced by the mean row (Llama 3 has rows of zeros)


@dataclass(frozen=True, eq=False)
class Operator:
    """T and what is known of its two vocabularies.

    `matrix`: (new tokens, old tokens), float64; the entries of a row stand in the order of the split.
    `mean_rows`: new ids that nothing old stands for (an empty row in `matrix`): they get the mean of
    the whole old matrix. `shared`: sorted old ids that the new vocabulary has too. The two hashes
    name the tokenizers it is valid for.
    """

    matrix: csr_matrix
    mean_rows: np.ndarray
    shared: np.ndarray
    old_sha256: str
    new_sha256: str
    facts: dict = field(default_factory=dict)

    def check(self, old: Path, new: Path) -> None:
        """Refuse use with other tokenizers than those of the folders `old` and `new`; prints both hashes."""
        for role, folder, mine in (("old", old, self.old_sha256), ("new", new, self.new_sha256)):
            theirs = tokenizer_sha256(folder)
            if theirs != mine:
                raise UserError(
                    f"the averaging operator was made for another {role} vocabulary: its tokenizer has sha256 {mine}, "
                    f"that of {folder} has {theirs}; make the operator for these two tokenizers"
                )


def make_operator(old_tokenizer: Path, new_tokenizer: Path, target: Path) -> None:
    """Build T for the tokenizers of two folders and publish it with the facts of the pair."""
    operator = build_operator(old_tokenizer, new_tokenizer)
    folder = staging(target)
    matrix = operator.matrix
    tensors = {"indptr": matrix.indptr, "indices": matrix.indices, "data": matrix.data}
    tensors |= {"mean_rows": operator.mean_rows, "shared": operator.shared}
    save_file(tensors, folder / FILE)
    (folder / FILE).chmod(0o644)
    publish(
        folder,
        target,
        recipe_version=RECIPE_VERSION,
        parents=published({"old": old_tokenizer, "new": new_tokenizer}),
        facts=operator.facts,
    )


def read_operator(folder: Path) -> Operator:
    """A published operator."""
    facts = read_manifest(folder)["facts"]
    try:
        tensors = load_file(Path(folder) / FILE)
    except FileNotFoundError:
        raise UserError(f"{Path(folder) / FILE} is missing; make the operator again") from None
    shape = (facts["new_tokens"], facts["old_tokens"])
    matrix = csr_matrix((tensors["data"], tensors["indices"], tensors["indptr"]), shape=shape)
    hashes = facts["old_tokenizer_sha256"], facts["new_tokenizer_sha256"]
    return Operator(matrix, tensors["mean_rows"], tensors["shared"], *hashes, facts)


def build_operator(old_tokenizer: Path, new_tokenizer: Path) -> Operator:
    """T for the tokenizers of two folders, in memory."""
    old, new = (byte_view(folder) for folder in (old_tokenizer, new_tokenizer))
    matrix, mean_rows, facts = averaging_matrix(old, new)
    shared = overlap(old, new)
    hashes = tokenizer_sha256(old_tokenizer), tokenizer_sha256(new_tokenizer)
    facts |= {
        "old_tokens": len(old),
        "new_tokens": len(new),
        "overlap": len(shared),
        "overlap_readable": len(readable := readable_overlap(old, new)),
        "overlap_differs": len(np.setxor1d(shared, readable)),
        "old_tokenizer_sha256": hashes[0],
        "new_tokenizer_sha256": hashes[1],
    }
    return Operator(matrix, mean_rows, shared, *hashes, facts)


def averaging_matrix(old: ByteView, new: ByteView) -> tuple[csr_matrix, np.ndarray, dict]:
    """T (new tokens, old tokens), the ids of rows that get the mean row, and how the rows came about.

    `kept` rows have a counterpart in the old vocabulary, `split` rows average its tokens, `mean`
    rows have neither (specials the old vocabulary lacks, unused ids); `incomplete` splits miss
    bytes that the old vocabulary cannot write.
    """
    indices: list[int] = []
    indptr = [0]
    kept = incomplete = 0
    for index in tqdm(range(len(new)), desc="averaging operator", mininterval=5, disable=None):
        counterpart = old.counterpart(new, index) if new.tokens[index] is not None else None
        if counterpart is not None:
            indices.append(counterpart)
            kept += 1
        elif new.data[index]:
            pieces = old.split(new.data[index])
            incomplete += old.joined(pieces) != new.data[index]
            indices += pieces
        indptr.append(len(indices))
    counts = np.diff(indptr)
    data = np.repeat(1.0 / np.maximum(counts, 1), counts)
    shape = (len(new), len(old))
    matrix = csr_matrix((data, np.array(indices, np.int64), np.array(indptr, np.int64)), shape=shape)
    mean_rows = np.flatnonzero(counts == 0)
    split = len(new) - kept - len(mean_rows)
    pieces = round(float((len(indices) - kept) / split), 6) if split else 0.0
    facts = {"kept": kept, "split": split, "mean": len(mean_rows), "incomplete": incomplete, "pieces_per_split": pieces}
    return matrix, mean_rows, facts


def apply_operator(operator: Operator, old: torch.Tensor) -> torch.Tensor:
    """The initial new matrix (new tokens, d) in the old one's dtype (paper equations 1 and 2).

    `old` is (rows, d) with at least one row per old token; padding rows behind them are not used.
    Averages in float64; rows without counterpart, or with a norm below 1e-12, become the mean of
    the old tokens' rows.
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


def initialise_embeddings(base: Path, operator: Path, vocabulary: Path, target: Path, seed: int | None = None) -> None:
    """Publish `base` with the new vocabulary: both matrices, each averaged from its own old one (tied: one)."""
    base, vocabulary = Path(base), Path(vocabulary)
    averaging = read_operator(operator)
    averaging.check(base, vocabulary)
    old = read_embeddings(base)
    matrices = [None if matrix is None else apply_operator(averaging, matrix) for matrix in (old.input, old.head)]
    derive_model(
        base,
        Embeddings(*matrices),
        vocabulary,
        target,
        recipe_version=RECIPE_VERSION,
        parents=published({"base": base, "operator": operator, "vocabulary": vocabulary}),
        seed=seed,
        facts={name: averaging.facts[name] for name in ("kept", "split", "mean", "overlap")},
    )
