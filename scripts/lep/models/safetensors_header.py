"""Weights on disk, read without torch: headers of safetensors files, the file of each tensor, single rows."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from lep.config import UserError
from lep.files import read_object

INPUT, HEAD = "model.embed_tokens.weight", "lm_head.weight"  # names of the two matrices in all supported models
CONFIG, INDEX, SINGLE = "config.json", "model.safetensors.index.json", "model.safetensors"
_LONGEST_HEADER = 100_000_000  # bytes, by the format
_PLAIN = ("F64", "F32", "F16", "BF16")
_QUANTISED_FILES = ("quantize_config.json", "quant_config.json", "hf_quant_config.json")
# Names that GPTQ, AWQ, bitsandbytes, compressed-tensors, FP8 and MXFP4 give to their parts.
_QUANTISED_NAME = re.compile(
    r"\.(qweight|qzeros|scales|g_idx|SCB|CB|absmax|quant_map|nested_absmax|nested_quant_map|weight_packed|weight_shape)$"
    r"|weight_scale|input_scale|[kv]_scale$|scale_inv|zero_point$|quant_state|\.absmax"
)
_LAYER = re.compile(r"model\.layers\.(\d+)\.")
_VOCABULARY_NAME = re.compile(r"embed|head\b|_head")


def weight_map(folder: Path) -> dict[str, str]:
    """File name of each tensor: of `model.safetensors` if there is one, else by the index, as transformers reads them.

    Raises `UserError` for a folder without safetensors, an index that does not list the tensors of its files exactly,
    and quantised weights.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder; give the folder of a Hugging Face model")
    listed = _listed(folder / INDEX) if (folder / INDEX).is_file() else None
    if (folder / SINGLE).is_file():
        # An index of other files is left over from an earlier save.
        listed = {name: file for name, file in (listed or {}).items() if file == SINGLE}
        headers = {SINGLE: weights_header(folder / SINGLE)}
        listed = listed or dict.fromkeys(headers[SINGLE], SINGLE)
    elif listed is not None:
        if lacking := sorted(file for file in set(listed.values()) if not (folder / file).is_file()):
            raise UserError(f"{folder / INDEX} names {lacking[0]}, which is not in {folder}; fetch the model again")
        headers = {file: weights_header(folder / file) for file in sorted(set(listed.values()))}
    else:
        raise _no_weights(folder)
    found = {(name, file) for file, entries in headers.items() for name in entries}
    if differ := sorted(found ^ set(listed.items())):
        name, file = differ[0]
        has, lacks = (file, INDEX) if differ[0] in found else (INDEX, file)
        raise UserError(
            f"{folder}: {has} has the tensor {name}, which {lacks} lacks ({len(differ)} such tensors); the model would "
            "be loaded without it, or with random numbers: fetch the model again"
        )
    refuse_quantised(folder, {name: entry for entries in headers.values() for name, entry in entries.items()})
    return listed


def _listed(index: Path) -> dict[str, str]:
    listed = read_json(index).get("weight_map")
    if not isinstance(listed, dict) or not listed or not all(isinstance(file, str) for file in listed.values()):
        raise UserError(f"{index} is damaged: it has no weight_map of tensors and files; fetch the model again")
    if outside := sorted(file for file in listed.values() if Path(file).name != file):
        raise UserError(f"{index} names {outside[0]}, which is not in {index.parent}; fetch the model again")
    return listed


def _no_weights(folder: Path) -> UserError:
    if any(folder.glob("*.gguf")):
        return UserError(
            f"{folder} has only GGUF weights, which are quantised; use the original model (its safetensors revision)"
        )
    if any(True for pattern in ("*.bin", "*.pt", "*.pth") for _ in folder.glob(pattern)):
        return UserError(
            f"{folder} has only pickled weights, which are never opened; "
            "use a safetensors revision of the model, or convert it where you trust it (save_pretrained)"
        )
    return UserError(f"{folder} has no {INDEX} and no {SINGLE}; give the folder of a Hugging Face model")


def refuse_quantised(folder: Path, entries: Mapping[str, dict]) -> None:
    """Raise `UserError` if weights are quantised (GPTQ, AWQ, bitsandbytes, FP8 ...): alone they are no model."""
    settings = read_json(folder / CONFIG) if (folder / CONFIG).is_file() else {}
    signs = [f"{key} in {CONFIG}" for key in ("quantization_config", "compression_config") if settings.get(key)]
    signs += [file for file in _QUANTISED_FILES if (folder / file).is_file()]
    signs += [
        f"the tensor {name} of type {entry['dtype']}"
        for name, entry in sorted(entries.items())
        if _QUANTISED_NAME.search(name) or not _is_plain(name, entry["dtype"])
    ]
    if signs:
        raise UserError(
            f"{folder} holds quantised weights ({signs[0]}); use the model as it was before, in bfloat16, float16 or "
            "float32 (load it with transformers, `dequantize()`, save_pretrained)"
        )


def _is_plain(name: str, dtype: str) -> bool:
    """Whether a tensor may be weights as they were trained; buffers may be of any type."""
    return dtype in _PLAIN or (not dtype.startswith("F") and not name.endswith(("weight", "_blocks", "_scales")))


def weights_header(path: Path) -> dict[str, dict]:
    """Tensor entries (dtype, shape, data_offsets) of a safetensors file; raises `UserError` for any other file."""
    remedy = "is not a safetensors file or is truncated; fetch the model again"
    try:
        with open(path, "rb") as file:
            size, end = int.from_bytes(file.read(8), "little"), path.stat().st_size - 8
            if size > _LONGEST_HEADER:
                raise UserError(f"{path} {remedy} (its header has {size} bytes, the format allows {_LONGEST_HEADER})")
            if not 2 <= size <= end:
                raise UserError(f"{path} {remedy}")
            entries = json.loads(file.read(size))
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError):
        raise UserError(f"{path} {remedy} (its header is not JSON)") from None
    if not isinstance(entries, dict):
        raise UserError(f"{path} {remedy} (its header is no JSON object)")
    entries = {name: entry for name, entry in entries.items() if name != "__metadata__"}
    for name, entry in entries.items():
        if not _is_entry(entry, end - size):
            raise UserError(f"{path} {remedy} (the entry of {name} is wrong)")
    return entries


def _is_entry(entry: object, size: int) -> bool:
    """Whether an entry of a header is a tensor inside the `size` bytes of data."""
    if not isinstance(entry, dict) or not isinstance(entry.get("dtype"), str):
        return False
    shape, offsets = entry.get("shape"), entry.get("data_offsets")
    whole = all(isinstance(v, list) and all(type(n) is int and n >= 0 for n in v) for v in (shape, offsets))
    return whole and len(offsets) == 2 and offsets[0] <= offsets[1] <= size


def vocabulary_tensors(folder: Path, rows: int) -> list[str]:
    """Sorted names of the tensors besides the two matrices that have one entry for each of the `rows` of the matrices.

    Inside a layer only those of an embedding or a head count: other tensors may have this size by chance.
    """
    found = []
    for file in sorted(set(weight_map(folder).values())):
        for name, entry in weights_header(folder / file).items():
            inside = ".layers." in name and not _VOCABULARY_NAME.search(name)
            if name not in (INPUT, HEAD) and entry["shape"][:1] == [rows] and not inside:
                found.append(name)
    return sorted(found)


def check_body(folder: Path) -> None:
    """Raise `UserError` if a model cannot get a new vocabulary: its body follows the old one."""
    folder = Path(folder)
    weights = weight_map(folder)
    if INPUT not in weights:
        return
    rows = weights_header(folder / weights[INPUT])[INPUT]["shape"][0]
    if names := vocabulary_tensors(folder, rows):
        raise UserError(
            f"{folder}: {', '.join(names[:3])} has an entry for each of the {rows} rows of the vocabulary, and would "
            "not fit a new one; only models whose input embeddings and head alone follow the vocabulary can be used "
            "(no bias of the head)"
        )
    layers = read_json(folder / CONFIG).get("num_hidden_layers")
    present = {int(found[1]) for name in weights if (found := _LAYER.match(name))}
    if type(layers) is int and (lacking := sorted(set(range(min(layers, 10_000))) - present)):
        raise UserError(
            f"{folder}: {CONFIG} has {layers} layers, but the weights lack layer {lacking[0]}, which would be drawn at "
            "random; fetch the model again"
        )


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
    """A JSON object in a file of a model folder; raises `UserError` if it is missing or damaged."""
    return read_object(path, "fetch the model again, or give the folder of a complete Hugging Face model")
