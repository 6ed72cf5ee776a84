"""Read Hugging Face model folders: weights by name, tokenizer, configuration. Unusable folders raise `UserError`."""

import contextlib
import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError, safe_open

from lep.config import UserError
from lep.models.safetensors_header import CONFIG, HEAD, INPUT, read_json, weight_map, weights_header
from lep.vocabulary.tokenizer_file import byte_view as byte_view
from lep.vocabulary.tokenizer_file import load_tokenizer as load_tokenizer
from lep.vocabulary.tokenizer_file import tokenizer_file as tokenizer_file
from lep.vocabulary.tokenizer_file import tokenizer_sha256 as tokenizer_sha256

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedTokenizerFast

_DTYPES = {torch.float64: "F64", torch.float32: "F32", torch.bfloat16: "BF16", torch.float16: "F16"}
_ROWS_AT_ONCE = 8192  # of a matrix that is checked


@dataclass(frozen=True, eq=False)
class Embeddings:
    """Input embeddings and head, both (rows, hidden size); `head` is None if it is tied to the input."""

    input: torch.Tensor
    head: torch.Tensor | None

    @property
    def tied(self) -> bool:
        return self.head is None

    def matrices(self) -> dict[str, torch.Tensor]:
        """The matrices by the short names `input` and, untied, `head`."""
        return {"input": self.input} if self.tied else {"input": self.input, "head": self.head}


def read_embeddings(folder: Path) -> Embeddings:
    """Both matrices of a model folder, in the store or not; no other tensor is read."""
    tied = is_tied(folder)
    matrices = Embeddings(read_matrix(folder, "input"), None if tied else read_matrix(folder, "head"))
    check_shapes(matrices, Path(folder))
    return matrices


def read_matrix(folder: Path, which: str) -> torch.Tensor:
    """The matrix `input` or `head`, (rows, hidden size), memory-mapped from its file."""
    folder, name = Path(folder), {"input": INPUT, "head": HEAD}[which]
    weights = weight_map(folder)
    if name not in weights:
        raise UserError(
            f"{folder} has no tensor {name}; only models that store their matrices as {INPUT} and, untied, {HEAD} "
            "(Llama, Mistral, Qwen and similar) can be used"
        )
    with open_weights(folder / weights[name]) as file:
        matrix = file.get_tensor(name)
    if matrix.ndim != 2 or not len(matrix) or not matrix.is_floating_point():
        raise UserError(f"{folder}: {name} has shape {tuple(matrix.shape)} and type {matrix.dtype}; it is no matrix")
    return matrix


def is_tied(folder: Path) -> bool:
    """Whether head and input embeddings are one matrix, from the model's configuration."""
    tied = read_json(Path(folder) / CONFIG).get("tie_word_embeddings")
    if tied is None:
        tied = open_config(folder).tie_word_embeddings
    if not isinstance(tied, bool):
        raise UserError(f"{Path(folder) / CONFIG}: tie_word_embeddings must be true or false, found {tied!r}")
    return tied


def open_config(folder: Path) -> "PretrainedConfig":
    """The configuration of a model folder; code in the folder is never run, nor is the user asked to run it."""
    from transformers import AutoConfig

    read_json(Path(folder) / CONFIG)
    try:
        return AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:
        raise UserError(
            f"{Path(folder) / CONFIG} describes no model that transformers knows without running code of the folder "
            f"({short(error)}); use a model of a known type (Llama, Mistral, Qwen and similar)"
        ) from None


def check_finite(matrix: torch.Tensor, which: str, folder: Path) -> None:
    """Raise `UserError`, with the first row, if a matrix has NaN or infinite numbers: averages would spread them."""
    for start in () if all_finite(matrix) else range(0, len(matrix), _ROWS_AT_ONCE):
        bad = ~torch.isfinite(matrix[start : start + _ROWS_AT_ONCE]).all(dim=1)
        if bad.any():
            row = start + int(bad.nonzero()[0])
            raise UserError(
                f"{folder}: the {which} matrix contains NaN or infinite numbers (first in row {row}); "
                "use an intact model"
            )


def all_finite(matrix: torch.Tensor) -> bool:
    """Whether a matrix has neither NaN nor infinite numbers: its least and its largest number tell.

    A twentieth of the time of a test of each number.
    """
    return not matrix.numel() or all(bool(torch.isfinite(number)) for number in torch.aminmax(matrix))


def check_numbers(folder: Path) -> None:
    """Raise `UserError`, with the tensor, if weights of a model hold NaN or infinite numbers."""
    for name, file in sorted(weight_map(folder).items()):
        with open_weights(folder / file) as weights:  # opened for each tensor, so that earlier ones leave the memory
            tensor = weights.get_tensor(name)
        if tensor.is_floating_point() and not all_finite(tensor):
            raise UserError(
                f"{folder}: {name} holds NaN or infinite numbers; fetch the model again, or use an intact one"
            )


def short(error: BaseException) -> str:
    """The message of an error of another library, on one line."""
    return " ".join(str(error).split())[:200] or type(error).__name__


def check_ids(tokenizer: "PreTrainedTokenizerFast", rows: int, where: Path) -> None:
    """Raise `UserError`, with the tokens, if a tokenizer has ids without a row."""
    beyond = sorted((index, token) for token, index in tokenizer.get_vocab().items() if index >= rows)
    if beyond:
        listed = ", ".join(f"{token!r} (id {index})" for index, token in beyond[:10])
        more = f" and {len(beyond) - 10} more" if len(beyond) > 10 else ""
        raise UserError(
            f"{where}: the matrices have {rows} rows, too few for {len(beyond)} tokens: {listed}{more}; "
            "use the tokenizer that belongs to the model, or resize its embeddings first"
        )


def parse_dtype(name: str) -> torch.dtype:
    """A torch floating-point type by name; raises `UserError` for any other name."""
    kind = getattr(torch, name, None)
    if kind not in _DTYPES:
        raise UserError(f"unknown dtype {name!r}; use float32, bfloat16 or float16")
    return kind


@contextlib.contextmanager
def open_weights(path: Path) -> Iterator[safe_open]:
    """An open safetensors file; raises `UserError` if it is damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} is damaged ({error}); fetch or make the model again") from None


def copy_tensors(source: Path, target: Path, names: Iterable[str], dtype: torch.dtype | None = None) -> None:
    """Copy tensors of a safetensors file to another, one at a time in memory; `dtype` converts floating-point ones."""
    # The header comes first in the file, so sizes are computed before any tensor is read.
    entries, header, end = weights_header(source), {"__metadata__": {"format": "pt"}}, 0
    names = sorted(names)
    for name in names:
        start, stop = entries[name]["data_offsets"]
        kind, size = entries[name]["dtype"], stop - start
        if dtype and kind.startswith(("F", "BF")):
            kind, size = _DTYPES[dtype], math.prod(entries[name]["shape"]) * dtype.itemsize
        header[name] = {"dtype": kind, "shape": entries[name]["shape"], "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # data starts at a multiple of eight bytes
    with open(target, "wb") as out:
        out.write(len(text).to_bytes(8, "little") + text)
        for name in names:
            with open_weights(source) as file:  # opened for each tensor, so that earlier ones leave the memory
                tensor = file.get_tensor(name)
            if dtype and tensor.is_floating_point():
                tensor = tensor.to(dtype)
            out.write(tensor.contiguous().reshape(-1).view(torch.uint8).numpy())


def check_shapes(embeddings: Embeddings, origin: Path) -> None:
    """Raise `UserError` if matrices do not fit the model in `origin`: unequal shapes, another width or tying."""
    settings = read_json(origin / CONFIG)
    shape = tuple(embeddings.input.shape)
    if embeddings.head is not None and tuple(embeddings.head.shape) != shape:
        raise UserError(
            f"{origin}: input embeddings {shape} and head {tuple(embeddings.head.shape)} differ in shape; "
            "both must have one row per token"
        )
    if settings.get("hidden_size", shape[1]) != shape[1]:
        raise UserError(
            f"{origin}: matrices of width {shape[1]}, but the body's hidden size is {settings['hidden_size']}"
        )
    if is_tied(origin) != embeddings.tied:
        has, needs = ("one tied matrix", "two") if embeddings.tied else ("two matrices", "one, since its head is tied")
        raise UserError(f"{origin} needs {needs}, but got {has}; use models with the same tie_word_embeddings")
