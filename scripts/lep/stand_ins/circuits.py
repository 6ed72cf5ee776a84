"""Weights that a stand-in starts from: heads that copy from the context, which random weights learn only slowly.

Copying needs attention heads in two layers (induction, Olsson et al. 2022): some that look at the tokens before, some
that look for the place whose tokens before are the present ones and repeat what follows there. Large models form them
after billions of tokens; with 128 dimensions and a few million tokens they did not form at all. So the first two layers
start with such heads, and further heads start as ones that attend to equal tokens (mimetic initialisation, Trockman and
Kolter 2023). Two tokens are compared, the present one and the one before: a single one stands at several places of a
paragraph. Training may change every weight.

The residual stream has four codes: of the token and of the token to come, `CODE` dimensions each; of the token before
and of the one before that, their first `BRIEF` dimensions. A token's code is a random vector of signs.
"""

from collections.abc import Sequence

import torch
from torch import nn

CODE = 40  # dimensions of a code
BRIEF = 20  # dimensions of a code that is only compared
SCALE = 0.3  # of a code in the residual stream
CONSTANT = 4.0  # a dimension that all tokens share, in units of SCALE
HEADS = 2  # heads that share the work of a layer
SMALL = 0.02  # standard deviation of what a layer adds to the stream at first
PREVIOUS = 7.0  # sharpness of the look at a token before: query and key in its rotary planes
MATCH = 2.2  # gain of query and key where codes are compared
COPY = 1.5  # size of the copied code in the stream, in units of SCALE
READ = 0.25  # gain of the output matrix
PLANES = 4  # rotary planes of the look at a token before, the fastest ones
# First dimension of each code, and the dimension of the constant.
TOKEN, NEXT, BEFORE, TWO_BEFORE, SHARED = 0, CODE, 2 * CODE, 2 * CODE + BRIEF, 2 * CODE + 2 * BRIEF


@torch.no_grad()
def start_with_copying(model: nn.Module, seed: int) -> None:
    """Set embeddings, head and some attention heads of a Llama or Mistral model (at least 3 layers, 128 dimensions).

    All other weights stay random; what layers add to the stream is made small, so that it does not hide the codes.
    """
    generator = torch.Generator().manual_seed(seed)
    embeddings, head = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    codes = torch.randint(0, 2, (len(embeddings), CODE), generator=generator) * 2.0 - 1
    embeddings.normal_(0, SMALL, generator=generator)
    embeddings[:, TOKEN : TOKEN + CODE] = SCALE * codes
    embeddings[:, SHARED] = SCALE * CONSTANT
    head.normal_(0, SMALL, generator=generator)
    head[:, NEXT : NEXT + CODE] = READ * codes
    for layer in model.model.layers:
        layer.self_attn.o_proj.weight.mul_(SMALL / layer.self_attn.o_proj.weight.std())
        layer.mlp.down_proj.weight.mul_(SMALL / layer.mlp.down_proj.weight.std())
    first, second, *others = [layer.self_attn for layer in model.model.layers]
    frequencies = model.model.rotary_emb.inv_freq
    for number, code in enumerate((BEFORE, TWO_BEFORE)):
        _look_back(first, number, number + 1, frequencies)
        _carry(first, number, TOKEN, code, BRIEF, 1.0)
    compared, carried = BRIEF // HEADS, CODE // HEADS
    for number in range(HEADS):
        part = number * compared
        _compare(second, number, compared, ((TOKEN + part, BEFORE + part), (BEFORE + part, TWO_BEFORE + part)))
        _carry(second, number, TOKEN + number * carried, NEXT + number * carried, carried, COPY)
    for attention in (second, *others):
        for number in range(HEADS, attention.config.num_attention_heads):
            start = TOKEN + number % HEADS * carried
            _compare(attention, number, carried, ((start, start),))


def _rows(attention: nn.Module, number: int) -> slice:
    return slice(number * attention.head_dim, (number + 1) * attention.head_dim)


def _look_back(attention: nn.Module, number: int, distance: int, frequencies: torch.Tensor) -> None:
    """A head that attends to the token `distance` places before, by rotary positions alone."""
    rows, half = _rows(attention, number), attention.head_dim // 2
    query, key = torch.zeros(attention.head_dim), torch.zeros(attention.head_dim)
    query[:PLANES] = 1
    key[:PLANES] = torch.cos(distance * frequencies[:PLANES])
    key[half : half + PLANES] = torch.sin(distance * frequencies[:PLANES])
    gain = PREVIOUS / (CONSTANT / ((CODE + CONSTANT**2) / attention.q_proj.in_features) ** 0.5)
    for matrix, vector in ((attention.q_proj, query), (attention.k_proj, key)):
        matrix.weight[rows] *= 0.1
        matrix.weight[rows, SHARED] = gain * vector


def _compare(attention: nn.Module, number: int, width: int, pairs: Sequence[tuple[int, int]]) -> None:
    """A head that compares codes: each pair is the first dimension of one that the query reads and one of the key's.

    `width` dimensions of each are compared, in the slow rotary planes, which keep their angle.
    """
    rows, half, whole = _rows(attention, number), attention.head_dim // 2, width * len(pairs)
    places = torch.cat([torch.arange(half - whole // 2, half), torch.arange(2 * half - whole // 2, 2 * half)])
    for matrix in (attention.q_proj, attention.k_proj):
        matrix.weight[rows] *= 0.1
    for (query, key), part in zip(pairs, (rows.start + places).split(width), strict=True):
        attention.q_proj.weight[part, torch.arange(query, query + width)] = MATCH
        attention.k_proj.weight[part, torch.arange(key, key + width)] = MATCH


def _carry(attention: nn.Module, number: int, source: int, target: int, width: int, size: float) -> None:
    """Value and output of a head carry `width` dimensions of the code at `source` to `target`."""
    rows = _rows(attention, number)
    places = torch.arange(rows.start, rows.start + width)
    attention.v_proj.weight[rows] *= 0.1
    attention.o_proj.weight[:, rows] *= 0.1
    gain = (size * SCALE / 1.3) ** 0.5
    attention.v_proj.weight[places, torch.arange(source, source + width)] = gain
    attention.o_proj.weight[torch.arange(target, target + width), places] = gain
