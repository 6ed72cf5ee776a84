"""The finished corpus: its splits, its files and its documents."""

from pydantic.dataclasses import dataclass

from lep.config import STRICT
from lep.files import fraction

# The splits are disjoint; tokenizers are trained on SAMPLE, a part of the training split.
SPLITS = ("train", "validation", "benchmark")
SAMPLE = "tokenizer"


@dataclass(frozen=True, config=STRICT)
class SplitRecipe:
    """How groups of documents are drawn for the splits."""

    validation_fraction: float = 0.02  # of all groups
    benchmark_fraction: float = 0.08  # of all groups; the rest is the training split
    tokenizer_fraction: float = 1.0  # of the groups of the training split
    seed: int = 42  # of the draw


def split_of(group: str, recipe: SplitRecipe) -> str:
    """The split of a group of documents, by a hash of seed and group: adding text never moves a group."""
    position = fraction(f"{recipe.seed}/{group}")
    if position < recipe.validation_fraction:
        return "validation"
    return "benchmark" if position < recipe.validation_fraction + recipe.benchmark_fraction else "train"


def measured_split(benchmark_fraction: float) -> str:
    """The split that vocabularies are measured on: that of the benchmark, or validation where none is held back."""
    return "benchmark" if benchmark_fraction else "validation"


def in_sample(group: str, recipe: SplitRecipe) -> bool:
    """Whether tokenizers are trained on the training documents of this group."""
    return fraction(f"{recipe.seed}/{SAMPLE}/{group}") < recipe.tokenizer_fraction


def text_of(document: dict) -> str:
    """A document as plain text: its title and its paragraphs, one per line."""
    lines = [document["title"]] if document["title"] else []
    return "\n".join(lines + [paragraph["text"] for paragraph in document["paragraphs"]])
