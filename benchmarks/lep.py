"""Speed and memory of Learned Embedding Propagation, as ratios measured in one run.

    python benchmarks/lep.py                 all parts; needs 20 GB of disk in --work and 12 GB of memory
    python benchmarks/lep.py --part loop     against the straightforward algorithm: 32k -> 48k tokens, d = 1024
    python benchmarks/lep.py --part scale    the shape of Llama-3-8B: 128,256 -> 174,817 rows, d = 4096, bfloat16
    python benchmarks/lep.py --part methods  all methods against Conversion alone, in the shape of `loop`
    python benchmarks/lep.py --part methods-8b --device cuda         the same in the shape of `scale`, on a GPU
    python benchmarks/lep.py --small         a test of the script, with a hundredth of the work

Models have random weights in sharded folders; tokenizers have random merges.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from tqdm import tqdm

LETTERS = "abcdefghijklmnopqrstuvwxyz"
SPECIALS = 256
LONGEST_PART = 6  # letters of the longest token that merges into others
ROLES = ("base", "instruct", "donor")
METHODS = ("overlap", "conversion", "ridge", "procrustes", "scaled_procrustes", "delta", "delta_ridge", "swap")
COUNTERS = ("peak_gb", "read_gb", "written_gb", "process_seconds")
INPUT, HEAD = "model.embed_tokens.weight", "lm_head.weight"


@dataclass(frozen=True)
class Shape:
    """Shape of the propagated matrices."""

    old: int  # rows of the old vocabulary, with 256 special tokens
    new: int  # rows of the new vocabulary, with 256 special tokens
    kept: int  # tokens of the old vocabulary that the new one keeps
    width: int
    dtype: torch.dtype


PARTS = {
    "loop": (Shape(32000, 48000, 12000, 1024, torch.float32), Shape(3200, 4800, 1200, 256, torch.float32)),
    "scale": (Shape(128256, 174817, 128256, 4096, torch.bfloat16), Shape(12826, 17482, 12826, 1024, torch.bfloat16)),
}
PARTS |= {"methods": PARTS["loop"], "methods-8b": (PARTS["scale"][0], PARTS["loop"][1])}
DEFAULT = ("loop", "scale", "methods")


def random_vocabulary(size: int, seed: int, merges: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """`merges` and further random ones, for a byte-level vocabulary of `size` tokens."""
    draw = random.Random(seed)
    merges = list(merges)
    known = {*LETTERS, *("".join(pair) for pair in merges)}
    parts = sorted(token for token in known if len(token) <= LONGEST_PART)
    while len(merges) < size - 256:
        pair = draw.choice(parts), draw.choice(parts)
        token = "".join(pair)
        if token not in known:
            known.add(token)
            merges.append(pair)
            if len(token) <= LONGEST_PART:
                parts.append(token)
    return merges


def save_tokenizer(merges: list[tuple[str, str]], folder: Path) -> None:
    """Write a byte-level BPE with 256 special tokens after all others, as in Llama 3."""
    tokens = [*sorted(pre_tokenizers.ByteLevel.alphabet()), *("".join(pair) for pair in merges)]
    tokenizer = Tokenizer(models.BPE({token: index for index, token in enumerate(tokens)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(f"<|{i}|>", special=True, normalized=False) for i in range(SPECIALS)])
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<|0|>", "eos_token": "<|1|>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def save_model(matrices: dict[str, torch.Tensor], folder: Path) -> None:
    """Write a model folder like those of the hub: three shards and an index, the matrices in the first and last."""
    rows, width = matrices[INPUT].shape
    body = {f"model.layers.0.mlp.{name}_proj.weight": (64, width) for name in ("gate", "up")}
    body |= {"model.layers.0.mlp.down_proj.weight": (width, 64), "model.norm.weight": (width,)}
    tensors = {name: torch.ones(shape, dtype=matrices[INPUT].dtype) for name, shape in body.items()}
    names = list(body)
    shards = [{INPUT: matrices[INPUT]}, {}, {HEAD: matrices[HEAD]}]
    for shard, part in zip(shards, (names[:1], names[1:3], names[3:]), strict=True):
        shard |= {name: tensors[name] for name in part}
    weights = {}
    for number, shard in enumerate(shards, 1):
        file = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        save_file(shard, folder / file, {"format": "pt"})
        weights |= dict.fromkeys(shard, file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weights}))
    settings = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": rows, "hidden_size": width,
        "tie_word_embeddings": False, "num_hidden_layers": 1, "intermediate_size": 64,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(settings))


def make_models(shape: Shape, folder: Path, device: str = "cpu") -> None:
    """Write the folders base, instruct and donor; the instruct's rows are the base's, slightly rotated, plus noise.

    `device` draws the numbers: a GPU is done in seconds where one core takes a minute.
    """
    old = random_vocabulary(shape.old - SPECIALS, 1, [])
    new = random_vocabulary(shape.new - SPECIALS, 2, old[: shape.kept - 256])
    generator = torch.Generator(device).manual_seed(0)

    def normal(*size: int) -> torch.Tensor:
        return torch.empty(size, device=device).normal_(generator=generator)

    turn = torch.eye(shape.width, device=device) + 0.1 * normal(shape.width, shape.width) / shape.width**0.5
    base = {name: normal(shape.old, shape.width) for name in (INPUT, HEAD)}
    for role, merges in zip(ROLES, (old, old, new), strict=True):
        (folder / role).mkdir(parents=True)
        save_tokenizer(merges, folder / role)
        matrices = base
        if role == "instruct":
            matrices = {name: matrix @ turn + 0.3 * normal(*matrix.shape) for name, matrix in base.items()}
        elif role == "donor":
            matrices = {name: normal(shape.new, shape.width) for name in (INPUT, HEAD)}
        save_model({name: matrix.to("cpu", shape.dtype) for name, matrix in matrices.items()}, folder / role)


def read_rows(folder: Path, name: str) -> torch.Tensor:
    from safetensors import safe_open

    file = json.loads((folder / "model.safetensors.index.json").read_text())["weight_map"][name]
    with safe_open(folder / file, framework="pt") as weights:
        return weights.get_tensor(name)


def straightforward(folder: Path) -> None:
    """Vocabulary conversion as in the published code. Writes the new matrices and the tokenizer only.

    - A loop over the new tokens averages the rows of their old tokens, for base and instruct, input matrix and head. A
      token that the old vocabulary lacks is split by the old tokenizer, after a rare character that prevents an extra
      space.
    - The linear map comes from `gelsy` in float64, a solver for matrices of any rank.
    """
    from transformers import AutoTokenizer

    old, new = (AutoTokenizer.from_pretrained(folder / role) for role in ("base", "donor"))
    known, guard = old.get_vocab(), "\u4e87"
    skipped = len(old(guard, add_special_tokens=False).input_ids)
    names = [new.convert_ids_to_tokens(index) for index in range(len(new))]

    def averaged(matrix: torch.Tensor) -> torch.Tensor:
        rows = []
        for name in tqdm(names, desc="loop over tokens", mininterval=5, disable=None):
            ids = [known[name]] if name in known else old(guard + name, add_special_tokens=False).input_ids[skipped:]
            rows.append(matrix[ids].mean(dim=0))
        return torch.stack(rows)

    results = {}
    for name in (INPUT, HEAD):
        stored = [read_rows(folder / role, name) for role in ROLES]
        base, instruct, donor = (matrix.double() for matrix in stored)
        solution = torch.linalg.lstsq(averaged(base), averaged(instruct), driver="gelsy").solution
        results[name] = (donor @ solution).to(stored[2].dtype)
    target = folder / "straightforward"
    new.save_pretrained(target)
    save_file(results, target / "model.safetensors")


def fits(folder: Path, device: str) -> dict[str, float]:
    """Seconds of the sums that all maps share, of each map, and of the new rows of one map, for the input matrix.

    On a CPU they are those of the processor, which other work on the machine changes less.
    """
    from lep.propagation.averaging import build_operator
    from lep.propagation.fit import MAPS, MapSettings, fit_map
    from lep.propagation.inputs import align
    from lep.propagation.moments import Pairs, read_problem
    from lep.propagation.rows import project

    base, instruct, donor = (folder / role for role in ROLES)
    weights = build_operator(base, donor, published=False).matrix
    weights = weights[weights.getnnz(axis=1) > 0]
    pairs = Pairs(read_rows(base, INPUT), read_rows(instruct, INPUT), align(base, instruct), device)
    found = {}

    def timed(name: str, work: Callable):
        clock = time.process_time if device == "cpu" else time.perf_counter
        start = clock()
        result = work()
        if device == "cuda":
            torch.cuda.synchronize()
        found[name] = clock() - start
        return result

    problem = timed("sums", lambda: read_problem(weights, pairs, 0, "benchmark"))
    for name in MAPS:
        if name != "own":
            fit = timed(name, lambda name=name: fit_map(name, problem, MapSettings()))
    rows = read_rows(donor, INPUT)
    timed("rows", lambda: project(rows, fit.projection, torch.empty_like(rows), device))
    return found


def worker(task: str, folder: Path, threads: int, device: str) -> None:
    """Run one measured task in this process; prints a JSON object."""
    torch.set_num_threads(threads)
    from lep.propagation.propagate import propagate
    from transformers import PreTrainedTokenizerFast  # noqa: F401 (the imports are not measured)

    start = time.perf_counter()
    parts = {}
    if task == "straightforward":
        straightforward(folder)
    elif task == "fits":
        parts = fits(folder, device)
    else:
        roles = [folder / role for role in ROLES]
        methods = METHODS if task == "methods" else ["conversion"]
        targets = {method: folder / "out" / task / method for method in methods}
        propagate(*roles, None, targets, seed=0, threads=threads, device=device)
    seconds = time.perf_counter() - start
    counters = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    print(
        json.dumps(
            {
                "seconds": seconds,
                **parts,
                # Not ru_maxrss, which starts from the peak of the parent process.
                "peak_gb": int(status["VmHWM"].split()[0]) * 1024 / 1e9,
                "read_gb": int(counters["read_bytes"]) / 1e9,
                "written_gb": int(counters["write_bytes"]) / 1e9,
            }
        )
    )


def measure(task: str, folder: Path, threads: int, device: str = "cpu") -> dict[str, float]:
    """Seconds, peak memory and bytes of a task, after removing its input files from the page cache."""
    os.sync()
    for path in folder.rglob("*.safetensors"):
        with open(path, "rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    # -P keeps this folder out of the path: otherwise `import lep` would import this file.
    command = [sys.executable, "-P", __file__, "--worker", task, "--work", str(folder), "--threads", str(threads)]
    command += ["--device", device]
    start = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1]) | {"process_seconds": time.perf_counter() - start}


def matrix_rates(threads: int, width: int) -> dict[str, float]:
    """GFLOP/s of a product of (4096, width) and (width, width) matrices in float64 and float32, best of five."""
    torch.set_num_threads(threads)
    rates = {}
    for dtype in (torch.float64, torch.float32):
        a, b = torch.ones(4096, width, dtype=dtype), torch.ones(width, width, dtype=dtype)
        best = min(_seconds(a, b) for _ in range(5))
        rates[str(dtype).removeprefix("torch.")] = 2 * 4096 * width**2 / best / 1e9
    return rates


def _seconds(a: torch.Tensor, b: torch.Tensor) -> float:
    start = time.perf_counter()
    a @ b
    return time.perf_counter() - start


def loop_part(shape: Shape, folder: Path, threads: int, device: str) -> Iterator[tuple[str, str]]:
    """Table rows: comparison with the straightforward algorithm."""
    make_models(shape, folder)
    ours = measure("propagate", folder, threads, device)
    theirs = measure("straightforward", folder, threads)
    results = load_file(folder / "straightforward" / "model.safetensors")
    yield "straightforward algorithm, both matrices, with writing", f"{theirs['seconds']:.1f} s"
    yield "lep.propagate, both matrices, with checks, report and writing", f"{ours['seconds']:.1f} s"
    yield "**ratio** (wanted: at least 10)", f"**{theirs['seconds'] / ours['seconds']:.1f}**"
    for name in (INPUT, HEAD):
        rows = shape.new - SPECIALS  # rows of special tokens are copied from the instruct model, so not compared
        mine, reference = (
            read_rows(folder / "out" / "propagate" / "conversion", name)[:rows].double(),
            results[name][:rows].double(),
        )
        error = float((mine - reference).norm() / reference.norm())
        yield f"relative difference of {name} (wanted: at most 1e-6)", f"{error:.1e}"


def methods_part(shape: Shape, folder: Path, threads: int, device: str) -> Iterator[tuple[str, str]]:
    """Table rows: all maps from the sums of one matrix, and all methods in one job, against Conversion alone."""
    make_models(shape, folder, device)
    each = measure("fits", folder, threads, device)
    maps = [name for name in each if name not in ("sums", "rows", "seconds", *COUNTERS)]
    one = each["sums"] + each["least_squares"]
    together = each["sums"] + sum(each[name] for name in maps)
    yield "sums of one matrix, which all maps share", f"{each['sums']:.2f} s"
    for name in maps:
        yield f"the map {name} from the sums", f"{each[name]:.2f} s"
    yield "**ratio: all maps / Conversion's map, with the sums** (wanted: at most 1.3)", f"**{together / one:.2f}**"
    yield "new rows of one matrix by one map", f"{each['rows']:.2f} s"
    alone = measure("propagate", folder, threads, device)["seconds"]
    yield "lep.propagate with Conversion alone", f"{alone:.1f} s"
    every = measure("methods", folder, threads, device)["seconds"]
    yield f"lep.propagate with {len(METHODS)} methods, a model of {shape.new:,} rows written for each", f"{every:.1f} s"
    yield "ratio", f"{every / alone:.2f}"


def scale_part(shape: Shape, folder: Path, threads: int, device: str) -> Iterator[tuple[str, str]]:
    """Table rows: comparison with the time of the arithmetic alone."""
    make_models(shape, folder)
    before = matrix_rates(threads, shape.width)
    ours = measure("propagate", folder, threads, device)
    after = matrix_rates(threads, shape.width)
    rates = {key: (before[key] + after[key]) / 2 for key in before}
    work = {"float64": 3 * shape.new * shape.width**2, "float32": 2 * shape.new * shape.width**2}
    least = 2 * sum(work[key] / rates[key] / 1e9 for key in work)
    yield "matrix rates, float64 / float32", " / ".join(f"{rate:.0f}" for rate in rates.values()) + " GFLOP/s"
    yield "time of the arithmetic of both matrices at these rates", f"{least:.1f} s"
    yield "lep.propagate, both matrices", f"{ours['seconds']:.1f} s"
    yield "the whole process", f"{ours['process_seconds']:.1f} s"
    yield "**ratio to the arithmetic** (wanted: at most 2)", f"**{ours['seconds'] / least:.2f}**"
    yield "**peak memory** (wanted: at most 12 GB)", f"**{ours['peak_gb']:.1f} GB**"
    yield "read from disk / written", f"{ours['read_gb']:.2f} GB / {ours['written_gb']:.2f} GB"


FUNCTIONS = {"loop": loop_part, "scale": scale_part, "methods": methods_part, "methods-8b": methods_part}


def main() -> None:
    """Command line of the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=PARTS, action="append", help=f"default: {', '.join(DEFAULT)}")
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--work", type=Path, help="folder for the models (default: a temporary one)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="of fits and products")
    parser.add_argument("--worker", choices=["propagate", "methods", "fits", "straightforward"], help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        worker(given.worker, given.work, given.threads, given.device)
        return
    for part in given.part or DEFAULT:
        shape = PARTS[part][given.small]
        where = f"{shape.dtype}, {given.threads} threads, {given.device}"
        print(f"\n| {shape.old:,} -> {shape.new:,} rows, d = {shape.width}, {where} | |")
        print("|---|---|")
        folder = Path(tempfile.mkdtemp(dir=given.work, prefix=f"lep-{part}-"))
        try:
            for title, value in FUNCTIONS[part](shape, folder, given.threads, given.device):
                print(f"| {title} | {value} |", flush=True)
        finally:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
