"""Greedy answers of a model to prompts, graded by a judge: the raw material of self-calibration (section 2.4.2).

python -m lep.answers --config job.json
"""

import argparse
import dataclasses
import json
import random
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from pydantic.dataclasses import dataclass
from tqdm import tqdm

import lep.log
from lep.calibration_data import ROLES, read_records
from lep.chat import encode_prompt, end_of_turn_ids
from lep.compute import prepare_torch, resolve_device
from lep.config import STRICT, UserError, load_job
from lep.instructions import write_jsonl
from lep.judge import JudgeSettings, make_judge
from lep.manifest import MANIFEST, publish, sha256_file, sha256_json, staging, write_text
from lep.model_store import load_model, load_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

RECIPE_VERSION = 1
ANSWERS = "answers.jsonl"


@dataclass(frozen=True, config=STRICT)
class AnswerJob:
    """Answers of the model folder `model` to `prompts` first questions of the folder or file `instructions`."""

    model: Path
    instructions: Path
    prompts: int
    work: Path
    output: Path
    judge: JudgeSettings
    max_new_tokens: int
    batch_size: int
    max_prompt_tokens: int
    seed: int
    threads: int
    device: str
    dtype: str
    recipe_version: int = RECIPE_VERSION


def answer(job: AnswerJob) -> None:
    """Publish `answers.jsonl`: `{"messages": [prompt], "answer", "grade"}` for each prompt, in a fixed order."""
    prepare_torch(job.threads, job.seed)
    work = job.work / sha256_json(_identity(job))[:16]  # another job's answers are never taken up
    prompts = choose_prompts(job.instructions, job.prompts, job.seed)
    answers = Progress(work / "answers.jsonl")
    if len(answers) < len(prompts):
        tokenizer = load_tokenizer(job.model)
        model = load_model(job.model, job.dtype, resolve_device(job.device))
        generate(model, tokenizer, prompts, answers, job)
    judge, grades = make_judge(job.judge), Progress(work / "grades.jsonl")
    for index, prompt in enumerate(tqdm(prompts, desc="grades", unit="answer")):
        if index not in grades:
            grades.add({index: judge(prompt[-1]["content"], answers[index])})
    records = [
        {"messages": prompt, "answer": answers[index], "grade": grades[index]} for index, prompt in enumerate(prompts)
    ]
    folder = staging(job.output)
    write_jsonl(folder / ANSWERS, records)
    given = Counter(f"grade/{record['grade']}" for record in records)
    parents = {"model": job.model, "instructions": job.instructions}
    publish(
        folder,
        job.output,
        recipe_version=job.recipe_version,
        parents={role: path for role, path in parents.items() if (path / MANIFEST).is_file()},
        seed=job.seed,
        config=_identity(job),
        facts={"prompts": len(prompts), **dict(sorted(given.items()))},
    )


class Progress:
    """Values by index in a file that grows: what was done before a kill is there after it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._values: dict[int, object] = {}
        if path.is_file():
            for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
                if not line.endswith("\n"):  # cut off by the kill
                    break
                index, value = json.loads(line)
                self._values[index] = value
        write_text(path, "".join(self._line(index) for index in self._values))

    def add(self, values: dict[int, object]) -> None:
        """Keep values, at once on disk."""
        self._values |= values
        with open(self._path, "a", encoding="utf-8") as file:
            file.write("".join(self._line(index) for index in values))

    def __contains__(self, index: int) -> bool:
        return index in self._values

    def __getitem__(self, index: int):
        return self._values[index]

    def __len__(self) -> int:
        return len(self._values)

    def _line(self, index: int) -> str:
        return json.dumps([index, self._values[index]], ensure_ascii=False) + "\n"


def generate(
    model: torch.nn.Module,
    tokenizer: "PreTrainedTokenizerFast",
    prompts: Sequence[list[dict]],
    answers: Progress,
    job: AnswerJob,
) -> None:
    """Add the missing greedy answers, batch by batch.

    Batches are of prompts of like length and the same in every run, so that an interrupted run answers as
    an uninterrupted one. A prompt of more than `job.max_prompt_tokens` tokens gets an empty answer.
    """
    encoded = [encode_prompt(tokenizer, prompt) for prompt in prompts]
    answers.add({i: "" for i, ids in enumerate(encoded) if len(ids) > job.max_prompt_tokens and i not in answers})
    fitting = [index for index, ids in enumerate(encoded) if len(ids) <= job.max_prompt_tokens]
    order = sorted(fitting, key=lambda index: (-len(encoded[index]), index))
    batches = [order[start : start + job.batch_size] for start in range(0, len(order), job.batch_size)]
    for batch in tqdm(batches, desc="answers", unit="batch"):
        if not all(index in answers for index in batch):
            texts = greedy_answers(model, tokenizer, [encoded[index] for index in batch], job.max_new_tokens)
            answers.add(dict(zip(batch, texts, strict=True)))


@torch.no_grad()
def greedy_answers(
    model: torch.nn.Module, tokenizer: "PreTrainedTokenizerFast", prompts: Sequence[list[int]], max_new_tokens: int
) -> list[str]:
    """Greedy continuations of encoded prompts as text, up to the end of the turn; one batch, padded on the left."""
    device = next(model.parameters()).device
    width = max(map(len, prompts))
    ends = end_of_turn_ids(tokenizer)
    ids = torch.full((len(prompts), width), ends[0])
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = torch.tensor(prompt)
        mask[row, width - len(prompt) :] = 1
    output = model.eval().generate(
        input_ids=ids.to(device),
        attention_mask=mask.to(device),
        max_new_tokens=max_new_tokens,
        do_sample=False,
        temperature=None,
        top_p=None,
        top_k=None,
        eos_token_id=ends,
        pad_token_id=ends[0],
    )
    texts = tokenizer.batch_decode(output[:, width:], skip_special_tokens=True)
    return [text.strip() for text in texts]


def choose_prompts(instructions: Path, count: int, seed: int) -> list[list[dict]]:
    """`count` different opening questions of an instruction data set, chosen by seed."""
    first: dict[str, list[dict]] = {}
    for record in read_records(instructions):
        messages = [{"role": ROLES[m["role"]], "content": m["content"]} for m in record["messages"]]
        end = next((i for i, message in enumerate(messages) if message["role"] == "assistant"), len(messages))
        if end and messages[end - 1]["role"] == "user":
            first.setdefault(json.dumps(messages[:end], ensure_ascii=False), messages[:end])
    if len(first) < count:
        raise UserError(f"{instructions} has {len(first)} different prompts, {count} are wanted; ask for fewer prompts")
    return random.Random(seed).sample(list(first.values()), count)


def _identity(job: AnswerJob) -> dict:
    values = dataclasses.asdict(job)
    for path in ("model", "instructions", "work", "output"):
        del values[path]
    source = job.instructions if job.instructions.is_file() else job.instructions / MANIFEST
    values["judge"] = {"backend": job.judge.backend, "model": job.judge.model}
    return {**values, "model": sha256_file(job.model / MANIFEST), "instructions": sha256_file(source)}


def run(main_function: Callable, job_class: type, description: str) -> None:
    """Command line of a module with one job."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--config", type=Path, required=True, help=f"a {job_class.__name__} as JSON")
    arguments = parser.parse_args()
    with lep.log.job():
        main_function(load_job(job_class, arguments.config))


if __name__ == "__main__":
    run(answer, AnswerJob, __doc__.split("\n")[0])
