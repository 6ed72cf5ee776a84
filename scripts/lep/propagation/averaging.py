"""The averaging operator T of a pair of vocabularies (paper section 2.1.2).

T is a sparse matrix of shape (new tokens, old tokens): the row of a new token averages the rows of the K old tokens it
is split into (weights 1/K); a token that both vocabularies have keeps its row. T is made once per pair of vocabularies
and used by the initialisation and by the method conversion of LEP.

The published conversion splits the string of a token as if it were text. In a byte-level vocabulary this string writes
bytes as characters (`ÑģÐ°Ð½Ð°` for "сана"), so its T is another one. Both are stored.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file
from scipy.sparse import csr_matrix
from tqdm import tqdm

from lep.config import UserError
from lep.manifest import publish, read_manifest, staging, with_manifest
from lep.models.folder import byte_view, tokenizer_sha256
from lep.vocabulary.byte_view import ByteView, overlap, readable_overlap

RECIPE_VERSION = 2
FILE = "operator.safetensors"
TOKEN_TEXTS = ("bytes", "published")  # what the method conversion splits: the bytes of a token, or its string
_MATRICES, _PARTS = ("matrix", "published"), ("data", "indices", "indptr")


@dataclass(frozen=True, eq=False)
class Operator:
    """T of two vocabularies, and facts about the pair."""

    matrix: csr_matrix  # T, (new tokens, old tokens), float64; the entries of a row in the order of the split
    published: csr_matrix | None  # the T of the published splits, in the same form; None = not asked for
    mean_rows: np.ndarray  # new ids without old tokens (empty rows of `matrix`): they get the mean of the old matrix
    shared: np.ndarray  # sorted ids of the old tokens that the new vocabulary also has
    old_sha256: str  # hash of the old tokenizer
    new_sha256: str  # hash of the new tokenizer
    facts: dict = field(default_factory=dict)

    def of(self, token_text: str) -> csr_matrix:
        """T for one of `TOKEN_TEXTS`."""
        return self.published if token_text == "published" else self.matrix

    def check(self, old: Path, new: Path) -> None:
        """Raise `UserError`, with both hashes, if T was made for other tokenizers than those of `old` and `new`."""
        for role, folder, mine in (("old", old, self.old_sha256), ("new", new, self.new_sha256)):
            theirs = tokenizer_sha256(folder)
            if theirs != mine:
                raise UserError(
                    f"the averaging operator was made for another {role} vocabulary: its tokenizer has sha256 {mine}, "
                    f"but {folder} has {theirs}; make the operator for these two tokenizers"
                )


def make_operator(old_tokenizer: Path, new_tokenizer: Path, target: Path) -> None:
    """Build T for the tokenizers of two folders and publish it with the facts of the pair."""
    operator = build_operator(old_tokenizer, new_tokenizer)
    folder = staging(target)
    tensors = {"mean_rows": operator.mean_rows, "shared": operator.shared}
    for name in _MATRICES:
        matrix = getattr(operator, name)
        tensors |= {f"{name}.{part}": getattr(matrix, part) for part in _PARTS}
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
    """Read a published operator; raises `UserError` if a file is missing."""
    facts = read_manifest(folder)["facts"]
    try:
        tensors = load_file(Path(folder) / FILE)
    except FileNotFoundError:
        raise UserError(f"{Path(folder) / FILE} is missing; make the operator again") from None
    shape = (facts["new_tokens"], facts["old_tokens"])
    matrices = [csr_matrix(tuple(tensors[f"{name}.{part}"] for part in _PARTS), shape=shape) for name in _MATRICES]
    hashes = facts["old_tokenizer_sha256"], facts["new_tokenizer_sha256"]
    return Operator(*matrices, tensors["mean_rows"], tensors["shared"], *hashes, facts)


def build_operator(old_tokenizer: Path, new_tokenizer: Path, published: bool = True) -> Operator:
    """T for the tokenizers of two folders, in memory; without that of the `published` splits, in half of the time."""
    old, new = (byte_view(folder) for folder in (old_tokenizer, new_tokenizer))
    matrix, mean_rows, facts = averaging_matrix(old, new)
    splits, differs = published_matrix(old, new, matrix) if published else (None, None)
    shared = overlap(old, new)
    hashes = tokenizer_sha256(old_tokenizer), tokenizer_sha256(new_tokenizer)
    facts |= {} if differs is None else {"published_differs": differs}
    facts |= {
        "old_tokens": len(old),
        "new_tokens": len(new),
        "overlap": len(shared),
        "overlap_readable": len(readable := readable_overlap(old, new)),
        "overlap_differs": len(np.setxor1d(shared, readable)),
        "old_tokenizer_sha256": hashes[0],
        "new_tokenizer_sha256": hashes[1],
    }
    return Operator(matrix, splits, mean_rows, shared, *hashes, facts)


def averaging_matrix(old: ByteView, new: ByteView) -> tuple[csr_matrix, np.ndarray, dict]:
    """T (new tokens, old tokens), the ids of rows that get the mean row, and the counts of rows:

    - `kept`: the old vocabulary has the token
    - `split`: the token is split into old tokens; `incomplete` of them miss bytes that the old vocabulary cannot write
    - `mean`: neither (special tokens that the old vocabulary lacks, unused ids)
    """
    splits: list[list[int]] = []
    kept = incomplete = 0
    for index in tqdm(range(len(new)), desc="averaging operator", mininterval=5, disable=None):
        counterpart = old.counterpart(new, index) if new.tokens[index] is not None else None
        if counterpart is not None:
            splits.append([counterpart])
            kept += 1
        elif new.data[index]:
            splits.append(old.split(new.data[index]))
            incomplete += old.joined(splits[-1]) != new.data[index]
        else:
            splits.append([])
    matrix = _averages(splits, len(old))
    mean_rows = np.flatnonzero(np.diff(matrix.indptr) == 0)
    split = len(new) - kept - len(mean_rows)
    pieces = round(float((matrix.nnz - kept) / split), 6) if split else 0.0
    facts = {"kept": kept, "split": split, "mean": len(mean_rows), "incomplete": incomplete, "pieces_per_split": pieces}
    return matrix, mean_rows, facts


def published_matrix(old: ByteView, new: ByteView, matrix: csr_matrix) -> tuple[csr_matrix, int]:
    """The T of the published conversion, and how many of its rows differ from those of `matrix`.

    The string of each token is split as text inside a word, with the old pre-tokenizer, even if both vocabularies have
    the token; `<0x41>` is split as six characters. Special and added tokens keep the rows of `matrix`.
    """
    splits = [row.tolist() for row in np.split(matrix.indices, matrix.indptr[1:-1])]
    named = {*new.specials, *new.added.values()}
    texts = {index: new.spelling(index) for index in range(len(new)) if new.tokens[index] and index not in named}
    found = dict(zip(texts, old.encode_inside(texts.values()), strict=True))
    differs = sum(split != splits[index] for index, split in found.items())
    return _averages([found.get(index, split) for index, split in enumerate(splits)], len(old)), differs


def _averages(splits: Sequence[Sequence[int]], old_tokens: int) -> csr_matrix:
    """(splits, old tokens): a row has equal weights of sum 1, in the order of its split; an empty split, none."""
    counts = np.array([len(split) for split in splits], np.int64)
    indices = np.fromiter(chain.from_iterable(splits), np.int64, counts.sum())
    data = np.repeat(1.0 / np.maximum(counts, 1), counts)
    return csr_matrix((data, indices, np.append(0, counts.cumsum())), shape=(len(splits), old_tokens))
