"""Deterministic torch: thread count, seed and device come from the configuration."""

import os
import random

from lep.compute.distributed import processes_here
from lep.compute.options import DEVICES
from lep.config import UserError

NO_GPU = (
    "compute.device (--device) is cuda, but torch finds no GPU on this machine; use cpu or auto, or look at nvidia-smi "
    "and CUDA_VISIBLE_DEVICES"
)


def prepare_torch(threads: int, seed: int) -> None:
    """Set the thread count, all seeds and deterministic algorithms; call it before any numeric work.

    `threads` are those of the whole job: the processes of a distributed training share them.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    import numpy
    import torch

    torch.set_num_threads(max(1, threads // processes_here()))
    # The same as use_deterministic_algorithms, which would import the compiler (2 s).
    torch.set_deterministic_debug_mode("warn")
    random.seed(seed)
    numpy.random.seed(seed)
    torch.manual_seed(seed)


def resolve_device(device: str) -> str:
    """Replace `auto` by `cuda` if a GPU is available, else by `cpu`.

    Raises `UserError` for any other device than these, and for `cuda` on a machine without a GPU.
    """
    if device not in DEVICES:
        raise UserError(f"device {device!r} is not known; use one of {', '.join(DEVICES)}")
    if device == "cpu":
        return device
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if device == "cuda":
        raise UserError(NO_GPU)
    return "cpu"
