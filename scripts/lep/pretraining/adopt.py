"""Use a published model as the result of an embedding pre-training, instead of training (`donor: published`).

    python -m lep.pretraining.adopt --config job.json

The model must be the base with another vocabulary and other matrices: its body is compared tensor by tensor. It becomes
the only checkpoint of the run. As in a training, checkpoint and initial model are scored on the held-out text.
"""

from pathlib import Path

import torch
from pydantic.dataclasses import dataclass

from lep.compute.determinism import prepare_torch, resolve_device
from lep.config import STRICT, UserError
from lep.files import write_json, write_text
from lep.log import logger, run_job
from lep.manifest import publish, staging, with_manifest
from lep.models.folder import Embeddings, load_tokenizer, open_weights, parse_dtype, read_embeddings
from lep.models.safetensors_header import HEAD, INPUT, weight_map
from lep.models.store import copy_tokenizer, derive_model, load_model
from lep.pretraining.validation import ValidationRecipe, load_validation, validate
from lep.vocabulary.tokenizer_file import rows_of

RECIPE_VERSION = 1
CHECKPOINT = "cpt-100"


@dataclass(frozen=True, config=STRICT)
class AdoptJob:
    """Settings of one published model."""

    base: Path  # source model with the original vocabulary
    model: Path  # initialised model with the donor's vocabulary
    donor: Path  # the published model
    validation: Path  # JSONL file of held-out documents
    models: Path  # folder to write the checkpoint to
    output: Path  # folder to write the facts of the run to
    validation_recipe: ValidationRecipe
    steps: int  # of the published training, for its place in figures; 0 = not known
    tokens_per_step: int  # of the published training
    seed: int
    threads: int  # CPU threads of torch
    device: str  # auto, cpu or cuda
    dtype: str  # number type of the model, a torch name
    recipe_version: int = RECIPE_VERSION


def adopt_donor(job: AdoptJob) -> None:
    """Publish the checkpoint and the facts of its run; raises `UserError` if its body is not the base's."""
    prepare_torch(job.threads, job.seed)
    check_body(job.donor, job.base, job.dtype)
    kind = parse_dtype(job.dtype)
    read = read_embeddings(job.donor)
    embeddings = Embeddings(read.input.to(kind), None if read.head is None else read.head.to(kind))
    causal = load_model(job.model, job.dtype, resolve_device(job.device))
    texts = load_validation(job.validation, job.model, job.validation_recipe)
    scores = [_scored("init", 0, causal, texts, job)]
    _set_matrices(causal, embeddings)
    scores.append(_scored(CHECKPOINT, job.steps, causal, texts, job))
    parents = with_manifest({"model": job.model, "donor": job.donor})
    common = {"recipe_version": job.recipe_version, "seed": job.seed, "parents": parents}
    target = job.models / CHECKPOINT
    derive_model(job.base, embeddings, job.donor, target, facts=scores[1], **common)
    trained = sum(matrix.numel() for matrix in embeddings.matrices().values())
    facts = {"steps": job.steps, "trained_tokens": scores[1]["trained_tokens"], "trained_parameters": trained}
    folder = staging(job.output)
    write_text(folder / "log.jsonl", "")  # empty: it was trained elsewhere
    write_json(folder / "metrics.json", {**facts, "checkpoints": scores})
    publish(folder, job.output, facts=facts, config={"donor": "published"}, **common)


def adopt_vocabulary(donor: Path, kind: str, target: Path) -> None:
    """Publish the tokenizer of a published model as the vocabulary `kind`."""
    rows = rows_of(load_tokenizer(donor))
    folder = staging(target)
    copy_tokenizer(donor, folder)
    facts = {"rows": rows, "kind": kind}
    publish(folder, target, recipe_version=RECIPE_VERSION, config={"kind": kind, "donor": "published"}, facts=facts)


def check_body(donor: Path, base: Path, dtype: str) -> None:
    """Raise `UserError` if the bodies of donor and base differ, both converted to `dtype`."""
    theirs, ours = ({n: f for n, f in weight_map(m).items() if n not in (INPUT, HEAD)} for m in (donor, base))
    if set(theirs) != set(ours):
        names = sorted(set(theirs) ^ set(ours))[:3]
        raise UserError(
            f"{donor} has another architecture than {base}: only one of them has {', '.join(names)}; name another "
            "model, or set `donor: trained`"
        )
    kind = parse_dtype(dtype)
    for name in sorted(ours):
        with open_weights(donor / theirs[name]) as their_file, open_weights(base / ours[name]) as our_file:
            if not torch.equal(their_file.get_tensor(name).to(kind), our_file.get_tensor(name).to(kind)):
                raise UserError(
                    f"{donor}: the body differs from the body of {base} ({name}), but only the matrices of a donor may "
                    "be trained; name another model, or set `donor: trained`"
                )
    logger.info("%s has the same body as %s", donor, base)


def _set_matrices(causal: torch.nn.Module, embeddings: Embeddings) -> None:
    device = next(causal.parameters()).device
    causal.get_input_embeddings().weight = torch.nn.Parameter(embeddings.input.to(device), requires_grad=False)
    head = embeddings.input if embeddings.head is None else embeddings.head
    causal.get_output_embeddings().weight = torch.nn.Parameter(head.to(device), requires_grad=False)


def _scored(name: str, step: int, causal: torch.nn.Module, texts: list, job: AdoptJob) -> dict:
    scores = {key: round(value, 6) for key, value in validate(causal, texts, job.validation_recipe).items()}
    logger.info("%s: %.4f bits per character", name, scores["bits_per_character"])
    return {"name": name, "step": step, "trained_tokens": step * job.tokens_per_step, **scores}


if __name__ == "__main__":
    run_job(adopt_donor, AdoptJob, __doc__)
