"""HFLM that computes shared prefixes once, and logits only at scored positions.

- Five-shot prompts of a task start with the same tokens, and so do the requests of one document. The keys and values of
  these tokens are computed once and reused (`batches` finds them).
- Log-probabilities are computed at scored positions only, so memory does not grow with prompt length x vocabulary.
- Answers that have ended leave their batch, where those of HFLM are computed as long as the longest one.
- Results equal those of HFLM up to the rounding of batching.
"""

import json
from collections.abc import Sequence
from functools import partial

import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from lm_eval.models.utils import handle_stop_sequences, normalize_gen_kwargs, postprocess_generated_text
from torch.nn.functional import log_softmax
from tqdm import tqdm
from transformers import Cache, DynamicCache
from transformers.cache_utils import DynamicLayer

from darumeru import request_types

SAVED = 64  # tokens that a shared prefix must save for each forward pass of its batch
ROUND = 16  # generated tokens after which the answers that have ended leave their batch
_KEPT = 8  # encoded strings in the cache
Tokens = Sequence[int]
_Prefix = tuple[tuple[int, ...], DynamicCache]


def common_prefix(first: Tokens, second: Tokens) -> int:
    """Number of equal tokens at the start of both."""
    for index, (a, b) in enumerate(zip(first, second, strict=False)):
        if a != b:
            return index
    return min(len(first), len(second))


def batches(rows: Sequence[Tokens], own: Sequence[int], size: int, passes: int = 1) -> list[tuple[int, list[int]]]:
    """Split rows into batches of at most `size`: (length of the shared prefix, indices of rows).

    - Rows that share at least half of their tokens with a neighbour in lexicographic order form a run. All batches of a
      run have the same prefix and follow each other.
    - The last `own[i]` tokens of row i are never part of the prefix.
    - A batch takes `passes` forward passes; a run whose prefix saves too little for its own batches is none.
    - All other rows are batched by length, longest first, with a prefix of 0.
    """
    # Find the runs.
    runs: list[list[int]] = []
    for index in sorted(range(len(rows)), key=lambda i: (tuple(rows[i]), i)):
        last = rows[runs[-1][-1]] if runs else ()
        if runs and 2 * common_prefix(last, rows[index]) >= min(len(last), len(rows[index])):
            runs[-1].append(index)
        else:
            runs.append([index])
    # Cut them into batches.
    loose: list[int] = []
    result: list[tuple[int, list[int]]] = []
    for run in runs:
        shared = min(common_prefix(rows[run[0]], rows[run[-1]]), min(len(rows[i]) - own[i] for i in run))
        if (len(run) - 1) * shared < SAVED * passes:
            loose += run
        else:
            result += [(shared, chunk) for chunk in _by_length(rows, run, size)]
    return [(0, chunk) for chunk in _by_length(rows, loose, size)] + result


def _by_length(rows: Sequence[Tokens], indices: list[int], size: int) -> list[list[int]]:
    ordered = sorted(indices, key=lambda i: (-len(rows[i]), i))
    return [ordered[start : start + size] for start in range(0, len(ordered), size)]


class GrowingLayer(DynamicLayer):
    """A cache layer with free space: new tokens are written after the old ones, without copying those."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room
        self._buffers: list[torch.Tensor] = []

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *args, **kwargs) -> tuple:
        """Add keys and values, both (batch, heads, new tokens, dim); returns all keys and values, as views."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        start = self.get_seq_length()
        end = start + key_states.shape[-2]
        if not self._buffers or end > self._buffers[0].shape[-2]:
            old = [tensor[..., :start, :] for tensor in self._buffers]
            batch, heads, _, _ = key_states.shape
            sizes = [(batch, heads, end + self.room, new.shape[-1]) for new in (key_states, value_states)]
            self._buffers = [key_states.new_empty(size) for size in sizes]
            for buffer, tensor in zip(self._buffers, old, strict=False):
                buffer[..., :start, :] = tensor
        for buffer, new in zip(self._buffers, (key_states, value_states), strict=True):
            buffer[..., start:end, :] = new
        self.keys, self.values = (buffer[..., :end, :] for buffer in self._buffers)
        return self.keys, self.values

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Keep these rows of the batch."""
        length = self.get_seq_length()
        self._buffers = [buffer[indices] for buffer in self._buffers]
        self.keys, self.values = (buffer[..., :length, :] for buffer in self._buffers)


class PrefixLM(HFLM):
    """HFLM with shared prefixes, for scoring and generation; `batch_size` must be a number."""

    loglikelihood_shortest = request_types.loglikelihood_shortest
    loglikelihood_distinct = request_types.loglikelihood_distinct

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self._encoded: dict[tuple, list[int]] = {}
        self._prefix: _Prefix | None = None  # the last prefix with its keys and values

    def tok_encode(self, string: str, *args, **kwargs) -> list[int]:
        """As in HFLM, with a cache of the last strings: the options of a question repeat its prompt."""
        key = (string, args, tuple(sorted(kwargs.items())))
        if key not in self._encoded:
            if len(self._encoded) >= _KEPT:
                self._encoded.pop(next(iter(self._encoded)))
            self._encoded[key] = super().tok_encode(string, *args, **kwargs)
        return list(self._encoded[key])

    def _batches(self, rows: Sequence[Tokens], own: Sequence[int], room: int = 0) -> list[tuple[int, list[int]]]:
        """As `batches`, for answers of `room` tokens. Rows that exceed a sliding window with these share no prefix."""
        near = [index for index, row in enumerate(rows) if self._reaches(len(row) + room)]
        shared = batches([rows[i] for i in near], [own[i] for i in near], self.batch_size, max(1, room))
        far = sorted(set(range(len(rows))) - set(near))
        plan = [(length, [near[i] for i in chunk]) for length, chunk in shared]
        return plan + [(0, chunk) for chunk in _by_length(rows, far, self.batch_size)]

    def _reaches(self, length: int) -> bool:
        """Whether attention covers `length` tokens: there is no sliding window, or it is not shorter."""
        window = getattr(self.config, "sliding_window", None)
        return not window or length <= window

    def _cache(self, prefix: Tokens, count: int, room: int = 0) -> Cache:
        """A cache with the prefix for `count` rows and space for `room` more tokens. The last prefix is remembered."""
        cache = Cache(layer_class_to_replicate=partial(GrowingLayer, room))
        if not prefix:
            return cache
        if self._prefix is None or self._prefix[0] != tuple(prefix):
            first = DynamicCache()
            self.model(self._tensor([prefix]), past_key_values=first, use_cache=True, logits_to_keep=1)
            self._prefix = (tuple(prefix), first)
        for index, layer in enumerate(self._prefix[1].layers):
            cache.update(*(x.expand(count, -1, -1, -1) for x in (layer.keys, layer.values)), index)
        return cache

    def _tensor(self, rows: Sequence[Tokens]) -> torch.Tensor:
        return torch.tensor([list(row) for row in rows], device=self.device)

    @torch.no_grad()
    def _loglikelihood_tokens(
        self, requests: list[tuple], disable_tqdm: bool = False, override_bs: int | None = None
    ) -> list[tuple[float, bool]]:
        """(log-probability, is greedy) of each (_, context ids, continuation ids); equal inputs are computed once."""
        # Inputs as in HFLM: the end of context + continuation, without its last token. Requests are grouped by input.
        inputs = [tuple((context + cont)[-(self.max_length + 1) :][:-1]) for _, context, cont in requests]
        asked: dict[tuple, list[int]] = {}
        for index, row in enumerate(inputs):
            asked.setdefault(row, []).append(index)
        rows = list(asked)
        # The last tokens of each input that some request scores; they stay out of the shared prefix.
        scored = [max(len(requests[index][2]) for index in asked[row]) for row in rows]
        results: list = [None] * len(requests)
        for shared, chunk in tqdm(self._batches(rows, scored), disable=disable_tqdm, desc="scoring batches"):
            logits, positions = self._logits([rows[i] for i in chunk], shared, [scored[i] for i in chunk])
            for place, i in enumerate(chunk):
                for index in asked[rows[i]]:
                    continuation = requests[index][2]
                    start = positions[len(rows[i]) - len(continuation)]
                    results[index] = _answer(logits[place, start : start + len(continuation)], continuation)
        self._prefix = None
        return results

    def _logits(self, rows: list[Tokens], shared: int, scored: list[int]) -> tuple[torch.Tensor, dict[int, int]]:
        """Log-probabilities (rows, kept positions, vocabulary), and the index of each kept position of the input."""
        longest = max(map(len, rows))
        padded = self._tensor([[*row[shared:], *[row[-1]] * (longest - len(row))] for row in rows])
        keep = sorted({p for row, n in zip(rows, scored, strict=True) for p in range(len(row) - n, len(row))})
        cache = self._cache(rows[0][:shared], len(rows), longest - shared) if shared else None
        # No mask is needed: attention is causal, and the padding comes after all scored tokens.
        logits = self.model(
            padded,
            past_key_values=cache,
            use_cache=cache is not None,
            logits_to_keep=torch.tensor(keep, device=self.device) - shared,
        ).logits
        return log_softmax(logits, dim=-1, dtype=self.softmax_dtype), {p: i for i, p in enumerate(keep)}

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """Answers, cut at their stop strings; requests with equal settings are batched together."""
        grouped: dict[str, list[int]] = {}
        for index, request in enumerate(requests):
            grouped.setdefault(json.dumps(request.args[1], sort_keys=True), []).append(index)
        answers: list[str] = [""] * len(requests)
        for settings, members in grouped.items():
            kwargs = normalize_gen_kwargs(json.loads(settings), self.max_gen_toks)
            kwargs["until"] = handle_stop_sequences(
                kwargs.get("until"), eos=self.tok_decode(self.eot_token_id, skip_special_tokens=False)
            )
            room = self.max_length - kwargs["max_gen_toks"]
            rows = [self.tok_encode(requests[index].args[0], left_truncate_len=room) for index in members]
            plan = self._batches(rows, [1] * len(rows), kwargs["max_gen_toks"])
            for shared, chunk in tqdm(plan, disable=disable_tqdm, desc="generating"):
                for i, text in zip(chunk, self._generate([rows[i] for i in chunk], shared, kwargs), strict=True):
                    answers[members[i]] = text
        self._prefix = None
        return answers

    @torch.no_grad()
    def _generate(self, rows: list[Tokens], shared: int, settings: dict) -> list[str]:
        """Answers to prompts with a shared prefix of `shared` tokens; padding is between the prefix and the rest.

        Tokens come in rounds, and answers that have ended are not part of the next round.
        """
        settings = dict(settings)
        until, left = settings.pop("until"), settings.pop("max_gen_toks")
        longest = max(map(len, rows))
        pads = [longest - len(row) for row in rows]
        pad = self.tokenizer.pad_token_id
        inputs = self._tensor([[*row[:shared], *[pad] * n, *row[shared:]] for row, n in zip(rows, pads, strict=True)])
        mask = self._tensor([[1] * shared + [0] * n + [1] * (longest - n - shared) for n in pads])
        count = left  # one round, if a sliding window leaves no cache of ours to go on with
        if self._reaches(longest + left):
            count = ROUND
            settings["past_key_values"] = self._cache(rows[0][:shared], len(rows), longest - shared + left)
        answers: list[list[int]] = [[] for _ in rows]
        going = list(range(len(rows)))
        while going:
            start = inputs.shape[1]
            output = self._model_generate(inputs, start + min(count, left), until, attention_mask=mask, **settings)
            left -= output.shape[1] - start
            for i, row in zip(going, output[:, start:].tolist(), strict=True):
                answers[i] += row
            stay = [place for place, i in enumerate(going) if left and not self._has_ended(answers[i], until)]
            if 0 < len(stay) < len(going):
                settings["past_key_values"].batch_select_indices(torch.tensor(stay, device=self.device))
            inputs, going = output[stay], [going[place] for place in stay]
            mask = torch.nn.functional.pad(mask[stay], (0, output.shape[1] - start), value=1)
        return [postprocess_generated_text(self.tok_decode(answer), until, None) for answer in answers]

    def _has_ended(self, answer: Tokens, until: Sequence[str]) -> bool:
        """Whether an answer has an end token or a stop string."""
        ends = self.model.generation_config.eos_token_id
        ends = [ends] if isinstance(ends, int) else ends or []
        text = self.tok_decode(list(answer), skip_special_tokens=False)
        return any(end in answer for end in ends) or any(stop in text for stop in until)


def _answer(logits: torch.Tensor, continuation: Tokens) -> tuple[float, bool]:
    """(log-probability, is greedy) of a continuation from log-probabilities (tokens, vocabulary)."""
    tokens = torch.tensor(continuation, device=logits.device)
    return float(logits.gather(1, tokens[:, None]).sum()), bool((logits.argmax(-1) == tokens).all())
