"""Self-calibration answers: greedy answers of a model to prompts (paper section 2.4.2).

python -m lep.calibration.answers --config job.json
"""

import dataclasses
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic.dataclasses import dataclass

from lep.calibration.progress import Progress
from lep.calibration.records import read_conversations
from lep.compute.determinism import prepare_torch, resolve_device
from lep.config import STRICT, UserError
from lep.files import sha256_file, sha256_json, write_jsonl
from lep.log import run_job
from lep.manifest import MANIFEST, publish, staging, with_manifest
from lep.models.chat import encode_prompt
from lep.models.folder import load_tokenizer
from lep.models.generation import answer_batches, answer_with_vllm
from lep.models.store import load_model

RECIPE_VERSION = 2
ANSWERS = "answers.jsonl"


@dataclass(frozen=True, config=STRICT)
class AnswerJob:
    """Settings of one job: a model answers prompts of an instruction data set."""

    model: Path  # folder of the instruct model that answers
    instructions: Path  # file or folder of conversations; their opening messages are the prompts
    prompts: int  # number of prompts, drawn by `seed`
    work: Path  # folder of answers so far; a restarted job continues from it
    output: Path  # folder to publish
    max_new_tokens: int  # longest answer
    batch_size: int  # prompts generated at once; unused by the backend vllm
    max_prompt_tokens: int  # a longer prompt gets an empty answer
    seed: int
    threads: int  # CPU threads of torch
    device: str  # cpu, cuda or auto
    dtype: str  # float32, bfloat16 or float16, of weights and computation
    backend: Literal["hf", "vllm"] = "hf"  # transformers or vLLM
    recipe_version: int = RECIPE_VERSION


def answer(job: AnswerJob) -> None:
    """Publish `answers.jsonl`: one line `{"messages": [...], "answer"}` per prompt, in a fixed order."""
    prepare_torch(job.threads, job.seed)
    work = job.work / sha256_json(_identity(job))[:16]  # answers of a job with other settings are never reused
    prompts = choose_prompts(job.instructions, job.prompts, job.seed)
    answers = Progress(work / ANSWERS)
    # The model is loaded only if answers are missing.
    if len(answers) < len(prompts):
        for found in _generate(prompts, answers, job):
            answers.add(found)
    folder = staging(job.output)
    write_jsonl(
        folder / ANSWERS, ({"messages": prompt, "answer": answers[index]} for index, prompt in enumerate(prompts))
    )
    publish(
        folder,
        job.output,
        recipe_version=job.recipe_version,
        parents=with_manifest({"model": job.model, "instructions": job.instructions}),
        seed=job.seed,
        config=_identity(job),
        facts={"prompts": len(prompts)},
    )


def _generate(prompts: list[list[dict]], answers: Progress, job: AnswerJob) -> Iterator[dict[int, str]]:
    """Missing answers, batch by batch; a prompt over `max_prompt_tokens` gets an empty answer."""
    tokenizer = load_tokenizer(job.model)
    encoded = {index: encode_prompt(tokenizer, prompt) for index, prompt in enumerate(prompts)}
    fitting = {index: ids for index, ids in encoded.items() if len(ids) <= job.max_prompt_tokens}
    yield {index: "" for index in encoded if index not in fitting and index not in answers}
    if job.backend == "vllm":
        yield from answer_with_vllm(job.model, tokenizer, fitting, job.max_new_tokens, job.dtype, answers)
        return
    model = load_model(job.model, job.dtype, resolve_device(job.device))
    yield from answer_batches(model, tokenizer, fitting, job.batch_size, job.max_new_tokens, answers)


def choose_prompts(instructions: Path, count: int, seed: int) -> list[list[dict]]:
    """Draw `count` distinct prompts: the messages of a conversation before its first answer.

    Raises `UserError` if the data set has fewer.
    """
    first: dict[str, list[dict]] = {}
    for record in read_conversations(instructions):
        messages = record["messages"]
        end = next((i for i, message in enumerate(messages) if message["role"] == "assistant"), len(messages))
        if end and messages[end - 1]["role"] == "user":
            first.setdefault(json.dumps(messages[:end], ensure_ascii=False), messages[:end])
    if len(first) < count:
        raise UserError(f"{instructions} has {len(first)} distinct prompts, but {count} are needed; set fewer prompts")
    return random.Random(seed).sample(list(first.values()), count)


def _identity(job: AnswerJob) -> dict:
    values = dataclasses.asdict(job)
    for path in ("model", "instructions", "work", "output"):
        del values[path]
    source = job.instructions if job.instructions.is_file() else job.instructions / MANIFEST
    return {**values, "model": sha256_file(job.model / MANIFEST), "instructions": sha256_file(source)}


if __name__ == "__main__":
    run_job(answer, AnswerJob, __doc__)
