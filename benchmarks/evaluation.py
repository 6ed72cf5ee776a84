"""Speed of the evaluation: our model class against that of the harness, with the same model and items, in one run.

    python benchmarks/evaluation.py                      the llama stand-in on the miniature of `make paper`
    python benchmarks/evaluation.py --data scripts/darumeru/tiny --limit 4 --repeats 1      a test of the script

Prints items per second, the ratio to the harness's defaults (batch size 1), and the share of items with equal values.
"""

import argparse
import logging
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

if not sys.flags.safe_path:  # -P leaves it out
    sys.path.pop(0)  # this folder: its lep.py is not the library
os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}

from darumeru.prefix_lm import PrefixLM
from darumeru.specs import SPECS
from lep.compute.determinism import prepare_torch, resolve_device
from lep.evaluation.harness import EvaluateJob, Generation, Model, load_lm, load_tasks
from lm_eval.evaluator import evaluate
from lm_eval.models.huggingface import HFLM

KINDS = {"multiple choice": "choice", "ranking of sentences": "rank", "generation": "generate"}


@dataclass(frozen=True)
class Way:
    """A model class with its batch size."""

    title: str
    kind: type[HFLM]
    batch_size: int


def ways(batch_size: int) -> list[Way]:
    """The compared ways; ratios are relative to the first, the defaults of the harness."""
    return [
        Way("lm_eval, defaults (batch 1)", HFLM, 1),
        Way(f"lm_eval, batch {batch_size}", HFLM, batch_size),
        Way(f"ours, batch {batch_size}", PrefixLM, batch_size),
    ]


def measure(way: Way, lm: PrefixLM, folder: Path, job: EvaluateJob) -> tuple[float, dict]:
    """(seconds of one evaluation, value of each item)."""
    model = way.kind(pretrained=lm.model, tokenizer=lm.tokenizer, batch_size=way.batch_size, max_length=lm.max_length)
    tasks = load_tasks(folder, job)
    started = time.perf_counter()
    found = evaluate(model, tasks, bootstrap_iters=0, apply_chat_template=job.chat, fewshot_as_multiturn=True)
    seconds = time.perf_counter() - started
    return seconds, {(name, s["doc_id"]): s["score"] for name, samples in found["samples"].items() for s in samples}


def compare(options: argparse.Namespace) -> Iterator[str]:
    """Lines of the table; those of a kind of task come as soon as they are measured."""
    yield "| kind | items | way | seconds | items / s | ratio | same values |"
    yield "|---|---:|---|---:|---:|---:|---:|"
    for title, kind in KINDS.items():
        job = make_job(options, [name for name, spec in SPECS.items() if spec.kind == kind])
        lm = load_lm(options.model, job)
        best: dict[str, float] = {}
        values: dict[str, dict] = {}
        for _ in range(options.repeats):  # the ways alternate, so that a busy moment affects all of them
            for way in ways(options.batch_size):
                seconds, values[way.title] = measure(way, lm, options.model, job)
                best[way.title] = min(seconds, best.get(way.title, seconds))
        first, reference = next(iter(best.values())), next(iter(values.values()))
        for name, seconds in best.items():
            same = sum(values[name][item] == value for item, value in reference.items()) / len(reference)
            numbers = f"{seconds:.2f} | {len(reference) / seconds:.1f} | {first / seconds:.2f} | {same:.1%}"
            yield f"| {title} | {len(reference)} | {name} | {numbers} |"


def make_job(options: argparse.Namespace, tasks: list[str]) -> EvaluateJob:
    """A job with the settings of the mini scale on `tasks`."""
    lengths = {"default": 24, "treeway_abstractive": 32, "cp_sent_en": 48, "cp_sent_ru": 64}
    return EvaluateJob(
        models=[Model("model", str(options.model))], work="", output="", tasks=tasks, recipe_version=0,
        shots=options.shots, data=str(options.data), limit=options.limit, batch_size=options.batch_size,
        max_prompt_tokens=1024, dtype="float32", device=options.device, threads=options.threads,
        generation=Generation(max_new_tokens=lengths | {"cp_para_en": 96, "cp_para_ru": 128}),
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=Path("data/stand_ins/llama/base"))
    parser.add_argument("--data", type=Path, default=Path("results/mini/benchmark"))
    parser.add_argument("--limit", type=int, default=None, help="items of each task; else all")
    parser.add_argument("--shots", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=3, help="the fastest counts")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    prepare_torch(options.threads, 42)
    where = f"{options.model}, {options.data}, {options.shots} shots, {options.threads} threads, "
    print(where + resolve_device(options.device) + "\n", flush=True)
    for line in compare(options):
        print(line, flush=True)


if __name__ == "__main__":
    main()
