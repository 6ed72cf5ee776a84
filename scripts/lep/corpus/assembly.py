"""Assemble the corpus from filtered shards: join the files, check that the splits are disjoint, write the data card."""

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

import numpy

from lep.config import UserError
from lep.corpus.data_card import REASONS, card_text, make_card
from lep.corpus.deduplication import keys_of
from lep.corpus.documents import SAMPLE, SPLITS, SplitRecipe
from lep.corpus.readers import BROKEN, READ
from lep.corpus.shards import GROUP, KEYS, files_of, read_counts
from lep.files import link_or_copy, write_json, write_text
from lep.manifest import publish, staging

RECIPE_VERSION = 2
CARD = "data_card.json"


def assemble_corpus(
    shards: Sequence[Path],
    origins: Sequence[Mapping],
    target: Path,
    recipe: SplitRecipe,
    cleaning: Mapping,
    maximum_broken_share: float = 1.0,
) -> None:
    """Publish `target/{train,validation,benchmark,tokenizer}.jsonl`, `data_card.json` and `data_card.md`.

    - `shards`: filtered shards, in order
    - `origins`: `{"name", "from", "version", "licence"}` of each source, for the card and the manifest
    - `cleaning`: settings the shards were cleaned with, for the manifest
    - `maximum_broken_share`: highest share of a source's records that may be broken or repeat an id

    Raises `UserError` if more are broken, or if a split has no document, or shares a group or a paragraph with another
    split. The split of the benchmark may be empty if its fraction is 0.
    """
    counts = sum(read_counts(shards), Counter())
    _check_broken(counts, maximum_broken_share)
    folder = staging(target)
    for split in files_of(recipe):
        with open(folder / f"{split}.jsonl", "wb") as whole:
            for shard in shards:
                with open(shard / f"{split}.jsonl", "rb") as part:
                    shutil.copyfileobj(part, whole, 2**20)
        wanted = split != "benchmark" or recipe.benchmark_fraction > 0
        if wanted and not (folder / f"{split}.jsonl").stat().st_size:
            raise UserError(
                f"the corpus has no document for the {split} split; add text to corpus.sources "
                f"or raise corpus.{split}_fraction"
            )
    if SAMPLE not in files_of(recipe):
        link_or_copy(folder / "train.jsonl", folder / f"{SAMPLE}.jsonl")
    overlap = shared_keys([shard / KEYS for shard in shards])
    if found := {pair: shared for pair, shared in overlap.items() if any(shared.values())}:
        raise UserError(
            f"the splits share text: {found}; a source with a `split` has groups that another source has too: "
            "remove its `split`, or these groups from one of the sources"
        )
    card = make_card(counts, overlap, origins)
    write_json(folder / CARD, card)
    write_text(folder / "data_card.md", card_text(card))
    publish(
        folder,
        target,
        recipe_version=RECIPE_VERSION,
        seed=recipe.seed,
        config={
            "cleaning": dict(cleaning),
            "splits": dict(vars(recipe)),
            "sources": [dict(origin) for origin in origins],
        },
        facts=dict(sorted(counts.items())),
    )


def _check_broken(counts: Mapping[str, int], most: float) -> None:
    """Raise `UserError` if more than the share `most` of a source's records were left out as broken."""
    for key, read in counts.items():
        kind, _, source = key.partition("/")
        broken = counts.get(f"{BROKEN}/{source}", 0)
        if kind == READ and broken > most * read:
            reasons = [reason for reason in REASONS if reason.startswith("records/")] + ["documents/same_id"]
            found = ", ".join(f"{counts[reason]} {REASONS[reason]}" for reason in reasons if counts.get(reason))
            raise UserError(
                f"corpus source {source}: {broken} of {read} records were left out, more than a share of {most} "
                f"(corpus.maximum_broken_share). In all sources: {found}. The logs of prepare_shard name the first: "
                "correct the source, or raise that share"
            )


def shared_keys(files: Sequence[Path]) -> dict[str, dict[str, int]]:
    """Number of groups and of paragraphs that occur in both of two splits, for each pair of splits.

    `files` are the `keys.npy` of the shards. One range of keys is in memory at a time.
    """
    shared = {f"{a}/{b}": {"groups": 0, "paragraphs": 0} for a, b in combinations(SPLITS, 2)}
    for bucket in range(len(files)):
        entries = numpy.concatenate(list(keys_of(files, bucket, len(files))))
        for kind, offset in (("paragraphs", 0), ("groups", GROUP)):
            keys = [numpy.unique(entries["key"][entries["paragraph"] == offset + i]) for i in range(len(SPLITS))]
            for (i, a), (j, b) in combinations(enumerate(SPLITS), 2):
                shared[f"{a}/{b}"][kind] += len(numpy.intersect1d(keys[i], keys[j], assume_unique=True))
    return shared
