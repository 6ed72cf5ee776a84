"""Conversations as token ids, with exactly one BOS and labels for the assistant's tokens."""

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lep.config import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

IGNORED = -100  # label of a token without loss, as in torch and transformers
_MARK = "Answer0To1Find"  # a content that no template writes by itself


def encode_conversation(
    tokenizer: "PreTrainedTokenizerFast", messages: Sequence[dict[str, str]]
) -> tuple[list[int], list[int]]:
    """Token ids and labels of a conversation under the tokenizer's own chat template.

    `messages` alternate `{"role": "user"|"assistant"|"system", "content"}`. Both lists have one entry per token. The
    label of an assistant's token, the end of its turn included, is its id; of any other token it is `IGNORED`.

    Works without {% generation %} markers: assistant tokens are those the template adds after the generation prompt.
    Raises `UserError` for a tokenizer without template, and for a template that leaves answers out or refuses a role.
    """
    text = render(tokenizer, messages)
    # Characters that the assistant writes.
    spans = [_answer(tokenizer, messages, i, text) for i, m in enumerate(messages) if m["role"] == "assistant"]
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    ids, offsets = one_bos(tokenizer, encoded["input_ids"], encoded["offset_mapping"])
    inside = [any(start <= first and last <= end for start, end in spans) for first, last in offsets]
    return ids, [token if spoken else IGNORED for token, spoken in zip(ids, inside, strict=True)]


def _answer(
    tokenizer: "PreTrainedTokenizerFast", messages: Sequence[dict[str, str]], index: int, text: str
) -> tuple[int, int]:
    """Where the answer of a turn begins and ends in the rendered conversation `text`, the end of the turn included."""
    before = render(tokenizer, messages[:index], add_generation_prompt=True)
    after = render(tokenizer, messages[: index + 1])
    if text.startswith(before) and text.startswith(after) and len(after) > len(before):
        return len(before), len(after)
    # Templates of thinking models write a turn in another way once another one follows, or open a thought in the
    # generation prompt alone (DeepSeek-R1): find its content.
    start, end = _content(tokenizer, messages, index, text)
    tail = after[_content(tokenizer, messages[: index + 1], index, after)[1] :]  # the end of the turn
    same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(tail, text[end:], strict=False))
    return len(before) if text.startswith(before) else start, end + sum(1 for _ in same)


def _content(
    tokenizer: "PreTrainedTokenizerFast", messages: Sequence[dict[str, str]], index: int, text: str
) -> tuple[int, int]:
    """Where the content of a turn begins and ends in `text`, found by rendering a marker in its place."""
    marked = render(tokenizer, [*messages[:index], {**messages[index], "content": _MARK}, *messages[index + 1 :]])
    before, mark, after = marked.rpartition(_MARK)
    if not mark or not (text.startswith(before) and text.endswith(after)):
        raise UserError(
            f"the chat template of {tokenizer.name_or_path} does not write the answer of turn {index + 1} as it is, so "
            "it cannot be learned; use a template that keeps all turns, or conversations of one turn"
        )
    return len(before), len(text) - len(after)


def encode_prompt(tokenizer: "PreTrainedTokenizerFast", messages: Sequence[dict[str, str]]) -> list[int]:
    """Token ids of a conversation up to the beginning of the assistant's answer."""
    text = render(tokenizer, messages, add_generation_prompt=True)
    return one_bos(tokenizer, tokenizer(text, add_special_tokens=False)["input_ids"])[0]


def render(
    tokenizer: "PreTrainedTokenizerFast", messages: Sequence[dict[str, str]], add_generation_prompt: bool = False
) -> str:
    """The conversation as text under the chat template; raises `UserError` if there is none, or it refuses."""
    if not tokenizer.chat_template:
        raise UserError(f"{tokenizer.name_or_path} has no chat template; add chat_template.jinja to the model's folder")
    try:
        return tokenizer.apply_chat_template(
            list(messages), tokenize=False, add_generation_prompt=add_generation_prompt
        )
    except Exception as error:  # whatever a template may raise
        roles = ", ".join(str(message.get("role")) for message in messages)
        raise UserError(
            f"the chat template of {tokenizer.name_or_path} refuses a conversation of the roles {roles} "
            f"({type(error).__name__}: {' '.join(str(error).split())[:200]}); change chat_template.jinja or "
            "chat_template in tokenizer_config.json there, or leave these turns (such as a system turn) out of the data"
        ) from None


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
    """Sorted ids that end an answer: EOS and the control tokens that the template writes after an answer's content.

    Control tokens are special, or added and neither white space nor ordinary pieces too: Gemma lists its line breaks as
    added tokens, and writes one behind each turn.
    """
    text = render(tokenizer, [{"role": "user", "content": "a"}, {"role": "assistant", "content": _MARK}])
    ids = tokenizer(text.rpartition(_MARK)[2], add_special_tokens=False)["input_ids"]
    pieces = tokenizer.backend_tokenizer.get_vocab(with_added_tokens=False)
    control = {
        index
        for index, token in tokenizer.added_tokens_decoder.items()
        if token.special or (token.content.strip() and token.content not in pieces)
    }
    ends = control.intersection(ids) - {tokenizer.bos_token_id}
    # EOS may be the BOS too (`<|endoftext|>`).
    return sorted(ends | ({tokenizer.eos_token_id} if tokenizer.eos_token_id is not None else set()))
