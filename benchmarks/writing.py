"""How fast models read and write the same language, the models taking turns in one process.

    python benchmarks/writing.py --models FOLDER FOLDER ... --text results/laptop/corpus/validation.jsonl

- Reading: one pass over the same characters of held-out text, as after a long prompt.
- Writing: greedy tokens after the beginning of that text, one prompt at a time.

Seconds of the processor, which other processes hardly change; the fastest of `--repeats` counts. Ratios are to the
first model. What models write differs, so a written token counts as the characters that a token of the text read has.
"""

import argparse
import os
import sys
import time
from pathlib import Path

if not sys.flags.safe_path:  # -P leaves it out
    sys.path.pop(0)  # this folder: its lep.py is not the library
os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}

import torch
from lep.compute.determinism import prepare_torch
from lep.files import read_jsonl
from lep.models.folder import load_tokenizer
from lep.models.store import load_model

PROMPT = 200  # characters


def held_out(path: Path, language: str, characters: int) -> str:
    """The first `characters` of the documents in one language."""
    documents = (document for document in read_jsonl(path) if document["language"] == language)
    text = "\n".join(paragraph["text"] for document in documents for paragraph in document["paragraphs"])
    return text[:characters]


@torch.inference_mode()
def turn(model: torch.nn.Module, tokenizer: object, text: str, tokens: int) -> tuple[float, float, int]:
    """(seconds to read `text`, seconds to write `tokens` tokens, tokens of `text`)."""
    ids = tokenizer(text, add_special_tokens=False, return_tensors="pt")["input_ids"]
    start = time.process_time()
    model(ids, logits_to_keep=1)
    reading = time.process_time() - start
    prompt = tokenizer(text[:PROMPT], add_special_tokens=False, return_tensors="pt")
    start = time.process_time()
    model.generate(**prompt, max_new_tokens=tokens, min_new_tokens=tokens, do_sample=False, pad_token_id=0)
    return reading, time.process_time() - start, ids.shape[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--models", type=Path, nargs="+", required=True, help="folders of models, the first to compare with"
    )
    parser.add_argument("--text", type=Path, required=True, help="JSONL of held-out documents")
    parser.add_argument("--language", default="ru")
    parser.add_argument("--characters", type=int, default=1000)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    prepare_torch(1, 42)
    text = held_out(options.text, options.language, options.characters)
    loaded = [(path, load_model(path, "float32", "cpu").eval(), load_tokenizer(path)) for path in options.models]
    best: dict[Path, list[float]] = {}
    lengths = {}
    for _ in range(options.repeats):
        for path, model, tokenizer in loaded:
            reading, writing, lengths[path] = turn(model, tokenizer, text, options.tokens)
            known = best.setdefault(path, [reading, writing])
            best[path] = [min(known[0], reading), min(known[1], writing)]
    print("| model | characters per token | read, characters / s | ratio | written, characters / s | ratio |")
    print("|---|---:|---:|---:|---:|---:|")
    speeds = {}
    for path, (reading, writing) in best.items():
        length = len(text) / lengths[path]
        speeds[path] = (len(text) / reading, length * options.tokens / writing)
        ratios = [mine / first for mine, first in zip(speeds[path], speeds[options.models[0]], strict=True)]
        cells = (
            f"{length:.2f}",
            f"{speeds[path][0]:.0f}",
            f"{ratios[0]:.2f}",
            f"{speeds[path][1]:.1f}",
            f"{ratios[1]:.2f}",
        )
        print(f"| {'/'.join(path.parts[-2:])} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
