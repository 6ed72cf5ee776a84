"""Make the committed items of `darumeru_tiny` from the public-domain verses of the fixture corpus.

Run: `python -m lep.stand_ins.benchmark.tiny`. It writes `scripts/darumeru/tiny/{subset}/{split}.jsonl`, always with
the same bytes.
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
VERSES = ("bible", "bible_kjv")  # sources with text in the public domain
# Splits of the corpus that give the training text and the held-out text of the benchmark.
SIDES = {"train": ("train",), "benchmark": ("benchmark", "validation")}
ITEMS = 8
VARIANTS = 1  # of the exam: 26 items; only whole variants are graded


def make_tiny(corpus: Path, target: Path) -> None:
    """Make the items from the verses in the folder `corpus`; replaces `target`."""
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
