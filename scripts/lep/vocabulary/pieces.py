"""The pieces of a SentencePiece model: their kinds, their merges, their scripts."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from google.protobuf.message import DecodeError
from sentencepiece import sentencepiece_model_pb2

from lep.config import UserError
from lep.corpus.scripts import has_letter

Piece = tuple[str, float, int]  # text, score, type
NORMAL, UNKNOWN, CONTROL = 1, 2, 3
_BYTE = 6
_MODEL_TYPES = {1: "unigram", 2: "bpe"}
_BYTES = 256
OTHER = "other"


def read_pieces(model: Path) -> list[Piece]:
    """(piece, score, type) by id."""
    return [(piece.piece, piece.score, piece.type) for piece in _read(model).pieces]


def model_faults(model: Path, model_type: str, size: int) -> list[str]:
    """Why the file cannot stand for a model of this type and size that is trained here; empty if it can."""
    try:
        proto = _read(model)
    except UserError as error:
        return [str(error)]
    found = _MODEL_TYPES.get(proto.trainer_spec.model_type, "another type")
    faults = []
    if (found, len(proto.pieces)) != (model_type, size):
        faults.append(f"{model} is {found} with {len(proto.pieces)} pieces, not {model_type} with {size}")
    if sum(piece.type == _BYTE for piece in proto.pieces) != _BYTES:
        faults.append(f"{model} has no byte pieces; train it with byte_fallback=true")
    if not proto.pieces or proto.pieces[0].type != UNKNOWN:
        faults.append(f"{model} has no unknown piece with id 0; train it with unk_id=0")
    return faults


def is_text_piece(piece: Piece) -> bool:
    """Whether a piece is text, not `<unk>`, a control or a byte piece."""
    return piece[2] == NORMAL


def bpe_merges(pieces: list[Piece]) -> list[tuple[str, str]]:
    """The merges of a SentencePiece BPE model: every split of a piece into two pieces, in the order of piece rank."""
    ids = {piece: index for index, (piece, _, _) in enumerate(pieces)}
    ranked = sorted((p for p in pieces if p[2] == NORMAL and len(p[0]) > 1), key=lambda p: (-p[1], ids[p[0]]))
    merges = []
    for piece, _, _ in ranked:
        splits = [(piece[:cut], piece[cut:]) for cut in range(1, len(piece))]
        merges += sorted((s for s in splits if s[0] in ids and s[1] in ids), key=lambda s: (ids[s[0]], ids[s[1]]))
    return merges


def count_scripts(pieces: Iterable[Piece], scripts: Iterable[str]) -> dict[str, int]:
    """Pieces of text by the first of `scripts` that they have a letter of, else `other` (digits and punctuation)."""
    wanted = list(dict.fromkeys(scripts))
    counts = Counter(
        next((script for script in wanted if has_letter(piece[0], script)), OTHER)
        for piece in filter(is_text_piece, pieces)
    )
    return {script: counts[script] for script in (*wanted, OTHER)}


def _read(model: Path) -> sentencepiece_model_pb2.ModelProto:
    try:
        found = sentencepiece_model_pb2.ModelProto.FromString(Path(model).read_bytes())
    except DecodeError:
        found = None
    if not found or not found.pieces:
        raise UserError(f"{model} is not a SentencePiece model, or has no pieces; train or fetch it again")
    return found
