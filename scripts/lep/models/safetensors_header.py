"""Weights on disk, read without torch: headers of safetensors files, the file of each tensor, single rows."""

import json
from collections.abc import Sequence
from pathlib import Path

from lep.config import UserError

INPUT, HEAD = "model.embed_tokens.weight", "lm_head.weight"  # names of the two matrices in all supported models
INDEX = "model.safetensors.index.json"


def weight_map(folder: Path) -> dict[str, str]:
    """File name of each tensor, from the index or from the one `model.safetensors`.

    Raises `UserError` if a file is missing, and for a folder without safetensors.
    """
    folder = Path(folder)
    if (folder / INDEX).is_file():
        weights = read_json(folder / INDEX)["weight_map"]
    elif (folder / "model.safetensors").is_file():
        weights = dict.fromkeys(weights_header(folder / "model.safetensors"), "model.safetensors")
    elif not folder.is_dir():
        raise UserError(f"{folder} is not a folder; give the folder of a Hugging Face model")
    elif any(True for pattern in ("*.bin", "*.pt", "*.pth") for _ in folder.glob(pattern)):
        raise UserError(
            f"{folder} has only pickled weights, which are never opened; "
            "use a safetensors revision of the model, or convert it where you trust it (save_pretrained)"
        )
    else:
        raise UserError(f"{folder} has no {INDEX} and no model.safetensors; give the folder of a Hugging Face model")
    for file in sorted(set(weights.values())):
        if Path(file).name != file or not (folder / file).is_file():
            raise UserError(f"{folder / INDEX} names {file}, which is not in {folder}; fetch the model again")
    return weights


def weights_header(path: Path) -> dict[str, dict]:
    """Tensor entries (dtype, shape, data_offsets) of a safetensors file; raises `UserError` if it is truncated."""
    with open(path, "rb") as file:
        size = int.from_bytes(file.read(8), "little")
        if not 2 <= size <= path.stat().st_size - 8:
            raise UserError(f"{path} is not a safetensors file or is truncated; fetch the model again")
        entries = json.loads(file.read(size))
    return {name: entry for name, entry in entries.items() if name != "__metadata__"}


def read_rows(path: Path, tensor: str, rows: Sequence[int]) -> list[bytes]:
    """The bytes of rows of a matrix in a safetensors file; raises `UserError` for a row that it does not have."""
    entry = weights_header(path)[tensor]
    start, end = entry["data_offsets"]
    size = (end - start) // entry["shape"][0]
    found = []
    with open(path, "rb") as file:
        start += 8 + int.from_bytes(file.read(8), "little")  # the data begin after the header
        for row in rows:
            if not 0 <= row < entry["shape"][0]:
                raise UserError(f"{path}: {tensor} has {entry['shape'][0]} rows, none for token id {row}")
            file.seek(start + row * size)
            found.append(file.read(size))
    return found


def read_json(path: Path) -> dict:
    """A JSON file of a model folder; raises `UserError` if it is missing or damaged."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing; give the folder of a complete Hugging Face model") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is damaged ({error}); fetch the model again") from None
