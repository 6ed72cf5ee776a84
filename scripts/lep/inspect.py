"""Print facts about the tokenizer and the matrices of a model folder: `python -m lep.inspect DIR [--against DIR]`."""

import argparse
from pathlib import Path

import torch

from lep.log import logged
from lep.models.folder import byte_view, is_tied, load_tokenizer, read_matrix, tokenizer_sha256
from lep.models.safetensors_header import weight_map
from lep.propagation.initialise import EMPTY_NORM
from lep.propagation.sparse import BLOCK_ROWS
from lep.vocabulary.byte_view import overlap, readable_overlap


def tokenizer_facts(folder: Path) -> dict[str, object]:
    """Kind, sizes and hash of a folder's tokenizer."""
    tokenizer = load_tokenizer(folder)
    view = byte_view(folder)
    known = [data for data in view.data if data is not None]
    named = sum(token is not None for token in view.tokens)
    return {
        "kind": f"{view.kind} {type(view.backend.model).__name__}",
        "tokens": len(view),
        "unused ids": len(view) - named,
        "added tokens": len(view.added),
        "special tokens": ", ".join(f"{role}={name!r}" for role, name in tokenizer.special_tokens_map.items()),
        "tokens with equal bytes": len(known) - len(set(known)),
        "single bytes covered": sum(bool(view.split(bytes([byte]))) for byte in range(256)),
        "chat template": "yes" if tokenizer.chat_template else "no",
        "tokenizer sha256": tokenizer_sha256(folder),
    }


def matrix_facts(folder: Path, which: str) -> dict[str, object]:
    """Shape, number type and row norms of the matrix `input` or `head`."""
    matrix = read_matrix(folder, which)
    norms = torch.cat([torch.linalg.vector_norm(part.double(), dim=1) for part in matrix.split(BLOCK_ROWS)])
    return {
        f"{which} matrix": f"{matrix.shape[0]} x {matrix.shape[1]} {str(matrix.dtype).removeprefix('torch.')}",
        f"{which} row norms": f"least {norms.min():.4g}, mean {norms.mean():.4g}, greatest {norms.max():.4g}",
        f"{which} empty rows": int((norms < EMPTY_NORM).sum()),
    }


def inspect_folder(folder: Path, against: Path | None = None) -> dict[str, object]:
    """All facts of a model or tokenizer folder; with `against`, also the number of tokens shared with that vocabulary.

    Raises `UserError` for a folder without tokenizer and for a model without safetensors.
    """
    facts = tokenizer_facts(folder)
    if (Path(folder) / "config.json").is_file():
        weight_map(folder)  # raises for missing and pickled weights
        tied = is_tied(folder)
        facts["head tied to input"] = "yes" if tied else "no"
        for which in ("input",) if tied else ("input", "head"):
            facts |= matrix_facts(folder, which)
    if against:
        old, new = byte_view(against), byte_view(folder)
        facts[f"tokens of {against} shared by bytes"] = f"{len(overlap(old, new))} of {len(old)}"
        facts[f"tokens of {against} shared by readable string"] = len(readable_overlap(old, new))
    return facts


def main() -> None:
    """Command line of the module."""
    parser = argparse.ArgumentParser(prog="python -m lep.inspect", description=__doc__.split(":")[0] + ".")
    parser.add_argument("folder", type=Path, metavar="DIR", help="model or tokenizer folder")
    parser.add_argument("--against", type=Path, metavar="DIR", help="folder of an older vocabulary to compare with")
    arguments = parser.parse_args()
    with logged():
        for name, value in inspect_folder(arguments.folder, arguments.against).items():
            print(f"{name}: {value}")


if __name__ == "__main__":
    main()
