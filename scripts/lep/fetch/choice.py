"""Which files of a hub repository are fetched: those that are read, never pickles, never code.

Repositories hold more than a model: other formats of the same weights, checkpoints in folders, states of optimisers.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

from lep.config import UserError

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
LICENCES = ("README.md", "LICENSE*", "LICENCE*", "NOTICE*", "USE_POLICY*")
MODEL_FILES = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.json",
    "*.jinja",
    *LICENCES,
)
DATASET_FILES = ("*.parquet", "*.jsonl", "*.jsonl.gz", "*.jsonl.zst", "*.json")
_PICKLES = (".bin", ".pt", ".pth", ".ckpt")


def choose_model(
    repository: str, names: Iterable[str], subfolder: str, read_index: Callable[[str], bytes]
) -> dict[str, str]:
    """Paths in the repository of the files of a model, by their names in its folder on disk.

    - `names`: all paths of the repository
    - `subfolder`: its folder in the repository; empty: the top level
    - `read_index`: the content of the index of the weights, by its path

    Weights are those that the index names, else `model.safetensors`; configuration, tokenizer and licence that a
    sub-folder lacks come from the top level. Raises `UserError` where there are no such weights.
    """
    place = f"{subfolder}/" if subfolder else ""
    everything = set(names)
    inside = {name.removeprefix(place) for name in everything if name.startswith(place)}
    inside = {name for name in inside if "/" not in name}
    if not inside:
        folders = sorted({name.rpartition("/")[0] for name in everything} - {""})
        raise UserError(
            f"{repository} has no folder {subfolder}; " + (f"it has {', '.join(folders)}" if folders else "it has none")
        )
    weights = _weights(repository, place, inside, read_index)
    top = {name: name for name in everything if "/" not in name}
    small = top | {name: place + name for name in inside}
    chosen = {name: path for name, path in small.items() if _matches(name, MODEL_FILES)}
    return chosen | {name: place + name for name in weights}


def _weights(repository: str, place: str, inside: set[str], read_index: Callable[[str], bytes]) -> list[str]:
    where = f"{repository}/{place}".rstrip("/")
    if INDEX in inside:
        try:
            files = sorted(set(json.loads(read_index(place + INDEX))["weight_map"].values()))
        except (ValueError, KeyError, AttributeError, TypeError):
            raise UserError(f"{where}: {INDEX} is not an index of weights; name another revision") from None
        if missing := [file for file in files if file not in inside or not file.endswith(".safetensors")]:
            raise UserError(
                f"{where} lacks weights that its index names: {', '.join(map(str, missing[:3]))}; name another revision"
            )
        return [INDEX, *files]
    if WEIGHTS in inside:
        return [WEIGHTS]
    pickled = sorted(name for name in inside if name.endswith(_PICKLES))
    others = sorted(name for name in inside if name.endswith((".safetensors", ".gguf")))
    raise UserError(
        f"{where} has no safetensors of a model ({WEIGHTS} or {INDEX})"
        + (f", only {', '.join([*others, *pickled][:3])}" if others or pickled else "")
        + "; pickled weights are never loaded: name a revision, a repository or its `subfolder` with safetensors, or "
        "convert it where you trust it (save_pretrained) and name that folder as `path`"
    )


def choose_dataset(repository: str, names: Sequence[str]) -> dict[str, str]:
    """Paths of the files of a data set that can be read, in any folder, with its card; `UserError` without any."""
    chosen = [name for name in names if _matches(name, DATASET_FILES)]
    if not chosen:
        raise UserError(f"{repository} has no file of a readable type: {', '.join(DATASET_FILES)}")
    return {name: name for name in [*chosen, *(name for name in names if _matches(name, LICENCES))]}


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def total_size(sizes: Mapping[str, int]) -> str:
    """Number and bytes of files in words."""
    return f"{len(sizes)} files, {sum(sizes.values()) / 1e9:,.2f} GB"
