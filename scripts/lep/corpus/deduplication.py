"""Deduplication: exact paragraphs by hash, near-duplicate documents by MinHash-LSH (datasketch).

- The job of a shard writes sorted files of keys.
- The job of a bucket (a range of keys) searches all shards for repeated keys. So no job has more than one shard or one
  bucket in memory.
- The first occurrence stays, in the order of the sources.
- Keys have 64 bits: among 10^9 paragraphs the probability of any collision is 3 %.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy
import xxhash
from pydantic.dataclasses import dataclass

from lep.config import STRICT, UserError
from lep.files import read_jsonl, written_by_rename

# For the key of a band, `paragraph` is the row of the document's signature.
ENTRY = numpy.dtype([("key", "<u8"), ("document", "<u4"), ("paragraph", "<u4")])
REPEAT = numpy.dtype([("shard", "<u4"), ("document", "<u4"), ("paragraph", "<u4")])
# In the REPEAT of a document, `paragraph` is the reason.
NEAR, SAME_ID = 0, 1
_CHUNK = 4096  # shingles or pairs processed at once: the arrays fit the cache, however long a document is
_PRIME = 0x9E3779B97F4A7C15  # odd, so that powers of it never vanish modulo 2**64


@dataclass(frozen=True, config=STRICT)
class NearRecipe:
    """Which documents are near duplicates: their sets of word shingles are similar."""

    threshold: float = 0.8  # least estimated Jaccard similarity, 0 to 1
    permutations: int = 128  # length of a signature
    shingle_words: int = 5  # words of a shingle
    minimum_shingles: int = 20  # documents with fewer are never compared


class Signer:
    """MinHash signatures of texts and the keys of their bands; datasketch chooses the number of bands and rows."""

    def __init__(self, recipe: NearRecipe) -> None:
        from datasketch import MinHash, MinHashLSH  # imports scipy (0.5 s), which readers of keys do not need

        self.recipe = recipe
        self._empty = MinHash(recipe.permutations, hashfunc=int, scheme="affine32")
        index = MinHashLSH(recipe.threshold, recipe.permutations)
        self._bands = [slice(low, high) for low, high in index.hashranges]

    def sign(self, text: str) -> numpy.ndarray | None:
        """The signature, shape (permutations,), uint32; None for a text with too few shingles."""
        hashes = shingles(text, self.recipe.shingle_words)
        if len(hashes) < self.recipe.minimum_shingles:
            return None
        sketch = self._empty.copy()
        for start in range(0, len(hashes), _CHUNK):
            sketch.update_batch(hashes[start : start + _CHUNK].tolist())
        return sketch.hashvalues

    def band_keys(self, signature: numpy.ndarray) -> list[int]:
        """One key of 64 bits for each band."""
        return [xxhash.xxh3_64_intdigest(signature[band].tobytes(), seed=i) for i, band in enumerate(self._bands)]


def shingles(text: str, words: int) -> numpy.ndarray:
    """Hashes (uint32) of all runs of `words` words, ignoring case; a shorter text gives one hash, an empty one none."""
    found = text.casefold().encode("utf-8", "replace").split()
    hashes = numpy.fromiter(map(xxhash.xxh3_64_intdigest, found), numpy.uint64, len(found))
    width = min(words, len(hashes))
    if not width:
        return numpy.zeros(0, numpy.uint32)
    # Polynomial hash of each run, modulo 2**64, from the hashes of its words.
    total = numpy.zeros(len(hashes) - width + 1, numpy.uint64)
    for place in range(width):
        power = numpy.uint64(pow(_PRIME, place + 1, 2**64))
        total += hashes[place : place + len(total)] * power
    return (total >> numpy.uint64(32)).astype(numpy.uint32)


def paragraph_key(text: str, language: str) -> int:
    """The key of a paragraph: equal for texts of one language that differ only in case and white space."""
    return xxhash.xxh3_64_intdigest(f"{language}/{' '.join(text.casefold().split())}".encode("utf-8", "replace"))


def identity_key(document: dict) -> int:
    """The key of a document's id in its file (`input`) and language: in other files the same id is another document."""
    key = f"{document['input']}/{document['language']}/{document['id']}"
    return xxhash.xxh3_64_intdigest(key.encode("utf-8", "replace"), seed=1)


def group_key(group: str) -> int:
    """The key of a group of documents."""
    return xxhash.xxh3_64_intdigest(group.encode("utf-8", "replace"), seed=2)


def save_entries(path: Path, entries: numpy.ndarray) -> None:
    """Write entries sorted by key; entries with equal keys stay in the order of the text."""
    numpy.save(path, entries[numpy.argsort(entries["key"], kind="stable")], allow_pickle=False)


def save_repeats(path: Path, repeats: numpy.ndarray) -> None:
    """Write REPEATs by rename."""
    with written_by_rename(path) as partial, open(partial, "wb") as file:
        numpy.save(file, repeats, allow_pickle=False)


def repeated_documents(shards: Sequence[Path], bucket: int, refuse_same_id: bool, threshold: float) -> numpy.ndarray:
    """REPEATs of the documents of one bucket, with NEAR or SAME_ID as `paragraph`.

    A document is compared with the first document that has the same key of a band: it is a near duplicate if at least
    the share `threshold` of their signatures is equal. Raises `UserError` for a repeated id if `refuse_same_id`.
    """
    same, first = _repeats(*_bucket(shards, "identities.npy", bucket))
    if refuse_same_id and len(same):
        _refuse_identity(shards, same[0], first[0])
    same["paragraph"] = SAME_ID
    near, leader = _repeats(*_bucket(shards, "bands.npy", bucket))
    near = near[_similar(shards, near, leader, threshold)]
    near["paragraph"] = NEAR
    return numpy.unique(numpy.concatenate([near, same]))


def join_repeats(files: Sequence[Path], target: Path) -> None:
    """Write the REPEATs of all buckets to one file, ordered by shard and, within a shard, by bucket."""
    repeats = numpy.concatenate([numpy.load(path, allow_pickle=False) for path in files])
    save_repeats(target, repeats[numpy.argsort(repeats["shard"], kind="stable")])


def repeated_paragraphs(shards: Sequence[Path], dropped: Path, bucket: int) -> numpy.ndarray:
    """REPEATs of the paragraphs of one bucket; documents in the joined file `dropped` are ignored."""
    entries, shard_of = _bucket(shards, "paragraphs.npy", bucket)
    gone = numpy.load(dropped, allow_pickle=False)
    stays = ~numpy.isin(_one_number(shard_of, entries["document"]), _one_number(gone["shard"], gone["document"]))
    found, _ = _repeats(entries[stays], shard_of[stays])
    return numpy.sort(found)


def repeats_of(file: Path, shard: int) -> numpy.ndarray:
    """The REPEATs of one shard from a joined file."""
    repeats = numpy.load(file, mmap_mode="r", allow_pickle=False)
    low, high = (bisect_left(repeats, place, key=lambda r: int(r["shard"])) for place in (shard, shard + 1))
    return numpy.array(repeats[low:high])


def keys_of(files: Sequence[Path], bucket: int, buckets: int) -> Iterator[numpy.ndarray]:
    """The entries of one bucket of `buckets` (equal ranges of keys) from each of the sorted files."""
    bounds = [bucket * 2**64 // buckets, (bucket + 1) * 2**64 // buckets]
    for path in files:
        entries = numpy.load(path, mmap_mode="r", allow_pickle=False)
        low, high = (bisect_left(entries, bound, key=lambda e: int(e["key"])) for bound in bounds)
        yield numpy.array(entries[low:high])


def _one_number(shard: numpy.ndarray, document: numpy.ndarray) -> numpy.ndarray:
    return shard.astype(numpy.uint64) << numpy.uint64(32) | document


def _bucket(shards: Sequence[Path], name: str, bucket: int) -> tuple[numpy.ndarray, numpy.ndarray]:
    parts = list(keys_of([shard / name for shard in shards], bucket, len(shards)))
    return numpy.concatenate(parts), numpy.repeat(numpy.arange(len(parts), dtype="<u4"), [len(p) for p in parts])


def _repeats(entries: numpy.ndarray, shard_of: numpy.ndarray) -> tuple[numpy.ndarray, numpy.ndarray]:
    """All entries but the first of each key, and for each of them that first entry."""
    # Stable: entries with equal keys stay in the order of the shards and of the text.
    order = numpy.argsort(entries["key"], kind="stable")
    keys = entries["key"][order]
    again = numpy.zeros(len(keys), bool)
    again[1:] = keys[1:] == keys[:-1]
    # Index of the first entry with the same key.
    first = numpy.maximum.accumulate(numpy.where(again, 0, numpy.arange(len(keys))))
    places = numpy.empty(len(keys), REPEAT)
    places["shard"] = shard_of[order]
    places["document"], places["paragraph"] = entries["document"][order], entries["paragraph"][order]
    return places[again], places[first[again]]


def _similar(shards: Sequence[Path], some: numpy.ndarray, others: numpy.ndarray, threshold: float) -> numpy.ndarray:
    similar = numpy.zeros(len(some), bool)
    for start in range(0, len(some), _CHUNK):
        part = slice(start, start + _CHUNK)
        agree = _signatures(shards, some[part]) == _signatures(shards, others[part])
        similar[part] = agree.mean(axis=1) >= threshold
    return similar


def _signatures(shards: Sequence[Path], places: numpy.ndarray) -> numpy.ndarray:
    found: numpy.ndarray | None = None
    for shard in numpy.unique(places["shard"]):
        stored = numpy.load(shards[shard] / "signatures.npy", mmap_mode="r", allow_pickle=False)
        if found is None:
            found = numpy.empty((len(places), stored.shape[1]), stored.dtype)
        own = places["shard"] == shard
        found[own] = stored[places["paragraph"][own]]
    return found


def _refuse_identity(shards: Sequence[Path], again: numpy.void, first: numpy.void) -> None:
    found = []
    for place in (first, again):
        documents = read_jsonl(shards[place["shard"]] / "documents.jsonl")
        found.append(next(islice(documents, int(place["document"]), None)))
    identity, places = found[0]["id"], " and ".join(f"{d['source']} ({d['origin']})" for d in found)
    raise UserError(
        f"two documents have the id {identity!r} in {found[0]['language']}: {places}; give them different ids, "
        "or keep the first with corpus.broken_records: drop"
    )
