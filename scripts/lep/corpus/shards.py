"""The corpus in shards: one job reads and cleans a shard, others compare the keys of all shards, one filters it.

No job has the keys of more than one shard in memory, and text is streamed document by document. A shard is a folder
that is renamed into place when it is complete.
"""

import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import field
from pathlib import Path

import numpy
from pydantic.dataclasses import dataclass

from lep.config import STRICT
from lep.corpus.deduplication import (
    ENTRY,
    SAME_ID,
    NearRecipe,
    Signer,
    group_key,
    identity_key,
    paragraph_key,
    repeats_of,
    save_entries,
)
from lep.corpus.documents import SAMPLE, SPLITS, SplitRecipe, in_sample, split_of, text_of
from lep.corpus.languages import RUSSIAN
from lep.corpus.quality import QualityRecipe, clean_document
from lep.corpus.readers import BROKEN, BrokenRecords, Source, read_shard
from lep.files import json_line, read_jsonl, write_json
from lep.manifest import staging

DOCUMENTS, COUNTS, KEYS = "documents.jsonl", "counts.json", "keys.npy"
# In KEYS, `paragraph` of an entry is the number of the split, plus GROUP if the key is a group's and not a paragraph's.
GROUP = len(SPLITS)


@dataclass(frozen=True, config=STRICT)
class CleaningRecipe:
    """What determines a cleaned shard, besides its sources."""

    quality: QualityRecipe = QualityRecipe()  # thresholds
    near_duplicates: NearRecipe = NearRecipe()  # settings of the signatures
    broken_records: str = "refuse"  # refuse = stop with a message, drop = count and skip them
    maximum_record_mb: int = 64  # MiB; a longer record is broken
    languages: dict[str, str] = field(default_factory=lambda: dict(RUSSIAN))  # {language: script}; others are dropped


def prepare_shard(sources: Sequence[Source], shard: int, shards: int, target: Path, recipe: CleaningRecipe) -> None:
    """Read and clean one of `shards` equal parts of the sources' bytes into the folder `target`.

    - `documents.jsonl`: the cleaned documents
    - `paragraphs.npy`, `identities.npy`, `bands.npy`: sorted keys (ENTRY)
    - `signatures.npy`: (documents with a signature, permutations), uint32
    - `counts.json`: what was read and dropped
    """
    counts: Counter = Counter()
    faults = BrokenRecords(recipe.broken_records == "refuse", counts, recipe.maximum_record_mb * 2**20)
    signer = Signer(recipe.near_duplicates)
    paragraphs, identities, bands = _Entries(), _Entries(), _Entries()
    folder = staging(target)
    signed = 0
    with open(folder / DOCUMENTS, "w", encoding="utf-8") as file, open(folder / "signatures", "wb") as signatures:
        number = 0
        for raw in read_shard(sources, shard, shards, faults, recipe.languages):
            counts["documents/read"] += 1
            counts["paragraphs/read"] += len(raw["paragraphs"])
            if not (document := clean_document(raw, recipe.quality, counts, recipe.languages)):
                continue
            file.write(json_line(document))
            identities.add(identity_key(document), number, 0)
            for place, paragraph in enumerate(document["paragraphs"]):
                paragraphs.add(paragraph_key(paragraph["text"], document["language"]), number, place)
            if (signature := signer.sign(text_of(document))) is not None:
                for key in signer.band_keys(signature):
                    bands.add(key, number, signed)
                signatures.write(signature.tobytes())
                signed += 1
            number += 1
    _to_npy(folder / "signatures", (signed, recipe.near_duplicates.permutations))
    for name, entries in (("paragraphs", paragraphs), ("identities", identities), ("bands", bands)):
        save_entries(folder / f"{name}.npy", entries.array())
    write_json(folder / COUNTS, counts)
    _publish(folder, target)


def filter_shard(
    prepared: Path,
    shard: int,
    target: Path,
    recipe: SplitRecipe,
    *,
    documents: Path,
    paragraphs: Path,
) -> None:
    """Write one cleaned shard to `target/{split}.jsonl`, dropping the `documents` and `paragraphs` listed as repeats.

    A sample for tokenizers that is not all of the training split is written beside it.

    `target/keys.npy` has the keys of all groups and paragraphs with their split: the check that the splits are disjoint
    reads it. Counts are in documents, characters and bytes of UTF-8.
    """
    counts = Counter(json.loads((prepared / COUNTS).read_text(encoding="utf-8")))
    gone = _reasons(repeats_of(documents, shard))
    repeated = numpy.sort(repeats_of(paragraphs, shard), order=["document", "paragraph"])
    # The repeated paragraphs of document n are the rows repeated[starts[n] : starts[n + 1]].
    starts = numpy.searchsorted(repeated["document"], numpy.arange(repeated["document"].max(initial=0) + 2))
    keys = _Entries()
    folder = staging(target)
    with ExitStack() as stack:
        names = files_of(recipe)
        files = {name: stack.enter_context(open(folder / f"{name}.jsonl", "w", encoding="utf-8")) for name in names}
        for number, document in enumerate(read_jsonl(prepared / DOCUMENTS)):
            # Repeated documents first: their paragraphs are not compared with others.
            if reason := gone.get(number):
                counts[f"documents/{reason}"] += 1
                counts[f"{BROKEN}/{document['input'].split('/')[0]}"] += reason == "same_id"
                counts["paragraphs/of_dropped_documents"] += len(document["paragraphs"])
                continue
            # Then repeated paragraphs; `starts` ends with the last document that has any.
            if number + 1 < len(starts) and starts[number] < starts[number + 1]:
                again = set(repeated["paragraph"][starts[number] : starts[number + 1]].tolist())
                counts["paragraphs/repeated"] += len(again)
                document["paragraphs"] = [p for i, p in enumerate(document["paragraphs"]) if i not in again]
                if not document["paragraphs"]:
                    counts["documents/repeated"] += 1
                    continue
            # The split is the source's, or a hash of the group: no other shard is needed.
            split = _finish(document, recipe)
            _count(document, split, counts)
            _add_keys(document, SPLITS.index(split), keys)
            files[split].write(json_line(document))
            if split == "train" and SAMPLE in files and in_sample(document["group"], recipe):
                counts[f"{SAMPLE}/{document['language']}/documents"] += 1
                counts[f"{SAMPLE}/{document['language']}/characters"] += _characters(document)
                files[SAMPLE].write(json_line(document))
    save_entries(folder / KEYS, keys.array())
    write_json(folder / COUNTS, counts)
    _publish(folder, target)


def files_of(recipe: SplitRecipe) -> tuple[str, ...]:
    """The files of text of a filtered shard: the splits, and the sample for tokenizers if it is a part of train."""
    return (*SPLITS, SAMPLE) if recipe.tokenizer_fraction < 1 else SPLITS


class _Entries:
    """Entries of keys, collected in compact arrays."""

    def __init__(self) -> None:
        self._full: list[numpy.ndarray] = []
        self._rows: list[tuple[int, int, int]] = []

    def add(self, key: int, document: int, paragraph: int) -> None:
        self._rows.append((key, document, paragraph))
        if len(self._rows) == 2**16:
            self._full.append(numpy.array(self._rows, ENTRY))
            self._rows = []

    def array(self) -> numpy.ndarray:
        return numpy.concatenate([*self._full, numpy.array(self._rows, ENTRY)])


def _reasons(repeats: numpy.ndarray) -> dict[int, str]:
    return {
        int(row["document"]): "same_id" if row["paragraph"] == SAME_ID else "near_duplicate"
        for row in repeats  # of a document with both reasons the last one counts
    }


def _finish(document: dict, recipe: SplitRecipe) -> str:
    """Remove the fields that only the pipeline needs, and return the document's split."""
    del document["origin"], document["input"]
    return document.pop("split") or split_of(document["group"], recipe)


def _count(document: dict, split: str, counts: Counter) -> None:
    texts = [paragraph["text"] for paragraph in document["paragraphs"]]
    sizes = {
        "documents": 1,
        "characters": _characters(document),
        "bytes": sum(len(text.encode()) for text in texts),
    }
    counts["paragraphs/kept"] += len(texts)
    for unit, size in sizes.items():
        counts[f"{split}/{document['language']}/{unit}"] += size
        counts[f"domain/{document['domain']}/{document['language']}/{unit}"] += size
        counts[f"source/{document['source']}/{document['language']}/{unit}"] += size


def _characters(document: dict) -> int:
    return sum(len(paragraph["text"]) for paragraph in document["paragraphs"])


def _add_keys(document: dict, split: int, keys: _Entries) -> None:
    keys.add(group_key(document["group"]), 0, GROUP + split)
    for paragraph in document["paragraphs"]:
        keys.add(paragraph_key(paragraph["text"], document["language"]), 0, split)


def _to_npy(raw: Path, shape: tuple[int, int]) -> None:
    """Give the raw uint32 rows of a file the header of a .npy file."""
    with open(raw.with_suffix(".npy"), "wb") as file:
        numpy.lib.format.write_array_header_1_0(file, {"descr": "<u4", "fortran_order": False, "shape": shape})
        with open(raw, "rb") as rows:
            shutil.copyfileobj(rows, file)
    raw.unlink()


def _publish(folder: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    os.replace(folder, target)


def read_counts(folders: Sequence[Path]) -> Iterator[Counter]:
    """The counts of finished shards."""
    for folder in folders:
        yield Counter(json.loads((folder / COUNTS).read_text(encoding="utf-8")))
