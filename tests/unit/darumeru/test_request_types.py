"""The two request types: how far continuations are scored."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from darumeru import request_types
from darumeru.specs import PREFIX
from fixtures.harness import make_lm, run
from lm_eval.models.huggingface import HFLM


def test_distinct_length() -> None:
    assert request_types.distinct_length([[7, 1, 5], [7, 2], [7, 3, 3]]) == 2
    assert request_types.distinct_length([[1, 9], [2, 9]]) == 1
    assert request_types.distinct_length([[1, 2], [1, 2, 3]]) == 3
    assert (
        request_types.distinct_length([[1, 9], [2, 9], [2, 9]]) == 1
    )  # padding of a parallel run repeats the last request


def test_extractive_scores_equal_a_plain_forward_pass(load: Callable, model: Path) -> None:
    language_model = make_lm(model)
    samples = run(language_model, load([PREFIX + "treeway_extractive"]))["samples"][PREFIX + "treeway_extractive"]
    for sample in samples[:3]:
        pairs = [language_model._encode_pair(*arguments) for arguments in sample["arguments"]]
        shortest = min(len(continuation) for _, continuation in pairs)
        assert shortest < max(len(continuation) for _, continuation in pairs)
        for (context, continuation), response in zip(pairs, sample["resps"], strict=True):
            ids = torch.tensor([context + continuation[:shortest]])
            with torch.no_grad():
                logprobs = language_model.model(ids).logits.log_softmax(-1)[0]
            expected = sum(float(logprobs[i - 1, ids[0, i]]) for i in range(len(context), ids.shape[1]))
            assert response[0][0] == pytest.approx(expected, abs=1e-3)


def test_request_types_are_added_to_the_harness_once() -> None:
    request_types.install()
    assert HFLM.loglikelihood_shortest is request_types.loglikelihood_shortest
    assert HFLM.loglikelihood_distinct is request_types.loglikelihood_distinct
