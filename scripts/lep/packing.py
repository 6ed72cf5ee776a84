"""From documents to training blocks (paper section 2.4.1): each block starts at a document or a paragraph.

A document becomes BOS + text + EOS. All documents form one stream. A block starts at the first
position that follows BOS, EOS or a newline token and is not itself EOS or a newline token, and takes
exactly `block_size` tokens. The search goes on behind it, so the tokens up to the next paragraph are
dropped, and counted.
"""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy
from pydantic.dataclasses import dataclass
from tokenizers import Tokenizer

from lep.config import STRICT, UserError
from lep.corpus import copies, text_of
from lep.manifest import publish, staging

RECIPE_VERSION = 1
BLOCKS = "blocks.npy"
_BATCH = 512  # documents encoded in one call


@dataclass(frozen=True, config=STRICT)
class PackingRecipe:
    """What decides the blocks.

    `block_size` in tokens. `language_weights` are the wanted shares of characters by language; as many
    documents are used as the scarcest language allows. Empty: every document. A share of `reserve` of the
    groups of documents is left out, for the copy task of the calibration.
    """

    block_size: int
    language_weights: dict[str, float] | None = None
    reserve: float = 0.05
    seed: int = 42


@dataclass(frozen=True, config=STRICT)
class SpecialIds:
    """The ids that mark the structure of a token stream."""

    bos: int
    eos: int
    newline: frozenset[int]


def pack_corpus(documents: Path, tokenizer: Path, target: Path, recipe: PackingRecipe) -> None:
    """Encode the documents of a JSONL file with the tokenizer of a folder and publish `target/blocks.npy`.

    The array has shape (blocks, block_size), uint16 where the ids fit, else uint32, little-endian. The
    manifest's facts count documents, characters, tokens, and dropped tokens.
    """
    from lep.model_files import tokenizer_sha256  # brings torch

    encoder, special = load_encoder(tokenizer)
    chosen = choose_documents(documents, recipe)
    dtype = numpy.dtype("<u2" if encoder.get_vocab_size() <= 2**16 else "<u4")
    packer = Packer(recipe.block_size, special)
    counts = Counter(documents=len(chosen))
    folder = staging(target)
    with open(folder / BLOCKS, "wb") as file:
        _write_header(file, 0, recipe.block_size, dtype)
        for tokens in encode_documents(_read_at(documents, chosen), encoder, special, counts):
            file.write(packer.add(tokens).astype(dtype).tobytes())
        _write_header(file, packer.blocks, recipe.block_size, dtype)
    if not packer.blocks:
        raise UserError(
            f"{documents} gives no block of {recipe.block_size} tokens; add text or set a smaller "
            "pretraining.block_size"
        )
    publish(
        folder,
        target,
        recipe_version=RECIPE_VERSION,
        parents={"tokenizer": tokenizer, "corpus": documents.parent},
        seed=recipe.seed,
        config=dict(vars(recipe)),
        facts={
            **counts,
            "blocks": packer.blocks,
            "tokens": packer.tokens,
            "dropped_tokens": packer.dropped,
            "tokenizer_sha256": tokenizer_sha256(tokenizer),
        },
    )


def open_blocks(folder: Path) -> numpy.ndarray:
    """The blocks of a packed folder, memory-mapped: shape (blocks, block_size)."""
    path = folder / BLOCKS
    try:
        return numpy.load(path, mmap_mode="r", allow_pickle=False)
    except (FileNotFoundError, ValueError) as error:
        raise UserError(f"{path} is not a file of packed blocks ({error}); run the packing again") from None


class Packer:
    """Cuts a token stream, given in pieces of any size, into blocks."""

    def __init__(self, block_size: int, special: SpecialIds) -> None:
        self.block_size = block_size
        self.blocks = 0
        self.tokens = 0
        self._opens = numpy.array(sorted({special.bos, special.eos, *special.newline}))
        self._skipped = numpy.array(sorted({special.eos, *special.newline}))
        self._rest = numpy.empty(0, numpy.int64)
        self._before = special.eos  # the token in front of `_rest`

    @property
    def dropped(self) -> int:
        """Tokens seen so far that are in no block, those that still wait for one included."""
        return self.tokens - self.blocks * self.block_size

    def add(self, tokens: numpy.ndarray) -> numpy.ndarray:
        """Take the next tokens (any length); returns the blocks they complete, shape (k, block_size)."""
        self.tokens += len(tokens)
        stream = numpy.concatenate([self._rest, tokens])
        before = numpy.concatenate([[self._before], stream[:-1]]) if len(stream) else stream
        starts = numpy.flatnonzero(numpy.isin(before, self._opens) & ~numpy.isin(stream, self._skipped))
        chosen, position = [], 0
        while True:
            index = int(numpy.searchsorted(starts, position))
            if index == len(starts):  # nothing more can start here
                position = len(stream)
                break
            position = int(starts[index])
            if position + self.block_size > len(stream):  # wait for more tokens
                break
            chosen.append(position)
            position += self.block_size
        if position:
            self._before = int(stream[position - 1])
        self._rest = stream[position:]
        self.blocks += len(chosen)
        return stream[numpy.array(chosen, numpy.int64)[:, None] + numpy.arange(self.block_size)]


def load_encoder(folder: Path) -> tuple[Tokenizer, SpecialIds]:
    """The tokenizer of a folder, set to read special tokens in a text as plain text, and its special ids."""
    try:
        encoder = Tokenizer.from_file(str(folder / "tokenizer.json"))
        settings = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    except Exception as error:  # the Rust library raises plain Exception
        raise UserError(f"{folder} holds no usable tokenizer ({error}); give a folder with tokenizer.json") from None
    encoder.encode_special_tokens = True
    encoder.no_padding()
    encoder.no_truncation()
    ids = {}
    for role in ("bos_token", "eos_token"):
        token = settings.get(role)
        token = token["content"] if isinstance(token, dict) else token
        ids[role] = encoder.token_to_id(token) if token else None
        if ids[role] is None:
            raise UserError(f"{folder / 'tokenizer_config.json'} names no {role} of the vocabulary; add one")
    return encoder, SpecialIds(ids["bos_token"], ids["eos_token"], newline_ids(encoder))


def newline_ids(encoder: Tokenizer) -> frozenset[int]:
    """Ids whose text begins or ends with a newline, the byte piece `<0x0A>` of SentencePiece included."""
    size = encoder.get_vocab_size()
    texts = encoder.decode_batch([[index] for index in range(size)], skip_special_tokens=True)
    return frozenset(index for index, text in enumerate(texts) if text.startswith("\n") or text.endswith("\n"))


def encode_document(document: dict, encoder: Tokenizer, special: SpecialIds) -> tuple[list[int], int]:
    """BOS + text + EOS of one document, and the number of characters of its text."""
    text = text_of(document).strip()
    return [special.bos, *encoder.encode(text, add_special_tokens=False).ids, special.eos], len(text)


def encode_documents(
    documents: Iterable[dict], encoder: Tokenizer, special: SpecialIds, counts: Counter
) -> Iterator[numpy.ndarray]:
    """The token stream of documents in pieces; `counts["characters"]` grows with it."""
    texts: list[str] = []
    for document in documents:
        texts.append(text_of(document).strip())
        if len(texts) == _BATCH:
            yield _encode_batch(texts, encoder, special, counts)
            texts = []
    if texts:
        yield _encode_batch(texts, encoder, special, counts)


def is_reserved(group: str, fraction: float, seed: int) -> bool:
    """True for the groups of documents that pre-training never sees: a hash of seed and group decides."""
    digest = hashlib.sha256(f"{seed}/reserve/{group}".encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64 < fraction


def choose_documents(path: Path, recipe: PackingRecipe) -> list[int]:
    """Byte offsets of the documents to use, in the order of the run.

    A document with a `weight` is used that often. The order is a hash of seed, id and language, so that
    adding a document moves no other. With language weights each language gives its share of characters, in that order.
    """
    index = []  # (hash, language, characters, offset)
    offset = 0
    with open(path, "rb") as file:
        for line in file:
            document = json.loads(line)
            if is_reserved(document["group"], recipe.reserve, recipe.seed):
                offset += len(line)
                continue
            key = f"{recipe.seed}/{document['id']}/{document['language']}".encode()
            characters = sum(len(paragraph["text"]) for paragraph in document["paragraphs"])
            for copy in range(copies(document, recipe.seed)):  # apart from one another
                digest = hashlib.blake2b(key + b"/%d" % copy if copy else key, digest_size=8).digest()
                index.append((digest, document["language"], characters, offset))
            offset += len(line)
    index.sort()
    if not recipe.language_weights:
        return [entry[3] for entry in index]
    budget = _budgets(index, recipe.language_weights, path)
    chosen = []
    for _, language, characters, offset in index:
        if budget.get(language, 0) > 0:
            budget[language] -= characters
            chosen.append(offset)
    return chosen


def _budgets(index: list[tuple], weights: dict[str, float], path: Path) -> dict[str, float]:
    present: Counter = Counter()
    for _, language, characters, _ in index:
        present[language] += characters
    wanted = {language: weight for language, weight in weights.items() if weight > 0}
    for language in wanted:
        if not present[language]:
            raise UserError(
                f"{path} has no text in {language!r} but pretraining.language_weights asks for it; "
                f"use languages out of {sorted(present)}"
            )
    if not wanted:
        raise UserError("pretraining.language_weights has no positive weight; give at least one language a share")
    total = min(present[language] / weight for language, weight in wanted.items())
    return {language: weight * total for language, weight in wanted.items()}


def _encode_batch(texts: list[str], encoder: Tokenizer, special: SpecialIds, counts: Counter) -> numpy.ndarray:
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    counts["characters"] += sum(map(len, texts))
    ids: list[int] = []
    for encoding in encoder.encode_batch_fast(texts, add_special_tokens=False):
        ids.append(special.bos)
        ids += encoding.ids
        ids.append(special.eos)
    return numpy.array(ids, numpy.int64)


def _read_at(path: Path, offsets: list[int]) -> Iterator[dict]:
    with open(path, "rb") as file:
        for offset in offsets:
            file.seek(offset)
            yield json.loads(file.readline())


def _write_header(file, blocks: int, block_size: int, dtype: numpy.dtype) -> None:
    """Write the `.npy` header in place; numpy pads it so that a longer count fits."""
    file.seek(0)
    description = {"descr": dtype.str, "fortran_order": False, "shape": (blocks, block_size)}
    numpy.lib.format.write_array_header_1_0(file, description)
