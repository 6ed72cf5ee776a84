"""Weights that a stand-in starts from: heads that copy from the context, which random weights learn only slowly.

Copying needs two attention heads in a row (induction, Olsson et al. 2022): one that looks at the token before, one that
looks for the place whose token before is the present one and repeats what follows there. Large models form them after
billions of tokens; with 128 dimensions and a few million tokens they did not form at all. So the first two layers start
with such heads, and further heads start as ones that attend to equal tokens (mimetic initialisation, Trockman and
Kolter 2023). Training may change every weight.

The residual stream has three codes of `CODE` dimensions: of the token, of the token before, of the token to come. A
token's code is a random vector of signs.
"""

import torch
from torch import nn

CODE = 40  # dimensions of a code
SCALE = 0.3  # of a code in the residual stream
CONSTANT = 4.0  # a dimension that all tokens share, in units of SCALE
HEADS = 2  # heads that share a code
SMALL = 0.02  # standard deviation of what a layer adds to the stream at first
PREVIOUS = 7.0  # sharpness of the look at the token before: query and key in its rotary planes
MATCH = 1.6  # gain of query and key where codes are compared
COPY = 1.5  # size of the copied code in the stream, in units of SCALE
READ = 0.25  # gain of the output matrix
PLANES = 4  # rotary planes of the look at the token before, the fastest ones
TOKEN, BEFORE, NEXT = (slice(start, start + CODE) for start in range(0, 3 * CODE, CODE))
SHARED = 3 * CODE


@torch.no_grad()
def start_with_copying(model: nn.Module, seed: int) -> None:
    """Set embeddings, head and some attention heads of a Llama or Mistral model (at least 3 layers, 128 dimensions).

    All other weights stay random; what layers add to the stream is made small, so that it does not hide the codes.
    """
    generator = torch.Generator().manual_seed(seed)
    embeddings, head = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    codes = torch.randint(0, 2, (len(embeddings), CODE), generator=generator) * 2.0 - 1
    embeddings.normal_(0, SMALL, generator=generator)
    embeddings[:, TOKEN] = SCALE * codes
    embeddings[:, SHARED] = SCALE * CONSTANT
    head.normal_(0, SMALL, generator=generator)
    head[:, NEXT] = READ * codes
    for layer in model.model.layers:
        layer.self_attn.o_proj.weight.mul_(SMALL / layer.self_attn.o_proj.weight.std())
        layer.mlp.down_proj.weight.mul_(SMALL / layer.mlp.down_proj.weight.std())
    first, second, *others = [layer.self_attn for layer in model.model.layers]
    frequencies = model.model.rotary_emb.inv_freq
    for number in range(HEADS):
        part = slice(number * CODE // HEADS, (number + 1) * CODE // HEADS)
        _look_back(first, number, part, frequencies)
        _compare(second, number, TOKEN.start + part.start, BEFORE.start + part.start)
        _carry(second, number, TOKEN.start + part.start, NEXT.start + part.start, COPY)
    for attention in (second, *others):
        for number in range(HEADS, attention.config.num_attention_heads):
            start = TOKEN.start + (number % HEADS) * CODE // HEADS
            _compare(attention, number, start, start)


def _rows(attention: nn.Module, number: int) -> slice:
    return slice(number * attention.head_dim, (number + 1) * attention.head_dim)


def _look_back(attention: nn.Module, number: int, part: slice, frequencies: torch.Tensor) -> None:
    """A head that attends to the token before, by rotary positions alone, and writes that token's code."""
    rows, half = _rows(attention, number), attention.head_dim // 2
    query, key = torch.zeros(attention.head_dim), torch.zeros(attention.head_dim)
    query[:PLANES] = 1
    key[:PLANES] = torch.cos(frequencies[:PLANES])
    key[half : half + PLANES] = torch.sin(frequencies[:PLANES])
    gain = PREVIOUS / (CONSTANT / ((CODE + CONSTANT**2) / attention.q_proj.in_features) ** 0.5)
    for matrix, vector in ((attention.q_proj, query), (attention.k_proj, key)):
        matrix.weight[rows] *= 0.1
        matrix.weight[rows, SHARED] = gain * vector
    _carry(attention, number, TOKEN.start + part.start, BEFORE.start + part.start, 1.0)


def _compare(attention: nn.Module, number: int, query: int, key: int) -> None:
    """Query and key of a head read the codes at these dimensions, in the slow rotary planes, which keep their angle."""
    rows, width, half = _rows(attention, number), CODE // HEADS, attention.head_dim // 2
    places = rows.start + torch.cat(
        [torch.arange(half - width // 2, half), torch.arange(2 * half - width // 2, 2 * half)]
    )
    for matrix, start in ((attention.q_proj, query), (attention.k_proj, key)):
        matrix.weight[rows] *= 0.1
        matrix.weight[places, torch.arange(start, start + width)] = MATCH


def _carry(attention: nn.Module, number: int, source: int, target: int, size: float) -> None:
    """Value and output of a head carry the code at `source` to `target`."""
    rows, width = _rows(attention, number), CODE // HEADS
    places = torch.arange(rows.start, rows.start + width)
    attention.v_proj.weight[rows] *= 0.1
    attention.o_proj.weight[:, rows] *= 0.1
    gain = (size * SCALE / 1.3) ** 0.5
    attention.v_proj.weight[places, torch.arange(source, source + width)] = gain
    attention.o_proj.weight[torch.arange(target, target + width), places] = gain
