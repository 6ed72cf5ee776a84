"""The vLLM backend against transformers on the same items; where vLLM and a GPU are."""

from pathlib import Path

import pytest

pytest.importorskip("vllm", reason="vLLM is not installed (envs/vllm.yaml)")

import torch
from fixtures.darumeru import write_benchmark, write_model
from lep import compare
from lep.config import parse_job
from lep.evaluation import evaluate
from lep.evaluation.harness import EvaluateJob

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")]


def test_both_backends_choose_alike(tmp_path: Path) -> None:
    """Multiple choice, ranking and short answers: the same but where rounding tips a near tie."""
    model, data = write_model(tmp_path / "model"), write_benchmark(tmp_path / "data")
    values = {}
    for backend in ("hf", "vllm"):
        job = {
            "models": [{"name": "m", "path": str(model)}], "tasks": ["rummlu", "rwsd", "treeway_extractive", "multiq"],
            "data": str(data), "dtype": "float32", "shots": 2, "device": "cuda", "backend": backend,
            "generation": {"max_new_tokens": {"default": 4}}, "recipe_version": evaluate.RECIPE_VERSION,
            "work": str(tmp_path / backend / "work"), "output": str(tmp_path / backend / "out"),
        }  # fmt: skip
        evaluate.evaluate(parse_job(EvaluateJob, job, "test"))
        values[backend] = compare.load_samples(Path(job["output"]) / "samples.jsonl.gz")["m"]
    pairs = [
        (ours, theirs)
        for task in values["hf"]
        for ours, theirs in zip(values["hf"][task], values["vllm"][task], strict=True)
    ]
    assert sum(ours == theirs for ours, theirs in pairs) >= 0.9 * len(pairs)
