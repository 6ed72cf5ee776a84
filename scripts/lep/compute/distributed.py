"""The processes of one training: one for each GPU, started by `lep.compute.launch` (or any launcher that sets RANK)."""

import os
from typing import TypeVar

Value = TypeVar("Value")


def processes() -> int:
    """How many processes train together, on all nodes."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_main() -> bool:
    """True for the one process that writes shared files and publishes."""
    return os.environ.get("RANK", "0") == "0"


def join(device: str) -> None:
    """Connect the processes (gloo on the CPU, NCCL on GPUs) and give each its own GPU."""
    if processes() > 1:
        from accelerate import PartialState

        PartialState(cpu=device == "cpu")


def barrier() -> None:
    """Wait until all processes are here."""
    if processes() > 1:
        from accelerate import PartialState

        PartialState().wait_for_everyone()


def from_main(value: Value) -> Value:
    """The main process's value, in every process."""
    if processes() > 1:
        from accelerate.utils import broadcast_object_list

        value = broadcast_object_list([value])[0]
    return value


def any_process(flag: bool) -> bool:
    """True in all processes where it is true in one: they decide alike."""
    if processes() == 1:
        return flag
    import torch
    from accelerate import PartialState

    flags = torch.tensor(float(flag), device=PartialState().device)
    torch.distributed.all_reduce(flags, torch.distributed.ReduceOp.MAX)
    return bool(flags.item())
