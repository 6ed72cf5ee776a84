"""Determinism and placement of torch work: threads, seeds, device and dtype come from the configuration."""

import os
import random


def prepare_torch(threads: int, seed: int) -> None:
    """Fix thread counts, seeds and deterministic algorithms before any numeric work."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    import numpy
    import torch

    torch.set_num_threads(threads)
    torch.set_deterministic_debug_mode("warn")  # as use_deterministic_algorithms, which imports the compiler: 2 s
    random.seed(seed)
    numpy.random.seed(seed)
    torch.manual_seed(seed)


def resolve_device(device: str) -> str:
    """`auto` becomes `cuda` where one is present, else `cpu`."""
    if device != "auto":
        return device
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
