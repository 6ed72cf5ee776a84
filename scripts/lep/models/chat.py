"""Conversations as token ids, with exactly one BOS and labels for the assistant's tokens."""

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lep.config import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

IGNORED = -100  # label of a token without loss, as in torch and transformers


def encode_conversation(
    tokenizer: "PreTrainedTokenizerFast", messages: Sequence[dict[str, str]]
) -> tuple[list[int], list[int]]:
    """Token ids and labels of a conversation under the tokenizer's own chat template.

    `messages` alternate `{"role": "user"|"assistant"|"system", "content"}`. Both lists have one entry per token. The
    label of an assistant's token, the end of its turn included, is its id; of any other token it is `IGNORED`.

    Works without {% generation %} markers: assistant tokens are those the template adds after the generation prompt.
    Raises `UserError` for a tokenizer without template, and for a template that rewrites earlier turns.
    """
    text = render(tokenizer, messages)
    spans = []  # of characters that the assistant writes
    for index, message in enumerate(messages):
        if message["role"] == "assistant":
            start = len(render(tokenizer, messages[:index], add_generation_prompt=True))
            end = len(render(tokenizer, messages[: index + 1]))
            if not text.startswith(render(tokenizer, messages[: index + 1])):
                raise UserError("the chat template rewrites earlier turns; use one that writes turn after turn")
            spans.append((start, end))
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    ids, offsets = one_bos(tokenizer, encoded["input_ids"], encoded["offset_mapping"])
    inside = [any(start <= first and last <= end for start, end in spans) for first, last in offsets]
    return ids, [token if spoken else IGNORED for token, spoken in zip(ids, inside, strict=True)]


def encode_prompt(tokenizer: "PreTrainedTokenizerFast", messages: Sequence[dict[str, str]]) -> list[int]:
    """Token ids of a conversation up to the beginning of the assistant's answer."""
    text = render(tokenizer, messages, add_generation_prompt=True)
    return one_bos(tokenizer, tokenizer(text, add_special_tokens=False)["input_ids"])[0]


def render(
    tokenizer: "PreTrainedTokenizerFast", messages: Sequence[dict[str, str]], add_generation_prompt: bool = False
) -> str:
    """The conversation as text under the chat template; raises `UserError` if the tokenizer has none."""
    if not tokenizer.chat_template:
        raise UserError(f"{tokenizer.name_or_path} has no chat template; add chat_template.jinja to the model's folder")
    return tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=add_generation_prompt)


def one_bos(
    tokenizer: "PreTrainedTokenizerFast", ids: list[int], offsets: list | None = None
) -> tuple[list[int], list]:
    """`ids` and their offsets with exactly one BOS in front; template and tokenizer may have written 0, 1 or 2."""
    bos = tokenizer.bos_token_id
    offsets = list(offsets) if offsets is not None else [(0, 0)] * len(ids)
    if bos is None:
        return list(ids), offsets
    written = sum(1 for _ in itertools.takewhile(bos.__eq__, ids))
    return [bos, *ids[written:]], [(-1, -1), *offsets[written:]]


def end_of_turn_ids(tokenizer: "PreTrainedTokenizerFast") -> list[int]:
    """Sorted ids that end an answer: EOS and the added tokens that the template writes after an assistant's turn."""
    user = [{"role": "user", "content": "a"}]
    text = render(tokenizer, [*user, {"role": "assistant", "content": "b"}])
    said = text[len(render(tokenizer, user, add_generation_prompt=True)) :]
    ids = tokenizer(said, add_special_tokens=False)["input_ids"]
    special = {i for i in ids if i in tokenizer.added_tokens_decoder}
    ends = special | ({tokenizer.eos_token_id} if tokenizer.eos_token_id is not None else set())
    return sorted(ends - {tokenizer.bos_token_id})
