"""Preflight of what a GPU needs besides memory: a CUDA build of torch, its driver, a C compiler, room for kernels."""

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from lep.planning.finding import FAILED, NOTE, OK, Finding

# Oldest driver of each CUDA generation, by NVIDIA's table of minor-version compatibility.
OLDEST_DRIVER = {11: (450, 80), 12: (525, 60), 13: (580, 0)}
KERNEL_CACHE_GB = 1  # room for the kernels that Triton compiles


def check_gpu_software(config: Mapping, cluster: bool) -> Iterator[Finding]:
    """A run with GPUs finds what its kernels need.

    On a `cluster` the look is at this node, and compute nodes may differ: what is missing here is a note.
    """
    if not config["compute"]["gpus_per_job"]:
        return
    missing = NOTE if cluster else FAILED
    yield from _torch_and_driver(missing)
    yield _compiler(missing)
    yield _kernel_cache(missing)


def _torch_and_driver(missing: str) -> Iterator[Finding]:
    cuda = torch_cuda()
    if cuda is None:
        remedy = "install the CUDA build of the pinned torch: delete .venv, set pip's index to it, and run make again"
        yield Finding(FAILED, "torch: a build without CUDA is installed, but training jobs ask for GPUs", remedy)
        return
    driver = _driver()
    if driver is None:
        yield Finding(missing, "driver: nvidia-smi does not answer", "run `make preflight` on a node with GPUs as well")
        return
    oldest = OLDEST_DRIVER.get(int(cuda.split(".")[0]))
    found = tuple(int(part) for part in re.findall(r"\d+", driver)[:2])
    if oldest and found < oldest:
        what = f"driver: {driver} is too old for CUDA {cuda} of the pinned torch, which needs {oldest[0]}.{oldest[1]}"
        yield Finding(FAILED, what, "ask for a newer driver, or install the build of torch for an older CUDA")
    else:
        yield Finding(OK, f"driver: {driver}, torch is built for CUDA {cuda}")


def torch_cuda() -> str | None:
    """The CUDA version that the installed torch was built for, without importing torch; None for a CPU build."""
    spec = importlib.util.find_spec("torch")
    if spec is None or not spec.origin:
        return None
    text = (Path(spec.origin).parent / "version.py").read_text(encoding="utf-8")
    found = re.search(r"^cuda\b[^=\n]*= *['\"]([\d.]+)['\"]", text, re.MULTILINE)
    return found[1] if found else None


def _driver() -> str | None:
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        lines = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.split()
    except (OSError, subprocess.SubprocessError):
        return None
    return lines[0] if lines else None


def _compiler(missing: str) -> Finding:
    names = [name for name in (os.environ.get("CC", "").split(" ")[0], "cc", "gcc", "clang") if name]
    found = next((name for name in names if shutil.which(name)), None)
    if found:
        return Finding(OK, f"C compiler: {found}")
    remedy = "load a compiler module or install gcc: Triton compiles the kernels of the calibration's loss with it"
    return Finding(missing, f"C compiler: none of {', '.join(dict.fromkeys(names))} is found", remedy)


def _kernel_cache(missing: str) -> Finding:
    folder = Path(os.environ.get("TRITON_CACHE_DIR") or Path.home() / ".triton" / "cache")
    place = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(place).free / 1e9
    if not os.access(place, os.W_OK):
        return Finding(missing, f"kernel cache: {folder} cannot be written", "set TRITON_CACHE_DIR to another folder")
    if free < KERNEL_CACHE_GB:
        what = f"kernel cache: {free:.1f} GB are free for {folder}, about {KERNEL_CACHE_GB} GB are needed"
        return Finding(missing, what, "make room, or set TRITON_CACHE_DIR to another disk")
    return Finding(OK, f"kernel cache: {folder}, {free:.0f} GB free")
