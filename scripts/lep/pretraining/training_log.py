"""The log of a training, and the end of one that has diverged."""

import json
from collections.abc import Iterable, Iterator, Mapping

import torch

from lep.config import UserError


def check_finite(numbers: Mapping[str, float | torch.Tensor], when: str) -> None:
    """Raise `UserError` with a remedy if one of `numbers` is NaN or infinite; `when` says where in the training."""
    for name, number in numbers.items():
        if not bool(torch.isfinite(torch.as_tensor(number)).all()):
            raise UserError(
                f"the training has diverged: {name} is NaN or infinite {when}; nothing of this run is published. Lower "
                "the learning rate, lengthen the warm-up, or use a number type with more range (float16 overflows)"
            )


def ends_window(step: int, every: int, last: int) -> bool:
    """Whether a line of the log ends at `step`: at the first, each `every`-th and the last step."""
    return step == 1 or step % every == 0 or step == last


def windows(history: Iterable[dict], every: int, last: int) -> Iterator[list[dict]]:
    """The Trainer's entries of steps, grouped by line of the log; `history` may run forwards or backwards."""
    window: list[dict] = []
    for entry in history:
        if "loss" not in entry:
            continue
        if window and ends_window(max(entry["step"], window[-1]["step"]) - 1, every, last):
            yield window
            window = []
        window.append(entry)
    if window:
        yield window


def log_line(window: list[dict], bits_per_nat: float = 0.0) -> str:
    """One JSON line, rounded: mean loss of the steps, learning rate and gradient norm of the last step."""
    loss = sum(entry["loss"] for entry in window) / len(window)
    line = {"step": window[-1]["step"], "loss": round(loss, 6)}
    if bits_per_nat:
        line["bits_per_character"] = round(loss * bits_per_nat, 6)
    line["learning_rate"] = float(f"{window[-1]['learning_rate']:.6g}")
    line["gradient_norm"] = round(window[-1].get("grad_norm", 0.0), 6)
    return json.dumps(line) + "\n"


def log_lines(history: list[dict], every: int = 1, last: int = 0, bits_per_nat: float = 0.0) -> str:
    """The log of the complete windows of a history."""
    found = windows(history, every, last)
    return "".join(log_line(w, bits_per_nat) for w in found if ends_window(w[-1]["step"], every, last))
