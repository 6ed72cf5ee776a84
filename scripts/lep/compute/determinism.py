"""Deterministic torch: thread count, seed and device come from the configuration."""

import os
import random

from lep.compute.distributed import processes_here


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
    """Replace `auto` by `cuda` if a GPU is available, else by `cpu`."""
    if device != "auto":
        return device
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
