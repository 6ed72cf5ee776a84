"""Pack documents into training blocks (paper section 2.4.1): each block starts at a document or a paragraph.

- A document becomes BOS + text + EOS, without BOS if the tokenizer has none; all documents form one token stream.
- A block has exactly `block_size` tokens. It starts at the first position that follows BOS, EOS or a newline token and
  is not itself EOS or a newline token.
- The search for the next block starts after it: the tokens up to the next paragraph are dropped, and counted.
- Memory is constant: text is streamed, blocks are memory-mapped files.
- One job packs one part of the text; no block runs over the end of a part.
"""

import dataclasses
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy
from pydantic.dataclasses import dataclass
from tokenizers import Tokenizer

from lep.config import STRICT, UserError
from lep.corpus.documents import text_of
from lep.files import link_or_copy, write_json
from lep.manifest import publish, staging
from lep.pretraining.selection import PackingRecipe, Selection, select_documents, selected
from lep.vocabulary.tokenizer_file import SETTINGS, load_backend, load_tokenizer, rows_of, tokenizer_sha256

RECIPE_VERSION = 2
_SHARDS = "blocks-*.npy"
_BLOCKS, _COUNTS = "blocks.npy", "counts.json"  # of one part
_BATCH = 512  # documents encoded in one call


@dataclass(frozen=True, config=STRICT)
class SpecialIds:
    """The ids that mark the structure of a token stream."""

    bos: int | None  # None: the model was trained without
    eos: int
    newline: frozenset[int]  # ids whose text begins or ends with a newline


def pack_part(
    documents: Path,
    counts: Sequence[Path],
    tokenizer: Path,
    part: int,
    target: Path,
    recipe: PackingRecipe,
    threads: int = 1,
) -> None:
    """Encode one part of the documents of a JSONL file; write the folder `target` with `blocks.npy` and `counts.json`.

    - `counts`: what `count_part` found, a file for each part
    - `tokenizer`: folder with the tokenizer
    - `blocks.npy` has shape (blocks, block_size), uint16 if the ids fit, else uint32, little-endian
    """
    os.environ |= {"TOKENIZERS_PARALLELISM": "true" if threads > 1 else "false", "RAYON_NUM_THREADS": str(threads)}
    encoder, special = load_encoder(tokenizer)
    dtype = numpy.dtype("<u2" if rows_of(encoder) <= 2**16 else "<u4")
    packer, found = Packer(recipe.block_size, special), Counter(documents=0, characters=0)
    texts = selected(documents, part, len(counts), _selection(counts, recipe))
    folder = staging(target)
    with open(folder / _BLOCKS, "wb") as file:
        _write_header(file, 0, recipe.block_size, dtype)  # again below, when the number of blocks is known
        for batch in encode_documents(texts, encoder, special):
            found.update(documents=batch.documents, characters=batch.characters)
            file.write(packer.add(batch.tokens).astype(dtype).tobytes())
        _write_header(file, packer.blocks, recipe.block_size, dtype)
    write_json(folder / _COUNTS, {**found, "tokens": packer.tokens, "blocks": packer.blocks})
    shutil.rmtree(target, ignore_errors=True)
    os.replace(folder, target)


def join_parts(
    parts: Sequence[Path], counts: Sequence[Path], tokenizer: Path, corpus: Path, target: Path, recipe: PackingRecipe
) -> None:
    """Publish the blocks of all parts as `target/blocks-NNNNN.npy`, in order.

    The manifest's facts count documents, characters, tokens, and what was left out: reserved and unused text, dropped
    tokens. Raises `UserError` if the documents do not fill one block.
    """
    found: Counter = Counter()
    folder = staging(target)
    for number, part in enumerate(parts):
        here = json.loads((part / _COUNTS).read_text(encoding="utf-8"))
        found.update(here)
        if here["blocks"]:
            link_or_copy(part / _BLOCKS, folder / f"blocks-{number:05d}.npy")
    if not found["blocks"]:
        raise UserError(
            f"{corpus} fills no block of {recipe.block_size} tokens; add text or set a smaller pretraining.block_size"
        )
    publish(
        folder,
        target,
        recipe_version=RECIPE_VERSION,
        parents={"tokenizer": tokenizer, "corpus": corpus},
        seed=recipe.seed,
        config=dict(vars(recipe)),
        facts={
            **_selection(counts, recipe).counts,
            **found,
            "dropped_tokens": found["tokens"] - found["blocks"] * recipe.block_size,
            "tokenizer_sha256": tokenizer_sha256(tokenizer),
        },
    )


def _selection(counts: Sequence[Path], recipe: PackingRecipe) -> Selection:
    return select_documents([json.loads(path.read_text(encoding="utf-8")) for path in counts], recipe)


class Blocks:
    """Blocks of tokens in one or several memory-mapped arrays of shape (blocks, block_size)."""

    def __init__(self, arrays: Sequence[numpy.ndarray]) -> None:
        self._arrays = arrays
        self._ends = numpy.cumsum([len(array) for array in arrays])
        self.block_size = arrays[0].shape[1]

    def __len__(self) -> int:
        return int(self._ends[-1])

    def take(self, indices: Sequence[int]) -> numpy.ndarray:
        """The blocks of these indices, shape (n, block_size)."""
        places = numpy.searchsorted(self._ends, indices, side="right")
        starts = numpy.concatenate([[0], self._ends])
        return numpy.stack([self._arrays[k][i - starts[k]] for k, i in zip(places, indices, strict=True)])


def open_blocks(folder: Path) -> Blocks:
    """The blocks of a packed folder; raises `UserError` if there are none or they are damaged."""
    paths = sorted(folder.glob(_SHARDS))
    if not paths:
        raise UserError(f"{folder} has no packed blocks; run the packing again")
    try:
        return Blocks([numpy.load(path, mmap_mode="r", allow_pickle=False) for path in paths])
    except ValueError as error:
        raise UserError(f"{folder} has damaged blocks ({error}); run the packing again") from None


class Packer:
    """Cuts a token stream, given in pieces of any size, into blocks."""

    def __init__(self, block_size: int, special: SpecialIds) -> None:
        self.block_size = block_size
        self.blocks = 0
        self.tokens = 0
        opens = {special.bos, special.eos, *special.newline} - {None}
        self._opens = numpy.array(sorted(opens))  # a block may start after these
        self._skipped = numpy.array(sorted({special.eos, *special.newline}))  # but not with these
        self._rest = numpy.empty(0, numpy.int64)
        self._before = special.eos  # the token in front of `_rest`

    @property
    def dropped(self) -> int:
        """Tokens seen so far that are in no block, including those that wait for more tokens."""
        return self.tokens - self.blocks * self.block_size

    def add(self, tokens: numpy.ndarray) -> numpy.ndarray:
        """Take the next tokens (any length); returns the blocks they complete, shape (k, block_size)."""
        self.tokens += len(tokens)
        stream = numpy.concatenate([self._rest, tokens])
        # All positions where a block may start ...
        before = numpy.concatenate([[self._before], stream[:-1]]) if len(stream) else stream
        starts = numpy.flatnonzero(numpy.isin(before, self._opens) & ~numpy.isin(stream, self._skipped))
        # ... and of these the first one after each block.
        chosen, position = [], 0
        while True:
            index = int(numpy.searchsorted(starts, position))
            if index == len(starts):  # no block can start in the rest, so it is dropped
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
    """The tokenizer of a folder, which encodes special tokens in a text as plain text, and its special ids.

    Raises `UserError` if there is no usable tokenizer, or it names no EOS.
    """
    encoder, tokenizer = load_backend(folder), load_tokenizer(folder)
    encoder.encode_special_tokens = True
    encoder.no_padding()
    encoder.no_truncation()
    if tokenizer.eos_token_id is None:
        raise UserError(f"{folder / SETTINGS} names no eos_token of the vocabulary; add one")
    return encoder, SpecialIds(tokenizer.bos_token_id, tokenizer.eos_token_id, newline_ids(encoder))


def newline_ids(encoder: Tokenizer) -> frozenset[int]:
    """Ids whose text begins or ends with a newline, the byte piece `<0x0A>` of SentencePiece included."""
    texts = encoder.decode_batch([[index] for index in range(rows_of(encoder))], skip_special_tokens=True)
    return frozenset(index for index, text in enumerate(texts) if text.startswith("\n") or text.endswith("\n"))


def encode_document(document: dict, encoder: Tokenizer, special: SpecialIds) -> tuple[list[int], int]:
    """BOS (if there is one) + text + EOS of one document, and the number of characters of its text."""
    text = text_of(document).strip()
    return [*_start(special), *encoder.encode(text, add_special_tokens=False).ids, special.eos], len(text)


def _start(special: SpecialIds) -> list[int]:
    return [] if special.bos is None else [special.bos]


@dataclasses.dataclass(frozen=True)
class Batch:
    """The token stream of a few documents."""

    tokens: numpy.ndarray  # (tokens,), int64
    documents: int
    characters: int


def encode_documents(documents: Iterable[dict], encoder: Tokenizer, special: SpecialIds) -> Iterator[Batch]:
    """Encode documents in batches."""
    texts: list[str] = []
    for document in documents:
        texts.append(text_of(document).strip())
        if len(texts) == _BATCH:
            yield _encode_batch(texts, encoder, special)
            texts = []
    if texts:
        yield _encode_batch(texts, encoder, special)


def _encode_batch(texts: list[str], encoder: Tokenizer, special: SpecialIds) -> Batch:
    ids: list[int] = []
    for encoding in encoder.encode_batch_fast(texts, add_special_tokens=False):
        ids += _start(special)
        ids += encoding.ids
        ids.append(special.eos)
    return Batch(numpy.array(ids, numpy.int64), len(texts), sum(map(len, texts)))


def _write_header(file, blocks: int, block_size: int, dtype: numpy.dtype) -> None:
    """Write the `.npy` header in place; numpy pads it so that a longer count fits."""
    file.seek(0)
    description = {"descr": dtype.str, "fortran_order": False, "shape": (blocks, block_size)}
    numpy.lib.format.write_array_header_1_0(file, description)
