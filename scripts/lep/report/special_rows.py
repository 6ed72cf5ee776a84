"""Bitwise comparison of embedding rows between model folders, read from the files without a tensor library."""

import json
from pathlib import Path

from lep.config import UserError
from lep.models.safetensors_header import HEAD, INPUT, read_rows, weight_map


def differing_rows(model: Path, instruct: Path) -> list[str]:
    """Shared added tokens whose rows differ, as `token (matrix)`; `UserError` if the models share no added token."""
    new, old = added_tokens(model), added_tokens(instruct)
    common = sorted(new.keys() & old.keys())
    if not common:
        raise UserError(f"{model} and {instruct} share no added token; give models of the same family")
    sides = [(Path(model), weight_map(model), new), (Path(instruct), weight_map(instruct), old)]
    differing = []
    for matrix in (INPUT, HEAD):
        if any(matrix not in weights for _, weights, _ in sides):  # tied: the head is the input matrix
            continue
        rows = [
            read_rows(folder / weights[matrix], matrix, [tokens[name] for name in common])
            for folder, weights, tokens in sides
        ]
        differing += [f"{name} ({matrix})" for name, a, b in zip(common, *rows, strict=True) if a != b]
    return differing


def added_tokens(folder: Path) -> dict[str, int]:
    """Ids of the added tokens in a folder's tokenizer.json."""
    state = json.loads((Path(folder) / "tokenizer.json").read_text(encoding="utf-8"))
    return {token["content"]: token["id"] for token in state["added_tokens"]}
