"""Sample answers to the same prompts: original model, after LEP, and after calibration (Figure 3 of the paper).

python -m lep.evaluation.sample_answers --config job.json
"""

from pathlib import Path
from typing import Literal

from pydantic.dataclasses import dataclass

from lep.calibration.answers import choose_prompts
from lep.compute.determinism import prepare_torch, resolve_device
from lep.config import STRICT
from lep.files import write_jsonl
from lep.log import logger, run_job
from lep.models.adapter import is_calibrated, load_calibrated
from lep.models.chat import encode_prompt
from lep.models.folder import load_tokenizer
from lep.models.generation import greedy_answers
from lep.models.store import load_model

RECIPE_VERSION = 1


@dataclass(frozen=True, config=STRICT)
class SampledModel:
    """A model that answers."""

    name: str
    path: Path  # folder of the model store, or of a calibrated model
    label: Literal["original", "LEP", "LEP + calibration"]  # in the figure


@dataclass(frozen=True, config=STRICT)
class SampledFamily:
    """The models of one family, in the order of Figure 3."""

    family: str
    models: list[SampledModel]


@dataclass(frozen=True, config=STRICT)
class SampleJob:
    """Settings of one job: greedy answers of all families to the same prompts."""

    families: list[SampledFamily]
    instructions: Path  # file or folder of conversations that prompts are drawn from
    prompts: int | list[str]  # number of prompts, drawn by `seed`, or the prompts themselves
    output: Path  # JSONL file to write
    max_new_tokens: int  # longest answer
    threads: int  # CPU threads of torch
    seed: int
    device: str  # cpu, cuda or auto
    dtype: str  # number type of the weights of uncalibrated models
    recipe_version: int = RECIPE_VERSION


def sample(job: SampleJob) -> None:
    """Write one line `{"family", "prompt", "answers": [{"model", "label", "text"}]}` per family and prompt."""
    prompts = job.prompts
    if isinstance(prompts, int):
        prompts = [messages[-1]["content"] for messages in choose_prompts(job.instructions, prompts, job.seed)]
    prepare_torch(job.threads, job.seed)
    lines = []
    for family in job.families:
        answers: list[list[dict]] = [[] for _ in prompts]
        for entry in family.models:
            logger.info("%s", entry.name)
            for place, text in zip(answers, _ask(entry, prompts, job), strict=True):
                place.append({"model": entry.name, "label": entry.label, "text": text})
        for prompt, found in zip(prompts, answers, strict=True):
            lines.append({"family": family.family, "prompt": prompt, "answers": found})
    write_jsonl(job.output, lines)


def _ask(entry: SampledModel, prompts: list[str], job: SampleJob) -> list[str]:
    device = resolve_device(job.device)
    if is_calibrated(entry.path):
        model, tokenizer = load_calibrated(entry.path, device)
    else:
        model, tokenizer = load_model(entry.path, job.dtype, device), load_tokenizer(entry.path)
    texts = []
    for prompt in prompts:  # one by one: in a batch, the rounding would depend on the other prompts
        ids = encode_prompt(tokenizer, [{"role": "user", "content": prompt}])
        texts += greedy_answers(model, tokenizer, [ids], job.max_new_tokens)
    return texts


if __name__ == "__main__":
    run_job(sample, SampleJob, __doc__)
