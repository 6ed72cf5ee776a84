"""The committed items of `darumeru_tiny`: made from the public-domain verses of the fixture corpus alone.

Run: `python -m lep.stand_ins.benchmark.tiny`. Writes `scripts/darumeru/tiny/{subset}/{split}.jsonl`; the bytes never
differ.
"""

import argparse
import shutil
import tempfile
from pathlib import Path

from lep.files import read_jsonl, write_jsonl, write_text
from lep.log import logged
from lep.stand_ins.benchmark.miniature import make_benchmark

CORPUS = Path("data/fixtures/corpus")
TARGET = Path("scripts/darumeru/tiny")
VERSES = ("bible", "bible_kjv")  # the sources whose text is in the public domain
# The documents held out for comprehension, summaries and copies, as in the splits of the corpus.
SIDES = {"train": ("train",), "benchmark": ("benchmark", "validation")}
ITEMS = 8
VARIANTS = 1  # of the exam: 26 items, as only whole variants are graded


def make_tiny(corpus: Path, target: Path) -> None:
    """Make the items anew from the verses below `corpus`; an earlier `target` is replaced."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for side, splits in SIDES.items():
            documents = [d for split in splits for d in read_jsonl(corpus / f"{split}.jsonl") if d["source"] in VERSES]
            write_jsonl(folder / f"{side}.jsonl", documents)
        made = folder / "made"
        make_benchmark(
            folder / "train.jsonl", folder / "benchmark.jsonl", made, items=ITEMS, items_per_task={"use": VARIANTS}
        )
        shutil.rmtree(target, ignore_errors=True)
        for path in sorted(made.rglob("*.jsonl")):
            write_text(target / path.relative_to(made), path.read_text(encoding="utf-8"))


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the committed items of darumeru_tiny.")
    parser.add_argument("--corpus", type=Path, default=CORPUS)
    parser.add_argument("--target", type=Path, default=TARGET)
    options = parser.parse_args()
    with logged():
        make_tiny(options.corpus, options.target)


if __name__ == "__main__":
    main()
