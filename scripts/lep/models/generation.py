"""Greedy answers to encoded prompts, batch by batch: with transformers, or with vLLM if it is installed."""

import itertools
from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from tqdm import tqdm

from lep.config import UserError
from lep.models.chat import end_of_turn_ids

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

_AT_ONCE = 1024  # prompts that vLLM gets in one call; a killed job loses at most these answers


def answer_batches(
    model: torch.nn.Module,
    tokenizer: "PreTrainedTokenizerFast",
    prompts: Mapping[int, Sequence[int]],
    batch_size: int,
    max_new_tokens: int,
    done: Container[int] = (),
) -> Iterator[dict[int, str]]:
    """Greedy answers to `prompts` ({index: token ids}), a batch at a time; batches that are all `done` are skipped.

    A batch has prompts of similar length. Batches are the same in every run, so that an interrupted run gives the same
    answers as an uninterrupted one.
    """
    order = sorted(prompts, key=lambda index: (-len(prompts[index]), index))
    batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    for batch in tqdm(batches, desc="answers", unit="batch"):
        if not all(index in done for index in batch):
            texts = greedy_answers(model, tokenizer, [prompts[index] for index in batch], max_new_tokens)
            yield dict(zip(batch, texts, strict=True))


@torch.no_grad()
def greedy_answers(
    model: torch.nn.Module, tokenizer: "PreTrainedTokenizerFast", prompts: Sequence[Sequence[int]], max_new_tokens: int
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
    # The end of a turn may be an added token that is not special, which decoding would leave in the text.
    answers = [list(itertools.takewhile(lambda token: token not in ends, row)) for row in output[:, width:].tolist()]
    texts = tokenizer.batch_decode(answers, skip_special_tokens=True)
    return [text.strip() for text in texts]


def answer_with_vllm(
    folder: Path,
    tokenizer: "PreTrainedTokenizerFast",
    prompts: Mapping[int, Sequence[int]],
    max_new_tokens: int,
    dtype: str,
    done: Container[int] = (),
) -> Iterator[dict[int, str]]:
    """The same with vLLM, which forms its own batches. Its rounding differs, so near ties may end differently.

    Raises `UserError` if vLLM is not installed.
    """
    try:
        from vllm import LLM, SamplingParams
    except ImportError as error:
        raise UserError(
            f"calibration.answers.backend vllm needs the packages of envs/vllm.yaml ({error}); run Snakemake with "
            "`--sdm conda`, or choose hf"
        ) from None
    left = [index for index in prompts if index not in done]
    longest = max(map(len, prompts.values()), default=0) + max_new_tokens
    engine = LLM(model=str(folder), dtype=dtype, max_model_len=longest, generation_config="vllm")
    parameters = SamplingParams(temperature=0, max_tokens=max_new_tokens, stop_token_ids=end_of_turn_ids(tokenizer))
    for start in range(0, len(left), _AT_ONCE):
        batch = left[start : start + _AT_ONCE]
        outputs = engine.generate([{"prompt_token_ids": list(prompts[index])} for index in batch], parameters)
        yield {index: output.outputs[0].text.strip() for index, output in zip(batch, outputs, strict=True)}
