"""Distributed training: one process per GPU, started by `lep.compute.launch` or another launcher that sets RANK."""

import os
from typing import TypeVar

Value = TypeVar("Value")


def processes() -> int:
    """Number of processes of this training, over all nodes."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def processes_here() -> int:
    """Number of processes of this training on this node; they share the CPUs of the job."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def rank() -> int:
    """Number of this process, from 0."""
    return int(os.environ.get("RANK", "0"))


def is_main() -> bool:
    """Whether this is the main process (rank 0), which writes shared files and publishes."""
    return rank() == 0


def join(device: str) -> None:
    """Connect the processes (gloo on the CPU, NCCL on GPUs) and give each its own GPU."""
    if processes() > 1:
        from accelerate import PartialState

        PartialState(cpu=device == "cpu")


def barrier() -> None:
    """Wait until every process has reached this call."""
    if processes() > 1:
        from accelerate import PartialState

        PartialState().wait_for_everyone()


def from_main(value: Value) -> Value:
    """Broadcast the main process's value to every process."""
    if processes() > 1:
        from accelerate.utils import broadcast_object_list

        value = broadcast_object_list([value])[0]
    return value


def any_process(flag: bool) -> bool:
    """Logical OR of `flag` over all processes, so that all take the same decision."""
    if processes() == 1:
        return flag
    import torch
    from accelerate import PartialState

    flags = torch.tensor(float(flag), device=PartialState().device)
    torch.distributed.all_reduce(flags, torch.distributed.ReduceOp.MAX)
    return bool(flags.item())
