"""The loss in chunks against the plain one."""

import pytest
import torch
from lep.pretraining.loss import chunked_cross_entropy
from torch.nn import functional


def test_chunked_loss_equals_the_plain_one() -> None:
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(37, 8, generator=generator, dtype=torch.float64).requires_grad_()
    weight = torch.randn(50, 8, generator=generator, dtype=torch.float64).requires_grad_()
    targets = torch.randint(0, 50, (37,), generator=generator)
    plain = functional.cross_entropy(hidden @ weight.T, targets, reduction="sum")
    expected = torch.autograd.grad(plain * 0.5, (hidden, weight))
    for chunk in (1, 10, 100):
        ours = chunked_cross_entropy(hidden, weight, targets, chunk)
        assert ours.item() == pytest.approx(plain.item(), rel=1e-5)
        for found, wanted in zip(torch.autograd.grad(ours * 0.5, (hidden, weight)), expected, strict=True):
            torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
