"""The user's own map, `propagation.own`: a function of A'A and A'B that returns P.

It may read nothing else: its file is the only one that the workflow knows as an input, so what it takes from elsewhere
could change unnoticed, and files of the models would show it the held-out rows.
"""

import contextlib
import functools
import importlib.util
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from lep.config import UserError
from lep.methods import split_own

_IMPORTED = re.compile(r"\.(py|pyc|so)(\.\d+)?$")  # what an import opens, and writes to its cache
_SYSTEM = (sys.prefix, sys.base_prefix, "/proc", "/sys", "/dev")
_OUTSIDE = ("open", "socket.connect", "subprocess.Popen", "os.system")
_watched: list[str] = []  # name of the function that runs now, if one does


def load_own(name: str) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """The function that `path/to/file.py:function` names; `UserError` if there is none that takes two matrices."""
    path, function = split_own(name)
    if not Path(path).is_file():
        raise UserError(f"propagation.own: {path} does not exist")
    spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    module = importlib.util.module_from_spec(spec)
    with _alone(name, f"{path} cannot be imported"):
        spec.loader.exec_module(module)
    found = getattr(module, function, None)
    if not callable(found):
        raise UserError(f"propagation.own: {path} has no function {function}")
    try:
        inspect.signature(found).bind(None, None)
    except TypeError as error:
        raise UserError(f"propagation.own: {name} must take two matrices, A'A and A'B, and no more ({error})") from None
    return found


def call_own(function: Callable, gram: torch.Tensor, cross: torch.Tensor, name: str) -> torch.Tensor:
    """P, (d, d) float64, by the function for A'A and A'B, of which it gets copies.

    Raises `UserError` for another shape, numbers that are not finite, an exception, and for reading anything else.
    """
    with _alone(name, f"{name} failed"):
        projection = torch.as_tensor(function(gram.clone(), cross.clone()), dtype=torch.float64, device=cross.device)
    if projection.shape != cross.shape:
        raise UserError(
            f"propagation.own: {name} must return a matrix of shape {tuple(cross.shape)}, "
            f"but returned {tuple(projection.shape)}"
        )
    if not torch.isfinite(projection).all():
        raise UserError(f"propagation.own: {name} returned NaN or infinite numbers")
    return projection


@contextlib.contextmanager
def _alone(name: str, what: str) -> Iterator[None]:
    """Run code of the user; its errors become one `UserError`, and files, network and programs are refused."""
    _watch()
    _watched.append(name)
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"propagation.own: {what}: {type(error).__name__}: {error}") from error
    finally:
        _watched.pop()


@functools.cache  # a hook stays for good, so there is one
def _watch() -> None:
    sys.addaudithook(_refuse)


def _refuse(event: str, arguments: tuple) -> None:
    if not _watched or event not in _OUTSIDE:
        return
    what = str(arguments[0]) if event == "open" else event
    if event == "open" and (_IMPORTED.search(what) or any(Path(what).absolute().is_relative_to(p) for p in _SYSTEM)):
        return
    raise UserError(
        f"propagation.own: {_watched[-1]} reads {what}, but may use A'A and A'B alone: the run would not notice when "
        "that changes; write what it needs into its file"
    )
