"""Processor time and memory of SentencePiece training by the amount of text, for the rates in `plan`.

    python benchmarks/sentencepiece_training.py --characters 1e7 3e7 --size 32000

The text is made, since the fixture is small: its words follow the law of Zipf and Mandelbrot, so that new words keep
coming as in real text (85,000 different ones among 611,000 of the mini corpus, 75,000 here); frequent words are those
of the fixture, rare ones are drawn letter by letter, each after the three before it.
"""

import argparse
import functools
import os
import random
import resource
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

# This folder comes last in the path: its lep.py is not the library.
sys.path.sort(key=lambda place: Path(place).resolve() == Path(__file__).resolve().parent)

import numpy
from lep.corpus.documents import text_of
from lep.files import read_jsonl
from lep.vocabulary.spm import train_sentencepiece

ROOT = Path(__file__).resolve().parents[1]
TYPES = 10_000_000  # distinct words there are
EXPONENT, OFFSET = 1.15, 5  # a word of rank r is as frequent as (r + OFFSET) ** -EXPONENT
LINE = 40  # words


def ranked_words() -> list[str]:
    """Words of the fixture in both languages, most frequent first."""
    documents = [d for s in ("train", "benchmark") for d in read_jsonl(ROOT / f"data/fixtures/corpus/{s}.jsonl")]
    return [word for word, _ in Counter(" ".join(map(text_of, documents)).split()).most_common()]


def spelling(words: list[str]) -> Callable[[int], str]:
    """The word of a rank: one of `words`, or an invented one."""
    following = defaultdict(list)
    for word in words:
        padded = "^^^" + word + "$"
        for place in range(3, len(padded)):
            following[padded[place - 3 : place]].append(padded[place])

    @functools.cache
    def spell(rank: int) -> str:
        if rank < len(words):
            return words[rank]
        draw, word = random.Random(rank), "^^^"
        while not word.endswith("$") and len(word) < 25:
            word += draw.choice(following[word[-3:]])
        return word.strip("^$")

    return spell


def made_lines(characters: int) -> Iterator[str]:
    """Lines of about `characters` in all."""
    spell = spelling(ranked_words())
    shares = ((numpy.arange(1, TYPES + 1) + OFFSET) ** -EXPONENT).cumsum()
    draw, written = numpy.random.default_rng(1), 0
    while written < characters:
        found = numpy.searchsorted(shares, draw.random(LINE * 1000) * shares[-1]).tolist()
        for start in range(0, len(found), LINE):
            line = " ".join(map(spell, found[start : start + LINE]))
            written += len(line) + 1
            yield line


def train(model_type: str, size: int, characters: int, threads: int) -> tuple[float, int]:
    """(seconds of the processor, peak MB) of one training; making the text is not counted."""
    with tempfile.TemporaryDirectory() as folder:
        lines = list(made_lines(characters))
        begin = time.process_time()
        train_sentencepiece(lines, model_type, size, Path(folder) / "spm.model", threads)
        seconds = time.process_time() - begin
    return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main() -> None:
    """Command line of the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--characters", type=float, nargs="+", default=[1e7, 3e7])
    parser.add_argument("--size", type=int, default=32_000, help="pieces")
    parser.add_argument("--types", nargs="+", default=["bpe", "unigram"])
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    print(f"{os.cpu_count()} cores, {given.threads} threads, {given.size:,} pieces")
    for characters in map(int, given.characters):
        for model_type in given.types:
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                job = pool.submit(train, model_type, given.size, characters, given.threads)
                seconds, memory = job.result()
            rate = characters / 1e6 / seconds
            print(
                f"{model_type:8} {characters:13,} characters {seconds:8.1f} s {rate:6.2f} million/s {memory:6,} MB",
                flush=True,
            )


if __name__ == "__main__":
    main()
