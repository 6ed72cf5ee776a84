"""Threads: the processes of a distributed training share those of their job."""

import pytest
import torch
from lep.compute.determinism import prepare_torch


@pytest.mark.parametrize(("ranks", "threads"), [(None, 8), (2, 4), (8, 1), (16, 1)])
def test_ranks_share_the_threads_of_their_job(ranks: int | None, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    if ranks:
        monkeypatch.setenv("LOCAL_WORLD_SIZE", str(ranks))
    try:
        prepare_torch(8, seed=1)
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
