"""Speed of the calibration, compared with plain TRL and transformers in one run.

    python benchmarks/calibration.py --data CALIBRATION_DATA/train.jsonl

- Fine-tuning: our loss and our micro-batches sorted by length, against `SFTTrainer` with the same conversations,
  adapter, optimiser and conversations per step, in random order.
- Answers: our batches, against one `generate` call per prompt and against batches in the order of the prompts.

The ways alternate, and the fastest of `--repeats` counts. Speeds count tokens without padding.
"""

import argparse
import logging
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

if not sys.flags.safe_path:  # -P leaves it out
    sys.path.pop(0)  # this folder: its lep.py is not the library
os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}

from datasets import Dataset, disable_progress_bars
from lep.calibration.calibrate import CalibrateJob
from lep.calibration.trainer import Tuning, encode_examples, make_trainer, order_examples, padding_share
from lep.compute.determinism import prepare_torch, resolve_device
from lep.files import read_jsonl
from lep.models.adapter import Lora, lora_config
from lep.models.chat import encode_prompt
from lep.models.folder import load_tokenizer
from lep.models.generation import answer_batches, greedy_answers
from lep.models.store import load_model
from lep.pretraining.resumable import Schedule
from trl import SFTConfig, SFTTrainer

LORA = Lora(rank=32, alpha=16, full=["lm_head"])
STEP = 16  # conversations


def train_ours(options: argparse.Namespace, examples: list[dict], micro: int, work: str) -> tuple[float, float]:
    """(seconds of the training alone, share of padding) of our trainer."""
    tuning = Tuning(learning_rate=1e-3, weight_decay=0.05, batch_size=STEP, micro_batch_size=micro)
    job = CalibrateJob(
        parent=options.model, data=options.data, validation=options.data, work=Path(work), output=Path(work),
        lora=LORA, tuning=tuning, seed=42, threads=options.threads, device=options.device, dtype=options.dtype,
        recipe_version=1,
    )  # fmt: skip
    lengths = [len(example["input_ids"]) for example in examples]
    order = order_examples(lengths, tuning, job.seed)
    schedule = Schedule(job.work, log_steps=50, save_steps=10**6)
    trainer = make_trainer(job, load_tokenizer(options.model), [examples[i] for i in order], schedule)
    started = time.perf_counter()
    trainer.train()
    return time.perf_counter() - started, padding_share([lengths[i] for i in order], micro)


def train_stock(options: argparse.Namespace, examples: list[dict], work: str) -> tuple[float, float]:
    """(seconds of the training alone, share of padding) of `SFTTrainer` with its default batch of 8."""
    device = resolve_device(options.device)
    model, tokenizer = load_model(options.model, options.dtype, device), load_tokenizer(options.model)
    arguments = SFTConfig(
        output_dir=work, gradient_accumulation_steps=2, num_train_epochs=1, learning_rate=1e-3, weight_decay=0.05,
        report_to="none", save_strategy="no", logging_strategy="no", disable_tqdm=True, use_cpu=device == "cpu",
        max_length=None, bf16=False, seed=42, dataset_kwargs={"skip_prepare_dataset": True},
    )  # fmt: skip
    trainer = SFTTrainer(
        model, arguments, train_dataset=Dataset.from_list(examples), processing_class=tokenizer,
        peft_config=lora_config(LORA, model.config),
    )  # fmt: skip
    started = time.perf_counter()
    trainer.train()
    lengths = [len(example["input_ids"]) for example in examples]
    random.Random(0).shuffle(lengths)
    return time.perf_counter() - started, padding_share(lengths, 8)


def table(unit: str, tokens: int, ways: dict[str, Callable[[], tuple[float, str]]], repeats: int) -> list[str]:
    """Table rows with tokens per second; ratios are relative to the first way."""
    best: dict[str, float] = {}
    notes: dict[str, str] = {}
    for _ in range(repeats):
        for name, run in ways.items():
            seconds, notes[name] = run()
            best[name] = min(seconds, best.get(name, seconds))
    first = next(iter(best.values()))
    return [
        f"| {unit} | {name} | {tokens / seconds:,.0f} | {first / seconds:.2f} | {notes[name]} |"
        for name, seconds in best.items()
    ]


def tuning_rows(options: argparse.Namespace) -> list[str]:
    """Table rows of fine-tuning on the first conversations of the data."""
    encoded, _ = encode_examples(options.data, load_tokenizer(options.model), 1024)
    examples = encoded[: options.conversations]

    def timed(run: Callable, *arguments: object) -> Callable[[], tuple[float, str]]:
        def measure() -> tuple[float, str]:
            with tempfile.TemporaryDirectory() as work:
                seconds, padding = run(options, examples, *arguments, work)
            return seconds, f"{padding:.0%} padding"

        return measure

    ways = {"SFTTrainer, defaults (8 x 2)": timed(train_stock)}
    ways |= {f"ours, {micro} x {STEP // micro}": timed(train_ours, micro) for micro in (16, 4)}
    tokens = sum(len(example["input_ids"]) for example in examples)
    return table("fine-tuning", tokens, ways, options.repeats)


def answer_rows(options: argparse.Namespace) -> list[str]:
    """Table rows of greedy answers to the first prompts of the data."""
    tokenizer = load_tokenizer(options.model)
    model = load_model(options.model, options.dtype, resolve_device(options.device))
    records = list(read_jsonl(options.data))[: options.prompts]
    prompts = {i: encode_prompt(tokenizer, record["messages"][:-1]) for i, record in enumerate(records)}
    expected = {i: greedy_answers(model, tokenizer, [ids], options.max_new_tokens)[0] for i, ids in prompts.items()}
    tokens = sum(len(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in expected.values())

    def timed(run: Callable[[], dict[int, str]]) -> Callable[[], tuple[float, str]]:
        def measure() -> tuple[float, str]:
            started = time.perf_counter()
            found = run()
            seconds = time.perf_counter() - started
            return seconds, f"{sum(found[i] == text for i, text in expected.items()) / len(found):.1%} same"

        return measure

    def in_order(size: int) -> dict[int, str]:
        found = {}
        for start in range(0, len(prompts), size):
            batch = list(prompts)[start : start + size]
            texts = greedy_answers(model, tokenizer, [prompts[i] for i in batch], options.max_new_tokens)
            found |= dict(zip(batch, texts, strict=True))
        return found

    def ours() -> dict[int, str]:
        batches = answer_batches(model, tokenizer, prompts, options.batch_size, options.max_new_tokens)
        return {index: text for batch in batches for index, text in batch.items()}

    ways = {
        "generate, one by one": timed(lambda: in_order(1)),
        f"generate, {options.batch_size} as they come": timed(lambda: in_order(options.batch_size)),
        f"ours, {options.batch_size} of like length": timed(ours),
    }
    return table("answers", tokens, ways, options.repeats)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=Path("results/mini/models/llama/instruct"))
    parser.add_argument("--data", type=Path, default=Path("results/mini/calibration_data/llama/saiga_copy/train.jsonl"))
    parser.add_argument("--conversations", type=int, default=320)
    parser.add_argument("--prompts", type=int, default=128)
    parser.add_argument("--max-new-tokens", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=2, help="the fastest counts")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    disable_progress_bars()
    prepare_torch(options.threads, 42)
    head = ["| what | way | tokens / s | ratio | |", "|---|---|---:|---:|---|"]
    sys.stdout.write("\n".join([*head, *tuning_rows(options), *answer_rows(options), ""]))


if __name__ == "__main__":
    main()
