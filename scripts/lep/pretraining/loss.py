"""Cross-entropy over a large vocabulary, with the logits of a few positions at a time; and the final hidden states."""

import functools
import importlib.util

import torch
from torch.nn import functional

from lep.models.chat import IGNORED
from lep.pretraining.memory import positions_at_once


class _ChunkedCrossEntropy(torch.autograd.Function):
    """Sum of -log softmax(hidden @ weight.T)[target]; the forward pass also computes the gradients, chunk by chunk."""

    @staticmethod
    def forward(ctx, hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor, chunk: int) -> torch.Tensor:
        hidden_gradient = torch.empty_like(hidden)
        weight_gradient = torch.zeros(weight.shape, dtype=torch.float32, device=weight.device)
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        for start in range(0, len(targets), chunk):
            part, target = hidden[start : start + chunk], targets[start : start + chunk, None]
            counts = target != IGNORED
            target = target.clamp_min(0)
            scores = (part @ weight.T).float()
            normaliser = scores.logsumexp(-1, keepdim=True)
            total += ((normaliser - scores.gather(1, target)) * counts).sum()
            scores.sub_(normaliser).exp_()  # now probabilities, then d loss / d scores
            scores.scatter_add_(1, target, scores.new_full(target.shape, -1.0))
            scores = scores.to(weight.dtype)
            hidden_gradient[start : start + chunk] = (scores @ weight) * counts
            if weight_gradient.dtype == weight.dtype:
                weight_gradient.addmm_(scores.T, part * counts)
            else:
                weight_gradient += scores.T @ (part * counts)
        ctx.save_for_backward(hidden_gradient, weight_gradient.to(weight.dtype))
        return total

    @staticmethod
    def backward(ctx, gradient: torch.Tensor) -> tuple:
        hidden_gradient, weight_gradient = ctx.saved_tensors
        return hidden_gradient * gradient, weight_gradient * gradient, None, None


def chunked_cross_entropy(
    hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor, chunk: int | None = None
) -> torch.Tensor:
    """Summed cross-entropy in nats of `targets` (n,) under the head `weight` (V, d) at `hidden` (n, d).

    `IGNORED` targets add nothing. The logits of `chunk` positions exist at a time; None = as many as suit the device.
    """
    chunk = chunk or positions_at_once(hidden.device)
    return _ChunkedCrossEntropy.apply(hidden, weight, targets, chunk)


def summed_cross_entropy(hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """As `chunked_cross_entropy`; on a GPU by Liger's kernel if that package is installed."""
    if hidden.is_cuda and (liger := _liger()):
        return liger(weight, hidden, targets)
    return chunked_cross_entropy(hidden, weight, targets)


@functools.cache
def _liger():
    if importlib.util.find_spec("liger_kernel") is None:
        return None
    from liger_kernel.transformers.fused_linear_cross_entropy import LigerFusedLinearCrossEntropyLoss

    return LigerFusedLinearCrossEntropyLoss(ignore_index=IGNORED, reduction="sum", accum_dtype=torch.float32)


def body_dtype(model: torch.nn.Module) -> torch.dtype:
    """The number type of the body of a causal language model."""
    return model.base_model.norm.weight.dtype


def final_hidden(model: torch.nn.Module, ids: torch.Tensor, positions: torch.Tensor | None = None) -> torch.Tensor:
    """Hidden states in front of the head, (batch, length, d), of ids (batch, length), in the body's number type.

    The matrices may have more bits than the body (float32 and bfloat16). `positions` that restart at each document keep
    the attention inside it.
    """
    embedded = functional.embedding(ids, model.get_input_embeddings().weight).to(body_dtype(model))
    return model.base_model(inputs_embeds=embedded, position_ids=positions, use_cache=False).last_hidden_state
