"""The averaging operator T of a pair of vocabularies (paper section 2.1.2).

T is a sparse matrix of shape (new tokens, old tokens): the row of a new token averages the rows of
the K old tokens it splits into (weights 1/K); a token that both vocabularies have keeps its row. It
is made once per pair and used by initialisation and by the vocabulary conversion of LEP alike.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file
from scipy.sparse import csr_matrix
from tqdm import tqdm

from lep.config import UserError
from lep.manifest import publish, read_manifest, staging, with_manifest
from lep.models.folder import byte_view, tokenizer_sha256
from lep.vocabulary.byte_view import ByteView, overlap, readable_overlap

RECIPE_VERSION = 1
FILE = "operator.safetensors"


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
        parents=with_manifest({"old": old_tokenizer, "new": new_tokenizer}),
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
