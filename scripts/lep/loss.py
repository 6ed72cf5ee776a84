"""Cross-entropy over a large vocabulary without ever holding all logits."""

import torch

POSITIONS_AT_ONCE = 256  # keeps a chunk's logits in the cache of a CPU core at a few thousand rows


class _ChunkedCrossEntropy(torch.autograd.Function):
    """Sum of -log softmax(hidden @ weight.T)[target]; the gradients are made in the forward pass, chunk by chunk."""

    @staticmethod
    def forward(ctx, hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor, chunk: int) -> torch.Tensor:
        hidden_gradient = torch.empty_like(hidden)
        weight_gradient = torch.zeros(weight.shape, dtype=torch.float32, device=weight.device)
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        for start in range(0, len(targets), chunk):
            part, target = hidden[start : start + chunk], targets[start : start + chunk, None]
            scores = (part @ weight.T).float()
            normaliser = scores.logsumexp(-1, keepdim=True)
            total += (normaliser - scores.gather(1, target)).sum()
            scores.sub_(normaliser).exp_()  # now probabilities, then d loss / d scores
            scores.scatter_add_(1, target, scores.new_full(target.shape, -1.0))
            scores = scores.to(weight.dtype)
            hidden_gradient[start : start + chunk] = scores @ weight
            if weight_gradient.dtype == weight.dtype:
                weight_gradient.addmm_(scores.T, part)
            else:
                weight_gradient += scores.T @ part
        ctx.save_for_backward(hidden_gradient, weight_gradient.to(weight.dtype))
        return total

    @staticmethod
    def backward(ctx, gradient: torch.Tensor) -> tuple:
        hidden_gradient, weight_gradient = ctx.saved_tensors
        return hidden_gradient * gradient, weight_gradient * gradient, None, None


def chunked_cross_entropy(
    hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor, chunk: int = POSITIONS_AT_ONCE
) -> torch.Tensor:
    """Summed cross-entropy in nats of `targets` (n,) under the head `weight` (V, d) at `hidden` (n, d)."""
    return _ChunkedCrossEntropy.apply(hidden, weight, targets, chunk)
