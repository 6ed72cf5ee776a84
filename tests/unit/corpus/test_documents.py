"""Documents: the split of a group is drawn from its name and the seed."""

from collections import Counter

from fixtures.corpus import FIXTURES, SPLIT, splits
from lep.corpus.documents import SPLITS, SplitRecipe, split_of


def test_fractions_are_of_groups() -> None:
    drawn = Counter(split_of(f"group {n}", SPLIT) for n in range(5000))
    assert {split: round(drawn[split] / 5000, 1) for split in SPLITS} == {
        "train": 0.5,
        "validation": 0.2,
        "benchmark": 0.3,
    }


def test_splits_of_the_committed_fixtures() -> None:
    """The shipped stand-ins were trained on the training split: its hash must never change."""
    for split, documents in splits(FIXTURES).items():
        assert {split_of(d["group"], SplitRecipe()) for d in documents} == {split}


def test_the_seed_decides_the_splits() -> None:
    drawn = [tuple(split_of(f"g{n}", SplitRecipe(seed=seed)) for n in range(200)) for seed in (1, 2, 1)]
    assert drawn[0] == drawn[2] != drawn[1]
