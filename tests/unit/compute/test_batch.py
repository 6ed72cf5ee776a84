"""A step is the same for any number of processes."""

import pytest
from lep.compute.batch import split_batch
from lep.config import UserError


@pytest.mark.parametrize(
    ("batch", "micro", "processes", "expected"),
    [(256, 4, 64, (4, 1)), (256, 4, 8, (4, 8)), (256, 6, 1, (4, 64)), (16, 16, 4, (4, 1)), (16, 4, 1, (4, 4))],
)
def test_micro_batches_fill_the_step(batch: int, micro: int, processes: int, expected: tuple[int, int]) -> None:
    assert split_batch(batch, micro, processes, "batch") == expected


@pytest.mark.parametrize("batch", [16, 64, 128, 256])
@pytest.mark.parametrize("micro", [1, 3, 4])
@pytest.mark.parametrize("processes", [1, 2, 4, 8])
def test_the_step_is_the_same_for_any_number_of_processes(batch: int, micro: int, processes: int) -> None:
    rows, accumulated = split_batch(batch, micro, processes, "batch")
    assert rows * accumulated * processes == batch
    assert 1 <= rows <= micro


@pytest.mark.parametrize(("batch", "processes"), [(256, 3), (4, 8)])
def test_what_cannot_be_shared_is_refused(batch: int, processes: int) -> None:
    with pytest.raises(UserError, match=rf"self.batch_size {batch} cannot be shared by {processes} processes; use a"):
        split_batch(batch, 4, processes, "recipes.self.batch_size")
