"""Bitwise comparison of single embedding rows between model folders, read from the files without any tensor library."""

import json
from pathlib import Path
from typing import BinaryIO

from lep.config import UserError

_MATRICES = ("model.embed_tokens.weight", "lm_head.weight")
_INDEX = "model.safetensors.index.json"


def differing_rows(model: Path, instruct: Path) -> list[str]:
    """Added tokens of both tokenizers whose rows differ, as `token (matrix)`; no token in common is an error."""
    new, old = added_tokens(model), added_tokens(instruct)
    common = sorted(new.keys() & old.keys())
    if not common:
        raise UserError(f"{model} and {instruct} have no added token in common; they are no relatives")
    differing = []
    for matrix in _MATRICES:
        files = [_file_of(folder, matrix) for folder in (model, instruct)]
        if None in files:  # tied: the head is the input matrix
            continue
        ids = [[tokens[name] for name in common] for tokens in (new, old)]
        rows = [read_rows(file, matrix, wanted) for file, wanted in zip(files, ids, strict=True)]
        differing += [f"{name} ({matrix})" for name, a, b in zip(common, *rows, strict=True) if a != b]
    return differing


def added_tokens(folder: Path) -> dict[str, int]:
    """Added tokens of a folder's tokenizer.json with their ids."""
    state = json.loads((Path(folder) / "tokenizer.json").read_text(encoding="utf-8"))
    return {token["content"]: token["id"] for token in state["added_tokens"]}


def read_rows(path: Path, tensor: str, ids: list[int]) -> list[bytes]:
    """The bytes of some rows of a two-dimensional tensor in a safetensors file."""
    with open(path, "rb") as file:
        header = _header(file)
        start = file.tell() + header[tensor]["data_offsets"][0]
        rows = header[tensor]["shape"][0]
        size = (header[tensor]["data_offsets"][1] - header[tensor]["data_offsets"][0]) // rows
        found = []
        for index in ids:
            if not 0 <= index < rows:
                raise UserError(f"{path}: {tensor} has {rows} rows, none of token id {index}")
            file.seek(start + index * size)
            found.append(file.read(size))
    return found


def _header(file: BinaryIO) -> dict:
    """The header of an open safetensors file; the file is left at the first byte after it."""
    return json.loads(file.read(int.from_bytes(file.read(8), "little")))


def _file_of(folder: Path, tensor: str) -> Path | None:
    """The file that holds a tensor, in a folder with an index or with one file."""
    index, single = Path(folder) / _INDEX, Path(folder) / "model.safetensors"
    if index.exists():
        name = json.loads(index.read_text(encoding="utf-8"))["weight_map"].get(tensor)
        return Path(folder) / name if name else None
    with open(single, "rb") as file:
        return single if tensor in _header(file) else None
