"""What embedding pre-training and calibration share: a `transformers.Trainer` that survives any kill.

A checkpoint in the work folder holds the trained tensors (safetensors), the optimiser, the schedule,
the random states and the position; a file `complete` is written last. A restart removes what lacks it
and goes on from the newest whole checkpoint, with bit-equal results on one device.
"""

import hashlib
import json
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from tqdm import tqdm
from transformers import TrainerCallback

from lep.config import UserError
from lep.log import logger
from lep.manifest import sha256_json, write_json, write_text

COMPLETE = "complete"
_TRAINED = "trained.safetensors"


class ResumableMixin:
    """Mixed into a `Trainer`: checkpoints hold the trained tensors alone, data come in their own order."""

    def _save(self, output_dir: str | None = None, state_dict: dict | None = None) -> None:
        folder = Path(output_dir or self.args.output_dir)
        folder.mkdir(parents=True, exist_ok=True)
        save_file(trained_tensors(self.accelerator.unwrap_model(self.model)), folder / _TRAINED)

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
        return 0  # counts every parameter at every step for a number nobody reads


class Schedule(TrainerCallback):
    """Decides when to log and save, writes the log as it grows, shows progress, and calls `visit` at fixed steps.

    The log is also written where a checkpoint is, so that a resumed run averages over the same steps
    as an uninterrupted one.
    """

    def __init__(
        self,
        work: Path,
        *,
        log_steps: int,
        save_steps: int,
        visit_steps: set[int],
        visit: Callable[[torch.nn.Module, int], None],
        tokens_per_step: int = 0,
    ) -> None:
        self.work, self.log_steps, self.save_steps = work, log_steps, save_steps
        self.visit_steps, self.visit, self.tokens_per_step = visit_steps, visit, tokens_per_step
        self.training_seconds = 0.0
        self.steps_done = 0
        self._bar: tqdm | None = None
        self._clock = 0.0

    def on_train_begin(self, args, state, control, model=None, **kwargs) -> None:
        write_text(self.work / "log.jsonl", log_lines(state.log_history))
        self._bar = tqdm(total=state.max_steps, initial=state.global_step, unit="step", mininterval=1, file=sys.stderr)
        if state.global_step == 0 and 0 in self.visit_steps:
            self.visit(model, 0)
        self._clock = time.perf_counter()

    def on_step_end(self, args, state, control, model=None, **kwargs) -> None:
        step = state.global_step
        self.steps_done += 1
        self.training_seconds += time.perf_counter() - self._clock
        self._bar.update()
        visited = step in self.visit_steps
        control.should_save = visited or step % self.save_steps == 0 or step == state.max_steps
        control.should_log = control.should_save or step % self.log_steps == 0 or step == 1
        if visited:
            self.visit(model, step)
        self._clock = time.perf_counter()

    def on_log(self, args, state, control, **kwargs) -> None:
        with open(self.work / "log.jsonl", "a", encoding="utf-8") as file:
            file.write(log_lines(state.log_history[-1:]))
        if "loss" not in state.log_history[-1]:
            return
        shown = {"loss": f"{state.log_history[-1]['loss']:.3f}"}
        if self.tokens_per_step:
            shown["tokens/s"] = f"{self.tokens_per_second:,.0f}"
        self._bar.set_postfix(shown, refresh=False)

    def on_save(self, args, state, control, **kwargs) -> None:
        write_text(checkpoint_folder(Path(args.output_dir), state.global_step) / COMPLETE, "")
        self._clock = time.perf_counter()

    def on_train_end(self, args, state, control, **kwargs) -> None:
        self._bar.close()

    @property
    def tokens_per_second(self) -> float:
        """Speed of this process in training tokens, saving and validation not counted."""
        return self.steps_done * self.tokens_per_step / max(self.training_seconds, 1e-9)

    def speed(self) -> dict[str, float]:
        """What this process did and how fast, for `run.json`."""
        return {
            "steps_in_this_process": self.steps_done,
            "tokens_per_second": round(self.tokens_per_second),
            "training_seconds": round(self.training_seconds, 1),
        }


def quiet_arguments() -> dict:
    """Trainer settings that both trainings share: no reporting, own saving and logging, no needless work."""
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
    """The parameters that train, by name; a shared one once."""
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
    """Prepare a work folder for the run that `identity` describes; returns the checkpoint to go on from.

    A folder of another run is emptied, an unfinished checkpoint removed.
    """
    path = work / "identity.json"
    found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    if found != {"sha256": sha256_json(identity)}:
        if work.exists() and any(work.iterdir()):
            logger.info("%s holds another run; starting anew", work)
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


def log_lines(history: list[dict]) -> str:
    """The Trainer's history as JSON lines: step, loss, learning rate, gradient norm, with fixed digits."""
    lines = []
    for entry in history:
        if "loss" in entry:
            line = {"step": entry["step"], "loss": round(entry["loss"], 6)}
            line["learning_rate"] = float(f"{entry['learning_rate']:.6g}")
            line["gradient_norm"] = round(entry.get("grad_norm", 0.0), 6)
            lines.append(json.dumps(line) + "\n")
    return "".join(lines)
