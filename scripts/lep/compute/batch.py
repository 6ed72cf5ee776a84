"""The batch of a training step, shared by its processes."""

from lep.config import UserError


def split_batch(batch: int, micro: int, processes: int, key: str) -> tuple[int, int]:
    """(rows of a micro-batch, micro-batches) per process, for a step of `batch` rows in all `processes`.

    A micro-batch has at most `micro` rows, and divides the step. `key`: where the configuration sets the batch. Raises
    `UserError` if the processes cannot share the step evenly.
    """
    share, rest = divmod(batch, processes)
    if rest or not share:
        raise UserError(f"{key} {batch} cannot be shared by {processes} processes; use a multiple of {processes}")
    micro = next(size for size in range(min(micro, share), 0, -1) if share % size == 0)
    return micro, share // micro
