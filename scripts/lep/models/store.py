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

from lep.config import UserError
from lep.files import sha256_file, sha256_json, write_json
from lep.manifest import MANIFEST, publish, read_manifest, staging, with_manifest
from lep.models.folder import (
    Embeddings,
    check_ids,
    check_numbers,
    check_shapes,
    copy_tensors,
    load_tokenizer,
    open_config,
    parse_dtype,
    read_embeddings,
    short,
    tokenizer_file,
    tokenizer_sha256,
)
from lep.models.safetensors_header import CONFIG, HEAD, INDEX, INPUT, check_body, read_json, weight_map, weights_header
from lep.models.token_ids import renumbered
from lep.vocabulary.tokenizer_file import FAST, SETTINGS, TOKENIZER, read_settings, rows_of, says_all, write_tokenizer

RECIPE_VERSION = 1
EMBEDDINGS, GENERATION = "embeddings.safetensors", "generation_config.json"
TEMPLATES = ("chat_template.jinja", "chat_template.json", "additional_chat_templates")
# No `tokenizer.model`: libraries would make another tokenizer of it.
TOKENIZER_FILES = (TOKENIZER, SETTINGS, "special_tokens_map.json", *TEMPLATES)
_LEGAL = ("LICENSE*", "NOTICE*", "USE_POLICY*")


def import_model(source: Path, target: Path, dtype: str | None = None) -> None:
    """Split an ordinary Hugging Face folder into body and embeddings and publish it as a store folder.

    `source` has one or several safetensors files. `dtype` (for example "float32") converts every floating-point weight;
    None keeps them. Raises `UserError` for a folder without safetensors or tokenizer, for a tokenizer with ids beyond
    the matrices, and for weights with NaN.
    """
    source = Path(source)
    wanted = parse_dtype(dtype) if dtype else None
    # All checks come before the first file.
    weight_map(source)  # raises for a folder that is no model
    matrices = read_embeddings(source)
    tokenizer = load_tokenizer(source)
    check_ids(tokenizer, matrices.input.shape[0], source)
    check_body(source)
    if tokenizer.eos_token is None:
        raise UserError(f"{source / SETTINGS} names no eos_token, which ends a document in training; add it")
    _check_config(source, tokenizer)
    for path in _files(source, (CONFIG, GENERATION, "*.safetensors", *TOKENIZER_FILES, *_LEGAL)):
        _check_inside(path, source)
    check_numbers(source)
    folder = staging(target)
    placed, hashes = _place_body(source, folder, wanted, linked=False)
    if wanted:
        matrices = Embeddings(*(None if m is None else m.to(wanted) for m in (matrices.input, matrices.head)))
    _write_embeddings(matrices, folder, placed)
    _copy(source, folder, _LEGAL)
    copy_tokenizer(source, folder)
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
    check_body(parent)
    _check_config(parent, old)
    folder = staging(target)
    placed, hashes = _place_body(parent, folder, linked=True)
    _write_embeddings(embeddings, folder, placed)
    _copy(parent, folder, _LEGAL)
    copy_tokenizer(tokenizer, folder)
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
        # A copy of a file that says all of its tokenizer has the same hash: no need to read it.
        facts=_facts(embeddings, new, tokenizer if says_all(tokenizer) else folder, hashes) | dict(facts or {}),
        hashes=hashes,
    )


def load_model(folder: Path, dtype: str = "auto", device: str = "cpu") -> torch.nn.Module:
    """The causal language model of a folder; `dtype` is a torch name ("float32") or "auto".

    Raises `UserError` for weights that do not fit the configuration, or lack tensors.
    """
    tokenizer_file(folder)
    weight_map(folder)
    config = open_config(folder)
    from transformers import AutoModelForCausalLM

    kind = dtype if dtype == "auto" else parse_dtype(dtype)
    try:
        model, found = AutoModelForCausalLM.from_pretrained(
            folder, config=config, dtype=kind, local_files_only=True, use_safetensors=True, trust_remote_code=False,
            output_loading_info=True,
        )  # fmt: skip
    except (ValueError, RuntimeError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{folder}: weights and {CONFIG} make no model ({short(error)}); fetch it again") from None
    if missing := sorted(found["missing_keys"]):
        raise UserError(
            f"{folder} lacks the tensors {', '.join(missing[:3])} ({len(missing)}), which would be drawn at random; "
            "fetch or make the model again"
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
    """Copy regular files below `source`; raises `UserError` for a link that leads out of it."""
    for path in _files(source, patterns):
        _check_inside(path, source)
        if path.is_file():
            place = folder / path.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)


def _files(source: Path, patterns: Iterable[str]) -> list[Path]:
    found = sorted({path for pattern in patterns for path in source.glob(pattern)})
    return [path for entry in found for path in (sorted(entry.rglob("*")) if entry.is_dir() else [entry])]


def _check_inside(path: Path, folder: Path) -> None:
    """Raise `UserError` for a link that leads out of a model's folder; the hub's cache links to its folder of blobs."""
    places = [folder.resolve()]
    if folder.resolve().parent.name == "snapshots":
        places.append(folder.resolve().parents[1] / "blobs")
    if not any(path.resolve().is_relative_to(place) for place in places):
        raise UserError(f"{path} is a link that leads out of {folder}: not followed; put the file itself there")


def copy_tokenizer(source: Path, folder: Path) -> None:
    """Copy a tokenizer so that every loader reads `tokenizer.json` as it is, and none rebuilds it by class or model."""
    _copy(source, folder, TOKENIZER_FILES)
    write_tokenizer(source, folder)
    settings = {k: v for k, v in read_settings(source).items() if k not in ("auto_map", "added_tokens_decoder")}
    write_json(folder / SETTINGS, settings | {"tokenizer_class": FAST})


def _check_config(origin: Path, tokenizer) -> None:
    for name in (CONFIG, GENERATION):
        if (origin / name).is_file():
            renumbered(read_json(origin / name), tokenizer, tokenizer, origin / name)


def _write_config(origin: Path, old, new, embeddings: Embeddings, folder: Path) -> None:
    """Configuration of `origin` with the vocabulary size, number type and special ids of the new model."""
    dtype = str(embeddings.input.dtype).removeprefix("torch.")
    settings = {k: v for k, v in read_json(origin / CONFIG).items() if k not in ("auto_map", "torch_dtype")}
    settings |= {"vocab_size": embeddings.input.shape[0], "dtype": dtype, "tie_word_embeddings": embeddings.tied}
    identified = renumbered(settings, old, new, origin / CONFIG)
    pad = settings.get("pad_token_id")
    if (pad is None or pad < 0) and identified["pad_token_id"] in (new.bos_token_id, new.eos_token_id):
        identified["pad_token_id"] = None  # a padding row gets no gradient, and this one must learn
    write_json(folder / CONFIG, identified)
    generation = read_json(origin / GENERATION) if (origin / GENERATION).is_file() else {"_from_model_config": True}
    write_json(folder / GENERATION, renumbered(generation, old, new, origin / GENERATION))


def _facts(embeddings: Embeddings, tokenizer, tokenizer_folder: Path, body_hashes: Mapping[str, str]) -> dict:
    rows, hidden = embeddings.input.shape
    tokens = rows_of(tokenizer)
    return {
        "rows": rows,
        "tokens": tokens,
        "padded_rows": rows - tokens,
        "hidden_size": hidden,
        "tied": embeddings.tied,
        "dtype": str(embeddings.input.dtype).removeprefix("torch."),
        "tokenizer_sha256": tokenizer_sha256(tokenizer_folder),
        "body_sha256": sha256_json(body_hashes),
    }
