"""Scores of a GPU against those of the CPU."""

import dataclasses
from pathlib import Path

import pytest
from fixtures.evaluation import make_job
from lep.evaluation.evaluate import evaluate
from lep.evaluation.samples import SAMPLES, load_samples

pytestmark = pytest.mark.gpu


def test_a_gpu_scores_as_the_cpu(gpu: str, places: dict[str, Path]) -> None:
    """Multiple choice, ranking and generation in float32: the same value of nine items in ten or more.

    Only near ties may differ: products are summed in another order.
    """
    values = {}
    for device in dict.fromkeys(("cpu", gpu)):
        job = make_job(places, f"on_{device}", device=device)
        evaluate(dataclasses.replace(job, models=job.models[:1]))
        values[device] = load_samples(Path(job.output) / SAMPLES)["llama/base"]
    pairs = [
        (ours, theirs)
        for task, items in values["cpu"].items()
        for ours, theirs in zip(values[gpu][task], items, strict=True)
    ]
    assert len(pairs) >= 24  # six tasks of four items or more
    assert sum(ours == theirs for ours, theirs in pairs) >= 0.9 * len(pairs)
