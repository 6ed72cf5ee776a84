"""Pre-training on a GPU against the same on the CPU, and its kernels against plain ones."""

import json
from collections.abc import Callable

import pytest
import torch
from fixtures.training import tiny_model
from lep.pretraining.loss import chunked_cross_entropy, summed_cross_entropy
from lep.pretraining.pretrain import PretrainJob, pretrain
from safetensors.torch import load_file
from torch.nn import functional

pytestmark = pytest.mark.gpu


def curve(job: PretrainJob) -> list[dict]:
    """The log of a finished training."""
    return [json.loads(line) for line in (job.output / "log.jsonl").read_text(encoding="utf-8").splitlines()]


def test_a_gpu_trains_as_the_cpu(gpu: str, make_job: Callable[..., PretrainJob], short_run: PretrainJob) -> None:
    """Nine steps in float32: the losses to 5e-4 of their size, the matrices to 1e-3 of theirs."""
    job = make_job("gpu", device=gpu)
    pretrain(job)
    for ours, theirs in zip(curve(job), curve(short_run), strict=True):
        assert ours == pytest.approx(theirs, rel=5e-4)
    for kind in ("input", "head"):
        ours, theirs = (load_file(run.work / "cpt-100.safetensors")[kind] for run in (job, short_run))
        assert float((ours - theirs).norm() / theirs.norm()) < 1e-3


def test_a_compiled_body_trains_alike(gpu_only: str, make_job: Callable[..., PretrainJob]) -> None:
    """Losses to 1e-3 of their size; the kernels are Triton's."""
    plain, compiled = (
        make_job(name, device=gpu_only, execution={"micro_batch_size": 2, "compile": name == "compiled"})
        for name in ("plain", "compiled")
    )
    for job in (plain, compiled):
        pretrain(job)
    for ours, theirs in zip(curve(compiled), curve(plain), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_loss_of_a_gpu_equals_the_plain_one(gpu: str, dtype: torch.dtype) -> None:
    """The loss in chunks, and that which training takes (Liger's, where it is installed), against cross-entropy."""
    generator = torch.Generator().manual_seed(0)
    hidden, weight = (torch.randn(n, 64, generator=generator).to(gpu, dtype).requires_grad_() for n in (96, 500))
    targets = torch.randint(0, 500, (96,), generator=generator).to(gpu)
    plain = functional.cross_entropy(hidden.float() @ weight.float().T, targets, reduction="sum")
    expected = torch.autograd.grad(plain, (hidden, weight))
    tolerance = 1e-4 if dtype == torch.float32 else 3e-2
    for loss in (chunked_cross_entropy, summed_cross_entropy):
        ours = loss(hidden, weight, targets)
        assert ours.item() == pytest.approx(plain.item(), rel=tolerance)
        for found, wanted in zip(torch.autograd.grad(ours, (hidden, weight)), expected, strict=True):
            assert float((found.float() - wanted.float()).norm() / wanted.float().norm()) < tolerance


def test_liger_is_what_a_gpu_takes(gpu_only: str) -> None:
    pytest.importorskip("liger_kernel", reason="liger-kernel is not installed")
    ones = torch.ones(4, 8, device=gpu_only, requires_grad=True)
    loss = summed_cross_entropy(ones, torch.ones(16, 8, device=gpu_only), torch.zeros(4, dtype=torch.long).to(gpu_only))
    assert "Liger" in type(loss.grad_fn).__name__


@pytest.mark.parametrize("attention", ["sdpa", "flash_attention_2"])
def test_attention_kernels_agree_with_plain_attention(attention: str, gpu: str) -> None:
    """Hidden states in bfloat16 to 2e-2 of their size."""
    if attention == "flash_attention_2":
        pytest.importorskip("flash_attn", reason="flash-attn is not installed")
    model = tiny_model(rows=40).eval().to(gpu, torch.bfloat16)
    ids = torch.randint(0, 40, (2, 32), generator=torch.Generator().manual_seed(0)).to(gpu)
    states = {}
    for name in ("eager", attention):
        model.set_attn_implementation(name)
        with torch.no_grad():
            states[name] = model.base_model(input_ids=ids).last_hidden_state.float()
    assert float((states[attention] - states["eager"]).norm() / states["eager"].norm()) < 2e-2
