"""The finished corpus: its splits, its files and its documents."""

from pydantic.dataclasses import dataclass

from lep.config import STRICT
from lep.files import fraction

# Disjoint; the sample that tokenizers are trained on is a part of the training split.
SPLITS = ("train", "validation", "benchmark")
SAMPLE = "tokenizer"


@dataclass(frozen=True, config=STRICT)
class SplitRecipe:
    """How documents are dealt out. The fractions are of groups of documents, `tokenizer_fraction` of those in train."""

    validation_fraction: float = 0.02
    benchmark_fraction: float = 0.08
    tokenizer_fraction: float = 1.0
    seed: int = 42


def split_of(group: str, recipe: SplitRecipe) -> str:
    """The split of a group of documents: a hash of seed and group, so that adding text moves nothing."""
    position = fraction(f"{recipe.seed}/{group}")
    if position < recipe.validation_fraction:
        return "validation"
    return "benchmark" if position < recipe.validation_fraction + recipe.benchmark_fraction else "train"


def in_sample(group: str, recipe: SplitRecipe) -> bool:
    """Whether tokenizers are trained on the training documents of this group."""
    return fraction(f"{recipe.seed}/{SAMPLE}/{group}") < recipe.tokenizer_fraction


def text_of(document: dict) -> str:
    """A document as plain text: its title and its paragraphs, one a line."""
    lines = [document["title"]] if document["title"] else []
    return "\n".join(lines + [paragraph["text"] for paragraph in document["paragraphs"]])
