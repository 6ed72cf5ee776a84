"""Speed and memory of the corpus pipeline, as ratios measured in one run.

    python benchmarks/corpus.py                  all parts; needs 4 GB of disk in --work
    python benchmarks/corpus.py --part loop      cleaning, deduplication and tokenising against a plain loop
    python benchmarks/corpus.py --part steps     megabytes per CPU second of each step, for `plan.text`
    python benchmarks/corpus.py --part memory    100 MB against 1 GB of text: largest peak memory of a job, and time
    python benchmarks/corpus.py --scale 0.1      a tenth of the text, in shards of a tenth of the size

- The text is random words of data/fixtures, with their frequencies. One document in ten repeats an earlier one, half of
  these with a few changed words.
- Two processes work in parallel. For the memory, each job runs in its own process, as in the workflow.
- CPU seconds are those of all processes, with their start; on a busy machine they are more reliable than wall time.
"""

import argparse
import hashlib
import json
import os
import resource
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

# This folder comes last in the path: its lep.py is not the library.
sys.path.sort(key=lambda place: Path(place).resolve() == Path(__file__).resolve().parent)
os.environ["TOKENIZERS_PARALLELISM"] = "false"  # a process is one core

import numpy
from lep.calibration.copies import CopyRecipe, find_texts
from lep.corpus.assembly import assemble_corpus
from lep.corpus.deduplication import REPEAT, join_repeats, repeated_documents, repeated_paragraphs, save_repeats
from lep.corpus.documents import SPLITS, SplitRecipe, text_of
from lep.corpus.quality import QualityRecipe, clean_document
from lep.corpus.readers import Source
from lep.corpus.shards import CleaningRecipe, filter_shard, prepare_shard
from lep.files import read_jsonl, write_json
from lep.pretraining.packing import pack_part
from lep.pretraining.selection import PackingRecipe, count_part
from tokenizers import Tokenizer

ROOT = Path(__file__).resolve().parents[1]
TOKENIZER = ROOT / "data/stand_ins/llama/base/tokenizer.json"
WORKERS = 2
SHARD_MB = 25
LOOP_MB, STEPS_MB, MEMORY_MB = 16, 40, (100, 1000)
CLEANING, SPLIT = CleaningRecipe(), SplitRecipe()


def make_text(path: Path, megabytes: float) -> None:
    """Write a JSONL file of about `megabytes` MB: documents of 20 to 800 words in paragraphs of 40 words."""
    fixtures = [text_of(d) for d in read_jsonl(ROOT / "data/fixtures/corpus/benchmark.jsonl") if d["language"] == "ru"]
    words = numpy.array(" ".join(fixtures).split(), object)
    draw = numpy.random.default_rng(1)
    size, number, earlier = 0, 0, []
    with open(path, "w", encoding="utf-8") as file:
        while size < megabytes * 1e6:
            text = draw.choice(words, draw.integers(20, 800))
            if earlier and number % 10 == 0:
                text = earlier[draw.integers(len(earlier))].copy()
                if number % 20 == 0:
                    text[draw.integers(len(text), size=1 + len(text) // 200)] = "другое"
            elif len(earlier) < 1000:
                earlier.append(text)
            lines = "\n".join(" ".join(text[i : i + 40]) for i in range(0, len(text), 40))
            size += file.write(json.dumps({"id": number, "text": lines}, ensure_ascii=False) + "\n") * 1.8
            number += 1


def plain_loop(path: Path) -> dict[str, int]:
    """The same steps in a straightforward way: document by document, shingle by shingle, in one process."""
    from datasketch import MinHash, MinHashLSH

    near = CLEANING.near_duplicates
    index = MinHashLSH(near.threshold, near.permutations)
    tokenizer = Tokenizer.from_file(str(TOKENIZER))
    seen: set[bytes] = set()
    kept = Counter()
    for record in read_jsonl(path):
        paragraphs = [{"id": str(i), "text": text} for i, text in enumerate(record["text"].split("\n"))]
        document = {"id": str(record["id"]), "language": "ru", "title": "", "paragraphs": paragraphs}
        if not (document := clean_document(document, QualityRecipe(), Counter())):
            continue
        words = text_of(document).casefold().split()
        sketch = MinHash(near.permutations)
        for start in range(len(words) - near.shingle_words + 1):
            sketch.update(" ".join(words[start : start + near.shingle_words]).encode())
        if len(words) >= near.minimum_shingles and any(index.query(sketch)):
            continue
        index.insert(document["id"], sketch)
        left = []
        for paragraph in document["paragraphs"]:
            key = hashlib.blake2b(" ".join(paragraph["text"].casefold().split()).encode(), digest_size=16).digest()
            if key not in seen:
                seen.add(key)
                left.append(paragraph)
        if left:
            text = text_of({**document, "paragraphs": left})
            kept["documents"] += 1
            kept["characters"] += len(text)
            kept["tokens"] += len(tokenizer.encode(text, add_special_tokens=False).ids)
    return dict(kept)


def measured(function: Callable, *args: object) -> tuple[object, int]:
    """(result of a job, peak memory of its process in MB)."""
    result = function(*args)
    return result, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def tokenise(shard: Path) -> Counter:
    """Documents, characters and tokens of a filtered shard, encoded in batches."""
    tokenizer = Tokenizer.from_file(str(TOKENIZER))
    kept: Counter = Counter()
    for split in SPLITS:
        for texts in batches(text_of(document) for document in read_jsonl(shard / f"{split}.jsonl")):
            kept["documents"] += len(texts)
            kept["characters"] += sum(map(len, texts))
            encodings = tokenizer.encode_batch_fast(texts, add_special_tokens=False)
            kept["tokens"] += sum(len(encoding.ids) for encoding in encodings)
    return kept


def batches(texts: Iterator[str], size: int = 256) -> Iterator[list[str]]:
    batch: list[str] = []
    for text in texts:
        batch.append(text)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def search(kind: str, shards: Sequence[Path], dropped: Path, bucket: int, target: Path) -> None:
    if kind == "documents":
        repeats = repeated_documents(shards, bucket, True, CLEANING.near_duplicates.threshold)
    else:
        repeats = repeated_paragraphs(shards, dropped, bucket)
    save_repeats(target, repeats)


def filtered(prepared: Path, shard: int, target: Path, documents: Path, paragraphs: Path) -> None:
    filter_shard(prepared, shard, target, SPLIT, documents=documents, paragraphs=paragraphs)


def pipeline(path: Path, work: Path, shards: int, with_tokens: bool) -> tuple[dict[str, int], int]:
    """(counts of what remains, largest peak memory of a job in MB); the counts are empty without tokenising."""
    source, numbers = [Source("text", "documents", path)], range(shards)
    folders = {step: [work / step / str(n) for n in numbers] for step in ("prepared", "d", "p", "filtered")}
    for step in folders:
        (work / step).mkdir(parents=True)
    peak, kept = 0, Counter()
    context = get_context("spawn")
    with ProcessPoolExecutor(WORKERS, context, max_tasks_per_child=None if with_tokens else 1) as pool:

        def run(function: Callable, jobs: list[tuple]) -> list:
            nonlocal peak
            done = [future.result() for future in [pool.submit(measured, function, *job) for job in jobs]]
            peak = max([peak, *(memory for _, memory in done)])
            return [result for result, _ in done]

        prepared = folders["prepared"]
        run(prepare_shard, [(source, n, shards, prepared[n], CLEANING) for n in numbers])
        joined = {step: work / f"{step}.npy" for step in "dp"}
        run(search, [("documents", prepared, joined["d"], n, folders["d"][n]) for n in numbers])
        join_repeats(folders["d"], joined["d"])
        run(search, [("paragraphs", prepared, joined["d"], n, folders["p"][n]) for n in numbers])
        join_repeats(folders["p"], joined["p"])
        jobs = [(prepared[n], n, folders["filtered"][n], joined["d"], joined["p"]) for n in numbers]
        run(filtered, jobs)
        if with_tokens:
            kept = sum(run(tokenise, [(folder,) for folder in folders["filtered"]]), Counter())
        else:
            run(assemble_corpus, [(folders["filtered"], [], work / "corpus", SPLIT, {})])
    return dict(kept), peak


def timed(function: Callable, *args: object) -> tuple[float, float, object]:
    """(seconds, CPU seconds of this process and its finished children, result)."""
    start, before = time.perf_counter(), cpu_seconds()
    result = function(*args)
    return time.perf_counter() - start, cpu_seconds() - before, result


def cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def loop_part(work: Path, scale: float) -> None:
    path = work / "loop.jsonl"
    make_text(path, LOOP_MB * scale)
    megabytes = path.stat().st_size / 1e6
    loop = timed(plain_loop, path)
    ours = timed(pipeline, path, work / "loop", WORKERS, True)
    print(
        f"| {megabytes:.0f} MB | seconds | CPU seconds | MB / s | MB / CPU second | documents | characters | tokens |"
    )
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    rows = (("plain loop", *loop[:2], loop[2]), (f"ours, {WORKERS} processes", *ours[:2], ours[2][0]))
    for name, seconds, cpu, found in rows:
        sizes = " | ".join(f"{found[unit]:,}" for unit in ("documents", "characters", "tokens"))
        speeds = f"{megabytes / seconds:.2f} | {megabytes / cpu:.2f}"
        print(f"| {name} | {seconds:.1f} | {cpu:.1f} | {speeds} | {sizes} |")
    print(f"\nratio {loop[0] / ours[0]:.1f}; of CPU seconds {loop[1] / ours[1]:.1f}\n", flush=True)


def steps_part(work: Path, scale: float) -> None:
    """Each step alone, in this process, on one part of the text."""
    path, tokenizer = work / "steps.jsonl", TOKENIZER.parent
    make_text(path, STEPS_MB * scale)
    megabytes = path.stat().st_size / 1e6
    folders = {name: work / f"steps-{name}" for name in ("prepared", "filtered", "copies", "packed")}
    nothing, counts, recipe = work / "nothing.npy", work / "counts.json", PackingRecipe(block_size=1024)
    save_repeats(nothing, numpy.empty(0, REPEAT))
    train = folders["filtered"] / "train.jsonl"
    split = SplitRecipe(validation_fraction=0.02, benchmark_fraction=0.02)
    steps: dict[str, Callable[[], object]] = {
        "prepare_shard": lambda: prepare_shard(
            [Source("text", "documents", path)], 0, 1, folders["prepared"], CLEANING
        ),
        "filter_shard": lambda: filter_shard(
            folders["prepared"], 0, folders["filtered"], split, documents=nothing, paragraphs=nothing
        ),
        "count_part": lambda: write_json(counts, count_part(train, 0, 1, recipe)),
        "find_copy_texts": lambda: find_texts(train, 0, 1, folders["copies"], CopyRecipe(reserve=0.01)),
        "pack_part": lambda: pack_part(train, [counts], tokenizer, 0, folders["packed"], recipe),
    }
    print("| step | CPU seconds | MB / CPU second |\n|---|---:|---:|")
    for name, step in steps.items():
        _, cpu, _ = timed(step)
        print(f"| {name} | {cpu:.1f} | {megabytes / cpu:.1f} |", flush=True)


def memory_part(work: Path, scale: float) -> None:
    print("| text | shards | seconds | CPU seconds | MB / CPU second | peak of a job, MB |")
    print("|---:|---:|---:|---:|---:|---:|")
    peaks = []
    for wanted in MEMORY_MB:
        path = work / "memory.jsonl"
        make_text(path, wanted * scale)
        megabytes = path.stat().st_size / 1e6
        shards = max(2, round(megabytes / (SHARD_MB * scale)))
        seconds, cpu, (_, peak) = timed(pipeline, path, work / "memory", shards, False)
        peaks.append(peak)
        print(
            f"| {megabytes:,.0f} MB | {shards} | {seconds:.0f} | {cpu:.0f} | {megabytes / cpu:.1f} | {peak} |",
            flush=True,
        )
        shutil.rmtree(work / "memory")
    print(f"\npeak of the larger / of the smaller: {peaks[1] / peaks[0]:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=["loop", "steps", "memory"])
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--work", type=Path, help="folder for text and results (default: a temporary one)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.work) as folder:
        for name, part in (("loop", loop_part), ("steps", steps_part), ("memory", memory_part)):
            if given.part in (None, name):
                part(Path(folder), given.scale)


if __name__ == "__main__":
    main()
