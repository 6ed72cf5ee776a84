"""A `transformers.Trainer` that survives any kill, for embedding pre-training and calibration.

- A checkpoint (restart point) in the work folder has the trained tensors (safetensors), optimiser, schedule, random
  states and position. The file `complete` is written last.
- A restart deletes checkpoints without that file and continues from the newest one, with equal bits on one device.
- When asked to stop (`lep.compute.stop`), a training writes a checkpoint after its step and exits with
  `lep.compute.stop.REQUEUE`.
"""

import hashlib
import json
import shutil
import sys
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from tqdm import tqdm
from transformers import TrainerCallback

from lep.compute import distributed, stop
from lep.config import UserError
from lep.files import sha256_json, write_json, write_text
from lep.log import logger
from lep.pretraining.training_log import check_finite, ends_window, log_line, log_lines, windows

COMPLETE = "complete"
_TRAINED = "trained.safetensors"


class ResumableMixin:
    """Mixed into a `Trainer`: checkpoints have only the trained tensors, and data come in the order of the data set."""

    def _save(self, output_dir: str | None = None, state_dict: dict | None = None) -> None:
        folder = Path(output_dir or self.args.output_dir)
        folder.mkdir(parents=True, exist_ok=True)
        save_file(trained_tensors(self.accelerator.unwrap_model(self.model)), folder / _TRAINED)

    def _save_checkpoint(self, model: torch.nn.Module, trial: object) -> None:
        folder = checkpoint_folder(Path(self.args.output_dir), self.state.global_step)
        with writing(folder.parent, f"the restart point of step {self.state.global_step}", folder):
            super()._save_checkpoint(model, trial)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: torch.nn.Module | None = None) -> None:
        loaded = load_file(Path(resume_from_checkpoint) / _TRAINED)
        parameters = trained_tensors(model or self.model)
        if loaded.keys() != parameters.keys():
            raise UserError(f"{resume_from_checkpoint} trains other matrices; delete the work folder and start again")
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.copy_(loaded[name])

    def _get_train_sampler(self, train_dataset=None) -> torch.utils.data.Sampler:
        return torch.utils.data.SequentialSampler(train_dataset if train_dataset is not None else self.train_dataset)

    def floating_point_ops(self, inputs: dict) -> int:
        return 0  # the Trainer's own would count all parameters at every step, for a number that nobody reads


@contextmanager
def writing(work: Path, what: str, partial: Path | None = None) -> Iterator[None]:
    """Turn a failed write (full disk, quota) into a `UserError`; the folder `partial` is removed, older files stay."""
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        if partial:
            shutil.rmtree(partial, ignore_errors=True)
        raise UserError(
            f"{what} could not be written to {work} ({error}; {shutil.disk_usage(work).free / 1e9:.1f} GB are free); "
            "make room and run the same command again: it continues from its last restart point"
        ) from error


class Schedule(TrainerCallback):
    """Decides when to log and save, writes the log as it grows, shows progress, and evaluates checkpoints.

    `evaluate(model, step)` is called at the steps `evaluated_steps`; step 0 is the model before training.

    The Trainer reports every step; a line of the log is the mean over `log_steps` of them, so that the log does not
    depend on interruptions. `bits_per_nat` converts a loss per token into bits per character of the training text:
    tokens per character / ln 2 (0 = not known).
    """

    def __init__(
        self,
        work: Path,
        *,
        log_steps: int,
        save_steps: int,
        evaluated_steps: Collection[int] = (),
        evaluate: Callable[[torch.nn.Module, int], None] | None = None,
        tokens_per_step: int = 0,
        bits_per_nat: float = 0.0,
    ) -> None:
        self.work, self.log_steps, self.save_steps = work, log_steps, save_steps
        self.evaluated_steps, self.evaluate, self.tokens_per_step = evaluated_steps, evaluate, tokens_per_step
        self.bits_per_nat = bits_per_nat
        self.training_seconds = 0.0
        self.steps_done = 0
        self._stopping = False
        self._bar: tqdm | None = None
        self._clock = 0.0

    def on_train_begin(self, args, state, control, model=None, **kwargs) -> None:
        if distributed.is_main():
            write_text(self.work / "log.jsonl", self.log_text(state))
        self._bar = tqdm(
            total=state.max_steps, initial=state.global_step, unit="step", file=sys.stderr,
            mininterval=1 if sys.stderr.isatty() else 10,
            disable=not distributed.is_main(),
        )  # fmt: skip
        if state.global_step == 0 and 0 in self.evaluated_steps:
            self._evaluate(model, 0)
        self._clock = time.perf_counter()

    def on_step_end(self, args, state, control, model=None, **kwargs) -> None:
        step = state.global_step
        self.steps_done += 1
        self.training_seconds += time.perf_counter() - self._clock
        self._bar.update()
        evaluated = step in self.evaluated_steps
        self._stopping = distributed.any_process(stop.requested() is not None) and step < state.max_steps
        control.should_log = True
        control.should_save = evaluated or step % self.save_steps == 0 or step == state.max_steps or self._stopping
        if evaluated:
            self._evaluate(model, step)
        self._clock = time.perf_counter()

    def _evaluate(self, model: torch.nn.Module, step: int) -> None:
        if distributed.is_main():
            self.evaluate(model, step)
        distributed.barrier()

    def on_log(self, args, state, control, **kwargs) -> None:
        entry = state.log_history[-1]
        if "loss" not in entry:
            return
        # Before the step is saved, so that a restart finds only good checkpoints.
        shown = {"the loss": entry["loss"], "the norm of the gradient": entry.get("grad_norm", 0.0)}
        check_finite(shown, f"at step {entry['step']}")
        if not distributed.is_main():
            return
        if ends_window(entry["step"], self.log_steps, state.max_steps):
            window = next(windows(reversed(state.log_history), self.log_steps, state.max_steps))
            with open(self.work / "log.jsonl", "a", encoding="utf-8") as file:
                file.write(log_line(window[::-1], self.bits_per_nat))
        self._bar.set_postfix(self.shown(entry["loss"]), refresh=False)

    def on_save(self, args, state, control, **kwargs) -> None:
        distributed.barrier()  # until every process has written its random states
        if distributed.is_main():
            write_text(checkpoint_folder(Path(args.output_dir), state.global_step) / COMPLETE, "")
        if self._stopping:
            self._bar.close()
            logger.info(
                "stopped after step %d (%s): run the same command again to continue; exit code %d",
                *(state.global_step, stop.requested() or "another process was asked", stop.REQUEUE),
            )
            distributed.barrier()
            sys.exit(stop.REQUEUE)
        self._clock = time.perf_counter()

    def on_train_end(self, args, state, control, **kwargs) -> None:
        self._bar.close()

    def shown(self, loss: float) -> dict[str, str]:
        """The values in the progress bar, besides steps and time left."""
        shown = {"loss": f"{loss:.3f}"}
        if self.bits_per_nat:
            shown["bits/char"] = f"{loss * self.bits_per_nat:.3f}"
        if self.tokens_per_step:
            shown["tokens/s"] = f"{self.tokens_per_second:,.0f}"
        return shown

    def log_text(self, state) -> str:
        """The log of a Trainer's state so far."""
        return log_lines(state.log_history, self.log_steps, state.max_steps, self.bits_per_nat)

    @property
    def tokens_per_second(self) -> float:
        """Training tokens per second of this process, without the time for saving and validation."""
        return self.steps_done * self.tokens_per_step / max(self.training_seconds, 1e-9)

    def speed(self) -> dict[str, float]:
        """Steps and speed of this process, for `run.json`."""
        return {
            "steps_in_this_process": self.steps_done,
            "tokens_per_second": round(self.tokens_per_second),
            "training_seconds": round(self.training_seconds, 1),
            "processes": distributed.processes(),
        }


def quiet_arguments() -> dict:
    """Trainer settings of both trainings: no reporting, saving and logging by `Schedule`, no needless work."""
    return {
        "report_to": "none",
        "disable_tqdm": True,
        "save_strategy": "no",
        "logging_strategy": "no",
        "save_total_limit": 2,
        "push_to_hub": False,
        "remove_unused_columns": False,
        "dataloader_pin_memory": False,
        "dataloader_num_workers": 0,
        "logging_nan_inf_filter": False,
    }


def trained_tensors(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The parameters that train, by name; a shared parameter once."""
    return {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}


def hash_frozen(model: torch.nn.Module) -> str:
    """Hex sha256 over name, type, shape and bytes of every parameter and buffer that does not train."""
    digest = hashlib.sha256()
    trained = {name for name, p in model.named_parameters(remove_duplicate=False) if p.requires_grad}
    for name, tensor in sorted(model.state_dict().items()):
        if name in trained:
            continue
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def open_work(work: Path, identity: dict) -> str | None:
    """Prepare a work folder for the run of this `identity`; returns the checkpoint to continue from, or None.

    The main process empties the folder of another run, and deletes incomplete checkpoints.
    """
    return distributed.from_main(_open_work(work, identity) if distributed.is_main() else None)


def _open_work(work: Path, identity: dict) -> str | None:
    path = work / "identity.json"
    found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    if found != {"sha256": sha256_json(identity)}:
        if work.exists() and any(work.iterdir()):
            logger.info("%s belongs to another run: it is emptied, and training starts at step 0", work)
            shutil.rmtree(work)
        write_json(path, {"sha256": sha256_json(identity)})
    whole = []
    for folder in work.glob("checkpoint-*"):
        if (folder / COMPLETE).is_file():
            whole.append(folder)
        else:
            shutil.rmtree(folder)
    if not whole:
        return None
    last = max(whole, key=lambda folder: int(folder.name.split("-")[1]))
    logger.info("going on from %s", last)
    return str(last)


def checkpoint_folder(work: Path, step: int) -> Path:
    """The folder where the Trainer keeps the state after `step`."""
    return work / f"checkpoint-{step}"
