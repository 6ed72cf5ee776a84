"""Training of the stand-in models: a base and an instruct with about one million body parameters per family.

    python -m lep.stand_ins.train --config job.json

The mini run uses no model hub, so two small pairs replace Mistral-7B/OpenChat and Llama-3-8B/Instruct. The trained
models are shipped (`stand_ins: shipped`); `stand_ins: trained` trains them again.
"""

import json
from dataclasses import field
from pathlib import Path

import numpy as np
import torch
from pydantic.dataclasses import dataclass
from tokenizers import Tokenizer
from torch.nn.functional import cross_entropy
from tqdm import tqdm
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM

from lep.compute.determinism import prepare_torch
from lep.config import STRICT, UserError
from lep.files import read_jsonl, write_json, written_by_rename
from lep.log import logger, run_job
from lep.manifest import publish, staging
from lep.names import ROLES
from lep.stand_ins.batches import BaseBatches, Batches, InstructBatches
from lep.stand_ins.circuits import start_with_copying
from lep.stand_ins.tokenizer import instruct_tokenizer
from lep.vocabulary.build import save_tokenizer

RECIPE_VERSION = 3
# The usual 0.02 suits wide models; at width 128 it makes attention start too flat to learn.
INITIALIZER_RANGE = 0.06
ATTENTION = "eager"  # at these lengths and in bfloat16 a quarter faster to train on a CPU than fused attention
# As in Llama 3: codes of tokens are compared in rotary planes that turn little over the context.
ROPE = {"rope_type": "default", "rope_theta": 500_000.0}
ARCHITECTURES = {"mistral": (MistralConfig, MistralForCausalLM), "llama": (LlamaConfig, LlamaForCausalLM)}


@dataclass(frozen=True, config=STRICT)
class StandInJob:
    """Settings of the training of one stand-in model.

    Most steps use short sequences, which cost less; the last ones use the whole context, to train its far positions.
    """

    family: str  # mistral or llama
    role: str  # base or instruct
    corpus: str  # JSONL of training documents
    tokenizer: str  # folder of the family's original tokenizer
    output: str  # folder to publish
    work: str  # folder of the saved state; an interrupted training continues from it
    parent: str | None = None  # folder of the base model, for an instruct; None for a base
    hidden_size: int = 128
    intermediate_size: int = 256
    layers: int = 4
    heads: int = 4
    key_value_heads: int = 4
    context: int = 1024  # positions of the model, in tokens
    steps: int = 3000
    batch_tokens: int = 2048  # tokens per step
    length: int = 256  # tokens of a sequence, before the last `long_share` of the steps
    long_share: float = 0.1  # share of the steps, the last ones, with sequences of `context` tokens; 0 = none
    learning_rate: float = 3e-3  # highest learning rate
    warmup_steps: int = 100  # steps of linear warm-up
    russian: float = 0.1  # share of Russian blocks (base) or instructions (instruct)
    repeats: float = 0.05  # base: share of blocks with repeated random sequences
    pages: float = 0.6  # base: share of blocks with questions and answers; the rest is raw text
    kinds: dict[str, float] = field(default_factory=dict)  # instruct: factors of the shares of the kinds of questions
    save_every: int = 100  # steps between two saved states, and averaged in one line of the log
    seed: int = 42
    threads: int = 1  # CPU threads of torch
    recipe_version: int = RECIPE_VERSION


def train_stand_in(settings: StandInJob) -> None:
    """Train one stand-in model and publish it as float16 safetensors with its training log."""
    if settings.family not in ARCHITECTURES:
        raise UserError(f"unknown stand-in family {settings.family!r}; use one of {sorted(ARCHITECTURES)}")
    if settings.role not in ROLES:
        raise UserError(f"unknown role {settings.role!r} of a stand-in; use one of {', '.join(ROLES)}")
    prepare_torch(settings.threads, settings.seed)
    tokenizer, roles = _tokenizer(settings)
    model = _model(settings, tokenizer, roles)
    documents = {
        language: [d for d in read_jsonl(settings.corpus) if d["language"] == language] for language in ("en", "ru")
    }
    batches = (InstructBatches if settings.role == "instruct" else BaseBatches)(settings, tokenizer, roles, documents)
    log = _train(model, batches, settings)
    _publish(model, tokenizer, roles, log, settings)


def _tokenizer(settings: StandInJob) -> tuple[Tokenizer, dict]:
    folder = Path(settings.tokenizer)
    if settings.role == "instruct":
        return instruct_tokenizer(settings.family, folder)
    roles = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    return Tokenizer.from_file(str(folder / "tokenizer.json")), roles


def _model(settings: StandInJob, tokenizer: Tokenizer, roles: dict):
    rows = tokenizer.get_vocab_size(with_added_tokens=True)
    if settings.parent:
        model = AutoModelForCausalLM.from_pretrained(
            settings.parent, dtype=torch.float32, attn_implementation=ATTENTION
        )
        model.resize_token_embeddings(rows, mean_resizing=True)
        return model
    config_class, model_class = ARCHITECTURES[settings.family]
    model = model_class(
        config_class(
            vocab_size=rows,
            hidden_size=settings.hidden_size,
            intermediate_size=settings.intermediate_size,
            num_hidden_layers=settings.layers,
            num_attention_heads=settings.heads,
            num_key_value_heads=settings.key_value_heads,
            max_position_embeddings=settings.context,
            rope_parameters=ROPE,
            tie_word_embeddings=False,
            initializer_range=INITIALIZER_RANGE,
            attn_implementation=ATTENTION,
            bos_token_id=tokenizer.token_to_id(roles["bos_token"]),
            eos_token_id=tokenizer.token_to_id(roles["eos_token"]),
            **({"sliding_window": None} if settings.family == "mistral" else {}),
        )
    )
    start_with_copying(model, settings.seed)
    return model


def _train(model, batches: Batches, settings: StandInJob) -> list[dict]:
    """Train with linear warm-up and cosine decay; returns the log `[{"step", "loss"}, ...]`.

    The state is saved every `save_every` steps; a restarted job continues from it.
    """
    optimizers = _optimizers(model, settings)
    schedules = [torch.optim.lr_scheduler.LambdaLR(one, lambda step: _rate(step, settings)) for one in optimizers]
    state_file = Path(settings.work) / "state.pt"
    log: list[dict] = []
    done = 0
    # Continue an interrupted training: weights, optimisers, schedules and log are those of its last saved step.
    if state_file.is_file():
        state = torch.load(state_file, weights_only=True)
        model.load_state_dict(state["model"])
        for part, saved in zip((*optimizers, *schedules), state["optimizers"] + state["schedules"], strict=True):
            part.load_state_dict(saved)
        log, done = state["log"], state["step"]
        logger.info("resumed at step %d", done)
    running = 0.0
    for step in tqdm(range(done, settings.steps), initial=done, total=settings.steps, mininterval=10):
        loss = _loss(model, *batches.batch(step))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for part in (*optimizers, *schedules):
            part.step()
        model.zero_grad(set_to_none=True)
        running += loss.item()
        # Log the mean loss since the last line and save, in this order: the saved log then includes the line.
        if (step + 1) % settings.save_every == 0 or step + 1 == settings.steps:
            log.append({"step": step + 1, "loss": round(running / ((step % settings.save_every) + 1), 4)})
            logger.info("%s", log[-1])
            running = 0.0
            states = {
                "optimizers": [one.state_dict() for one in optimizers],
                "schedules": [one.state_dict() for one in schedules],
            }
            with written_by_rename(state_file) as partial:
                torch.save({"model": model.state_dict(), **states, "log": log, "step": step + 1}, partial)
    return log


def _loss(model, tokens: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Weighted mean of the cross-entropy of the next token; `tokens` and `weights` are (sequences, length).

    Layers compute in bfloat16, weights are float32. Logits are computed only where the next token has a weight, which
    saves most of the head's work.
    """
    with torch.autocast("cpu", torch.bfloat16):
        hidden = model.model(input_ids=tokens, use_cache=False).last_hidden_state[:, :-1]
        counted = weights[:, 1:] > 0
        logits = model.lm_head(hidden[counted])
    losses = cross_entropy(logits.float(), tokens[:, 1:][counted], reduction="none")
    return (losses * weights[:, 1:][counted]).sum() / weights[:, 1:].sum()


def _optimizers(model, settings: StandInJob) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the layers, which it trains in fewer steps, AdamW for embeddings, head and norms."""
    matrices = [p for p in model.model.layers.parameters() if p.ndim == 2]
    chosen = {id(parameter) for parameter in matrices}
    others = [p for p in model.parameters() if id(p) not in chosen]
    return [
        torch.optim.Muon(matrices, lr=settings.learning_rate, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=settings.learning_rate, betas=(0.9, 0.95), weight_decay=0.1),
    ]


def _rate(step: int, settings: StandInJob) -> float:
    """Factor of the learning rate: linear warm-up, then a cosine from 1 to 0.02."""
    warm = min(1.0, (step + 1) / settings.warmup_steps)
    return float(warm * (0.02 + 0.98 * 0.5 * (1 + np.cos(np.pi * step / settings.steps))))


def _publish(model, tokenizer: Tokenizer, roles: dict, log: list[dict], settings: StandInJob) -> None:
    folder = staging(settings.output)
    model.config.eos_token_id = model.generation_config.eos_token_id = tokenizer.token_to_id(roles["eos_token"])
    model.config.pad_token_id = model.generation_config.pad_token_id = tokenizer.token_to_id(roles["pad_token"])
    model.generation_config.bos_token_id = model.config.bos_token_id
    model.to(torch.float16).save_pretrained(folder)
    for path in folder.glob("*.safetensors"):
        path.chmod(0o644)
    save_tokenizer(tokenizer, roles, folder)
    write_json(folder / "training_log.json", log)
    apart = ("corpus", "tokenizer", "output", "work", "parent", "recipe_version")  # paths, and what has its own field
    recipe = {key: value for key, value in vars(settings).items() if key not in apart}
    facts = {"final_loss": log[-1]["loss"], "tokens": settings.steps * settings.batch_tokens}
    if settings.parent:
        facts |= _relative_change(Path(settings.parent), model)
    version = settings.recipe_version
    publish(folder, settings.output, recipe_version=version, seed=settings.seed, config=recipe, facts=facts)


def _relative_change(parent: Path, model) -> dict:
    """Relative change of the instruct's matrices: Frobenius norm of instruct - base over that of base."""
    base = AutoModelForCausalLM.from_pretrained(parent, dtype=torch.float32)
    change = {}
    for name, module in (("input", "get_input_embeddings"), ("head", "get_output_embeddings")):
        old = getattr(base, module)().weight.detach()
        new = getattr(model, module)().weight.detach().float()[: len(old)]
        change[f"{name}_change"] = round(float((new - old).norm() / old.norm()), 4)
    return change


if __name__ == "__main__":
    run_job(train_stand_in, StandInJob, __doc__)
