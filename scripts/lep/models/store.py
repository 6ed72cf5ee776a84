"""Model store: a model is a body, two embedding matrices and a tokenizer.

- The body (every tensor but input embeddings and head) of a source model is written once.
- A derived model links to it, and adds its own matrices, tokenizer and configuration.
- Each folder is an ordinary Hugging Face folder of safetensors; nothing is pickled, no remote code runs.
"""

import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file

from lep.files import sha256_file, sha256_json, write_json
from lep.log import logger
from lep.manifest import MANIFEST, publish, read_manifest, staging, with_manifest
from lep.models.folder import (
    CONFIG,
    Embeddings,
    check_ids,
    check_shapes,
    copy_tensors,
    load_tokenizer,
    parse_dtype,
    read_embeddings,
    tokenizer_file,
    tokenizer_sha256,
)
from lep.models.safetensors_header import HEAD, INDEX, INPUT, read_json, weight_map, weights_header

RECIPE_VERSION = 1
EMBEDDINGS, GENERATION = "embeddings.safetensors", "generation_config.json"
TEMPLATES = ("chat_template.jinja", "chat_template.json", "additional_chat_templates")
TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "tokenizer.model",
    *TEMPLATES,
)  # fmt: skip
_LEGAL = ("LICENSE*", "NOTICE*", "USE_POLICY*")
_ROLES = ("bos_token_id", "eos_token_id", "pad_token_id")


def import_model(source: Path, target: Path, dtype: str | None = None) -> None:
    """Split an ordinary Hugging Face folder into body and embeddings and publish it as a store folder.

    `source` has one or several safetensors files. `dtype` (for example "float32") converts every floating-point weight;
    None keeps them. Raises `UserError` for a folder without safetensors or tokenizer, and for a tokenizer with ids
    beyond the matrices.
    """
    source = Path(source)
    wanted = parse_dtype(dtype) if dtype else None
    weight_map(source)  # raises for a folder that is no model
    matrices = read_embeddings(source)
    tokenizer = load_tokenizer(source)
    rows = matrices.input.shape[0]
    check_ids(tokenizer, rows, source)
    folder = staging(target)
    placed, hashes = _place_body(source, folder, wanted, linked=False)
    if wanted:
        matrices = Embeddings(*(None if m is None else m.to(wanted) for m in (matrices.input, matrices.head)))
    _write_embeddings(matrices, folder, placed)
    _copy(source, folder, (*TOKENIZER_FILES, *_LEGAL))
    _write_config(source, tokenizer, tokenizer, matrices, folder)
    publish(
        folder,
        target,
        recipe_version=RECIPE_VERSION,
        parents=with_manifest({"source": source}),
        config={"dtype": dtype},
        facts=_facts(matrices, tokenizer, folder, hashes),
        hashes=hashes,
    )


def derive_model(
    parent: Path,
    embeddings: Embeddings,
    tokenizer: Path,
    target: Path,
    *,
    recipe_version: int,
    parents: Mapping[str, str | Path] | None = None,
    seed: int | None = None,
    config: Mapping | None = None,
    facts: Mapping | None = None,
) -> None:
    """Publish a model with the body of `parent`, new matrices and the tokenizer of folder `tokenizer`.

    - Body files are hard links to the parent's (symbolic links across file systems): the folder only costs its matrices
      and small files, and deleting it never harms the parent.
    - The configuration is the parent's with the new vocabulary size and special ids. Ids that only the configuration
      knows (several end-of-turn tokens) are mapped by token name.

    Raises `UserError` for matrices that do not fit the body, and for a tokenizer with ids beyond them.
    """
    parent, tokenizer = Path(parent), Path(tokenizer)
    # All checks come before the first file.
    check_shapes(embeddings, parent)
    new = load_tokenizer(tokenizer)
    check_ids(new, embeddings.input.shape[0], tokenizer)
    old = load_tokenizer(parent)
    folder = staging(target)
    placed, hashes = _place_body(parent, folder, linked=True)
    _write_embeddings(embeddings, folder, placed)
    _copy(parent, folder, _LEGAL)
    _copy(tokenizer, folder, TOKENIZER_FILES)
    # The tokenizer of a new vocabulary has no chat template: the model keeps its parent's.
    if not new.chat_template and old.chat_template:
        _copy(parent, folder, TEMPLATES)
    _write_config(parent, old, new, embeddings, folder)
    publish(
        folder,
        target,
        recipe_version=recipe_version,
        parents=parents,
        seed=seed,
        config=config,
        facts=_facts(embeddings, new, folder, hashes) | dict(facts or {}),
        hashes=hashes,
    )


def load_model(folder: Path, dtype: str = "auto", device: str = "cpu") -> torch.nn.Module:
    """The causal language model of a folder; `dtype` is a torch name ("float32") or "auto"."""
    tokenizer_file(folder)
    weight_map(folder)
    from transformers import AutoModelForCausalLM

    kind = dtype if dtype == "auto" else parse_dtype(dtype)
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=kind, local_files_only=True, use_safetensors=True, trust_remote_code=False
    )
    return model.to(device)


def _body_shards(weights: Mapping[str, str]) -> list[tuple[str, str, list[str], bool]]:
    """(source file, store file, body tensors, whether there are only body tensors) of each file with body tensors."""
    files: dict[str, list[str]] = {}
    for name, file in weights.items():
        files.setdefault(file, []).append(name)
    shards = []
    for file, names in sorted(files.items()):
        body = sorted(set(names) - {INPUT, HEAD})
        if body:
            shards.append((file, body, len(body) == len(names)))
    total = len(shards)
    return [
        (file, f"body-{number:05d}-of-{total:05d}.safetensors", body, pure)
        for number, (file, body, pure) in enumerate(shards, 1)
    ]


def _place_body(
    source: Path, folder: Path, dtype: torch.dtype | None = None, *, linked: bool
) -> tuple[dict[str, str], dict[str, str]]:
    """Put the body of `source` into `folder`; returns {tensor: file} and {file: sha256}.

    With `linked`, files that have only body tensors become links. All other files are written.
    """
    # Hashes from the parent's manifest: hashing a linked body again would read gigabytes.
    known = read_manifest(source)["files"] if linked and (source / MANIFEST).is_file() else {}
    placed, hashes = {}, {}
    for file, name, body, pure in _body_shards(weight_map(source)):
        path = folder / name
        if linked and pure:
            _link(source / file, path)
            hashes[name] = known.get(file) or sha256_file(path)
        else:
            copy_tensors(source / file, path, body, dtype)
            path.chmod(0o444)  # derived models will share it by hard links
            hashes[name] = sha256_file(path)
        placed |= dict.fromkeys(body, name)
    return placed, hashes


def _link(source: Path, target: Path) -> None:
    """Hard link, or a relative symbolic link if the file system allows no hard link.

    Never a copy (`lep.files.link_or_copy`): a body has gigabytes, and a derived model should only cost its matrices.
    """
    source = Path(source).resolve()
    try:
        os.link(source, target)
    except OSError:
        os.symlink(os.path.relpath(source, Path(target).parent.resolve()), target)


def _write_embeddings(embeddings: Embeddings, folder: Path, placed: Mapping[str, str]) -> None:
    names = {"input": INPUT, "head": HEAD}
    tensors = {names[which]: matrix.detach().cpu().contiguous() for which, matrix in embeddings.matrices().items()}
    if not embeddings.tied and tensors[INPUT].data_ptr() == tensors[HEAD].data_ptr():
        tensors[HEAD] = tensors[HEAD].clone()  # safetensors cannot save two tensors that share memory
    save_file(tensors, folder / EMBEDDINGS, {"format": "pt"})
    (folder / EMBEDDINGS).chmod(0o644)
    weights = dict(placed) | dict.fromkeys(tensors, EMBEDDINGS)
    headers = [weights_header(folder / file) for file in sorted(set(weights.values()))]
    size = sum(e["data_offsets"][1] - e["data_offsets"][0] for header in headers for e in header.values())
    write_json(folder / INDEX, {"metadata": {"total_size": size}, "weight_map": weights})


def _copy(source: Path, folder: Path, patterns: Iterable[str]) -> None:
    for path in sorted({path for pattern in patterns for path in source.glob(pattern)}):
        if path.is_dir():
            shutil.copytree(path, folder / path.name, dirs_exist_ok=True)
        else:
            shutil.copyfile(path, folder / path.name)


def _write_config(origin: Path, old, new, embeddings: Embeddings, folder: Path) -> None:
    """Configuration of `origin` with the vocabulary size, number type and special ids of the new model."""
    dtype = str(embeddings.input.dtype).removeprefix("torch.")
    settings = {k: v for k, v in read_json(origin / CONFIG).items() if k not in ("auto_map", "torch_dtype")}
    settings |= {"vocab_size": embeddings.input.shape[0], "dtype": dtype, "tie_word_embeddings": embeddings.tied}
    identified = _with_special_ids(settings, old, new)
    if settings.get("pad_token_id") is None and identified["pad_token_id"] in (new.bos_token_id, new.eos_token_id):
        identified["pad_token_id"] = None  # a padding row gets no gradient, and this one must learn
    write_json(folder / CONFIG, identified)
    generation = read_json(origin / GENERATION) if (origin / GENERATION).is_file() else {"_from_model_config": True}
    write_json(folder / GENERATION, _with_special_ids(generation, old, new))


def _with_special_ids(settings: dict, old, new) -> dict:
    """`settings` with every `*_token_id` mapped by token name; bos, eos and pad of the new tokenizer come first."""
    vocabulary = new.get_vocab()
    settings = dict(settings)
    for key in sorted({key for key in settings if key.endswith("_token_id")} | set(_ROLES)):
        value = settings.get(key)
        listed = value if isinstance(value, list) else [] if value is None else [value]
        names = [old.convert_ids_to_tokens(index) for index in listed]
        carried = [vocabulary[name] for name in names if name in vocabulary]
        if len(carried) < len(listed):
            logger.warning("%s: no token in the new vocabulary for ids %s", key, listed)
        role = getattr(new, key, None) if key in _ROLES else None
        if isinstance(value, list):
            settings[key] = list(dict.fromkeys([*carried, *([] if role is None else [role])]))
        else:
            settings[key] = role if role is not None else carried[0] if carried else None
    return settings


def _facts(embeddings: Embeddings, tokenizer, folder: Path, body_hashes: Mapping[str, str]) -> dict:
    rows, hidden = embeddings.input.shape
    tokens = 1 + max(tokenizer.get_vocab().values())
    return {
        "rows": rows,
        "tokens": tokens,
        "padded_rows": rows - tokens,
        "hidden_size": hidden,
        "tied": embeddings.tied,
        "dtype": str(embeddings.input.dtype).removeprefix("torch."),
        "tokenizer_sha256": tokenizer_sha256(folder),
        "body_sha256": sha256_json(body_hashes),
    }
