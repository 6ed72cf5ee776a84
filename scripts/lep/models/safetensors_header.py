"""Headers of safetensors files, read without torch."""

import json
from pathlib import Path

from lep.config import UserError


def weights_header(path: Path) -> dict[str, dict]:
    """Tensor entries (dtype, shape, data_offsets) of a safetensors file, without its data."""
    with open(path, "rb") as file:
        size = int.from_bytes(file.read(8), "little")
        if not 2 <= size <= path.stat().st_size - 8:
            raise UserError(f"{path} is not a safetensors file or was cut; fetch the model again")
        entries = json.loads(file.read(size))
    return {name: entry for name, entry in entries.items() if name != "__metadata__"}
