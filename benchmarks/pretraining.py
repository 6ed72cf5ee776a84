"""Speed and memory of embedding pre-training, compared with plain `transformers.Trainer` in one run.

    python benchmarks/pretraining.py                       # a 5M-parameter Llama, 8,192 rows, on the CPU
    python benchmarks/pretraining.py --part 8b --part 135m # on a GPU: the shapes of Llama-3-8B and SmolLM2-135M
    python benchmarks/pretraining.py --part 8b --device cpu --small --rounds 1      # a test of the script

- Both train the same random weights on the same tokens with the same batch, optimiser and frozen body. The baseline
  uses the model's own loss.
- Each measurement is one process. The two alternate, and the fastest of each counts.
- On a GPU, model FLOP utilisation is shown too: necessary operations (forward and backward through the activations of
  the body, forward and both backward products of the head, attention) over the measured rate of large bfloat16 matrix
  products.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy
import torch
from transformers import TrainerCallback


@dataclass(frozen=True)
class Shape:
    """Shape of the model and of its training."""

    rows: int  # tokens of the vocabulary
    width: int
    layers: int
    heads: int
    groups: int  # key-value heads
    intermediate: int  # width of the MLP
    length: int  # tokens of a sequence
    batch: int  # sequences per step
    micro: int  # sequences computed at once
    steps: int
    tied: bool = False  # head and input embeddings are one matrix

    @property
    def body(self) -> int:
        """Parameters of all body matrices."""
        head = self.width // self.heads
        attention = 2 * self.width * head * (self.heads + self.groups)
        return self.layers * (attention + 3 * self.width * self.intermediate)

    @property
    def flops(self) -> float:
        """Necessary floating-point operations per training token; causal attention counts half."""
        attention = 3 * 2 * self.layers * self.length * self.width
        return 4 * self.body + attention + 6 * self.rows * self.width


PARTS = {
    "cpu": Shape(8192, 192, 4, 6, 6, 512, length=256, batch=16, micro=16, steps=10),
    "8b": Shape(174817, 4096, 32, 32, 8, 14336, length=1024, batch=32, micro=8, steps=8),
    "135m": Shape(49152, 576, 30, 9, 3, 1536, length=1024, batch=64, micro=32, steps=20, tied=True),
}
SMALL = {
    "rows": 512, "width": 64, "layers": 2, "heads": 4, "groups": 2, "intermediate": 128, "length": 32, "batch": 4,
    "micro": 2, "steps": 4,
}  # fmt: skip
SKIPPED = 2  # steps that warm up
WAYS = ("baseline", "ours", "ours, compiled")


def make_model(shape: Shape, device: str) -> torch.nn.Module:
    """A Llama with random weights: float32 on the CPU, bfloat16 on a GPU."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=shape.rows, hidden_size=shape.width, intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers, num_attention_heads=shape.heads, num_key_value_heads=shape.groups,
        max_position_embeddings=shape.length, tie_word_embeddings=shape.tied,
    )  # fmt: skip
    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16 if device == "cuda" else torch.float32)
    with torch.device(device):
        model = LlamaForCausalLM(config)
    torch.set_default_dtype(torch.float32)
    return model


def make_tokens(shape: Shape) -> numpy.ndarray:
    """Blocks of random tokens with Zipf frequencies."""
    draws = numpy.random.default_rng(0).zipf(1.2, (shape.batch * 4, shape.length))
    return (draws % shape.rows).astype(numpy.uint32)


def settings(shape: Shape) -> dict:
    """Hyper-parameters of both trainings."""
    return {"learning_rate": 1e-4, "warmup_steps": 1, "weight_decay": 0.1, "batch_size": shape.batch}


def ours(shape: Shape, device: str, work: Path, clock: TrainerCallback, compiled: bool) -> None:
    from lep.pretraining.packing import Blocks
    from lep.pretraining.resumable import Schedule
    from lep.pretraining.trainer import Execution, Optimisation, TrainedEmbeddings, make_trainer

    model = TrainedEmbeddings(make_model(shape, device))
    schedule = Schedule(work, log_steps=10, save_steps=10**6)
    trainer = make_trainer(
        model, Blocks([make_tokens(shape)]), shape.steps, schedule, Optimisation(**settings(shape)),
        Execution(micro_batch_size=shape.micro, compile=compiled), work=work, seed=0, document_start=1,
    )  # fmt: skip
    trainer._save_checkpoint = lambda *_: None  # the baseline saves nothing either
    schedule.on_save = lambda *_, **__: None
    trainer.add_callback(clock)
    trainer.train()


def baseline(shape: Shape, device: str, work: Path, clock: TrainerCallback) -> None:
    from transformers import Trainer, TrainingArguments

    model = make_model(shape, device).requires_grad_(False)
    for matrix in (model.get_input_embeddings(), model.get_output_embeddings()):
        matrix.requires_grad_(True)
    given = settings(shape)
    arguments = TrainingArguments(
        output_dir=str(work), max_steps=shape.steps, per_device_train_batch_size=shape.micro,
        gradient_accumulation_steps=given.pop("batch_size") // shape.micro, lr_scheduler_type="cosine", adam_beta2=0.95,
        adam_epsilon=1e-5, use_cpu=device == "cpu", report_to="none", save_strategy="no", disable_tqdm=True, **given,
    )  # fmt: skip
    ids = torch.from_numpy(make_tokens(shape).astype(numpy.int64))
    data = [{"input_ids": row, "labels": row} for row in ids]
    Trainer(model, arguments, train_dataset=data, callbacks=[clock]).train()


def worker(way: str, shape: Shape, device: str, threads: int) -> None:
    """Run one measured training in this process; prints a JSON object."""

    class Clock(TrainerCallback):
        started = ended = 0.0

        def on_step_end(self, args, state, control, **kwargs) -> None:
            if device == "cuda":
                torch.cuda.synchronize()
            if state.global_step == SKIPPED:
                self.started = time.perf_counter()
            self.ended = time.perf_counter()

    torch.set_num_threads(threads)
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        if way == "baseline":
            baseline(shape, device, Path(folder), clock)
        else:
            ours(shape, device, Path(folder), clock, way.endswith("compiled"))
    tokens = (shape.steps - SKIPPED) * shape.batch * shape.length
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    if device == "cuda":
        peak = torch.cuda.max_memory_allocated()
    print(json.dumps({"tokens_per_second": tokens / (clock.ended - clock.started), "peak_gb": peak / 1e9}))


def measure(way: str, part: str, shape: Shape, device: str, threads: int) -> dict[str, float]:
    """Tokens per second and peak memory of one training."""
    command = [sys.executable, "-P", __file__, "--worker", way, "--part", part, "--shape", json.dumps(asdict(shape))]
    command += ["--device", device, "--threads", str(threads)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        print(f"{way} failed: {done.stderr.splitlines()[-1] if done.stderr else done.returncode}", file=sys.stderr)
        return {"tokens_per_second": 0.0, "peak_gb": 0.0}
    return json.loads(done.stdout.splitlines()[-1])


def matrix_rate() -> float:
    """FLOP/s of a large bfloat16 matrix product on the GPU, best of 20."""
    a = torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16)
    seconds = []
    for _ in range(20):
        torch.cuda.synchronize()
        start = time.perf_counter()
        a @ a
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return 2 * 8192**3 / min(seconds)


def row(way: str, found: dict[str, float], first: dict[str, float], shape: Shape, rate: float | None) -> str:
    """The row of a table, with ratios to the `first` way; `rate`: FLOP/s of which the utilisation is a share."""
    if not found["tokens_per_second"]:  # `measure` has printed the reason
        return f"| {way} | failed | | | |" + (" |" if rate else "")
    ratios = [found[key] / first[key] if first[key] else float("nan") for key in found]
    speed = found["tokens_per_second"]
    line = f"| {way} | {speed:,.0f} | {ratios[0]:.2f} | {found['peak_gb']:.2f} | {ratios[1]:.2f} |"
    return line + (f" {100 * speed * shape.flops / rate:.1f}% |" if rate else "")


def rows(
    part: str, shape: Shape, device: str, threads: int, rounds: int, ways: Sequence[str] | None = None
) -> Iterator[str]:
    """The table of one part, for `ways`, or for all that the device has; ratios are to the first of them."""
    ways = ways or (WAYS if device == "cuda" else WAYS[:2])
    rate = matrix_rate() if device == "cuda" else None
    yield "| way | tokens / s | ratio | peak GB | ratio |" + (" MFU |" if rate else "")
    yield "|---|---:|---:|---:|---:|" + ("---:|" if rate else "")
    best: dict[str, dict[str, float]] = {}
    for last in [False] * (rounds - 1) + [True]:
        for way in ways:
            found = measure(way, part, shape, device, threads)
            if way not in best or found["tokens_per_second"] > best[way]["tokens_per_second"]:
                best[way] = found
            if last:  # nothing is to come for this way: its row is shown before the next one is measured
                yield row(way, best[way], best[ways[0]], shape, rate)
    if rate:
        yield f"\n{torch.cuda.get_device_name()}: {rate / 1e12:.0f} TFLOP/s in bfloat16 matrix products"


def main() -> None:
    """Command line of the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=PARTS, action="append", help="default: cpu")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--way", choices=WAYS, action="append", help="default: all that the device has")
    parser.add_argument("--micro", type=int, help="sequences at a time, where a card holds more or fewer")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--device", choices=("cpu", "cuda"), help="default: cpu for the part cpu, else cuda")
    parser.add_argument("--small", action="store_true", help="tiny shapes")
    for hidden in ("--worker", "--shape"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        worker(given.worker, Shape(**json.loads(given.shape)), given.device, given.threads)
        return
    for part in given.part or ["cpu"]:
        shape = PARTS[part]
        if given.micro:
            shape = Shape(**asdict(shape) | {"micro": given.micro})
        if given.small:
            shape = Shape(**asdict(shape) | SMALL)
        device = given.device or ("cpu" if part == "cpu" else "cuda")
        if device == "cuda" and not torch.cuda.is_available():
            parser.error(f"part {part} needs a GPU")
        parameters = shape.body + (1 if shape.tied else 2) * shape.rows * shape.width
        print(
            f"\n{part}: {parameters / 1e6:,.1f}M parameters, {shape.rows:,} rows, {shape.batch} sequences of "
            f"{shape.length} tokens a step, {shape.micro} at a time, {given.threads} threads, "
            f"torch {torch.__version__}\n"
        )
        for line in rows(part, shape, device, given.threads, given.rounds, given.way):
            print(line, flush=True)


if __name__ == "__main__":
    main()
