"""Bitwise comparison of single embedding rows between model folders, read from the files without any tensor library."""

import json
from pathlib import Path

from lep.config import UserError
from lep.models.safetensors_header import HEAD, INPUT, read_rows, weight_map


def differing_rows(model: Path, instruct: Path) -> list[str]:
    """Added tokens of both tokenizers whose rows differ, as `token (matrix)`; no token in common is an error."""
    new, old = added_tokens(model), added_tokens(instruct)
    common = sorted(new.keys() & old.keys())
    if not common:
        raise UserError(f"{model} and {instruct} have no added token in common; they are no relatives")
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
    """Added tokens of a folder's tokenizer.json with their ids."""
    state = json.loads((Path(folder) / "tokenizer.json").read_text(encoding="utf-8"))
    return {token["content"]: token["id"] for token in state["added_tokens"]}
