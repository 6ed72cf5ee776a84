"""What a model knows of its languages, and how fast it writes: no benchmark, but measures that small models can move.

    python -m lep.evaluation.language --config job.json

- Bits per character of held-out text in each language: what is learnt of one, and forgotten of another.
- Ranking: how often the true next paragraph is more probable per character than three paragraphs of other documents.
- Copying: how many tokens of a paragraph the model predicts when it has just read the same paragraph.
- Characters per second of generated text, and the memory of the matrices.

Speeds depend on the machine, so they are in `run.json`; `measures.csv` is the same in each run.
"""

import json
import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from pydantic.dataclasses import dataclass
from torch.nn import functional

from lep.compute.determinism import prepare_torch, resolve_device
from lep.config import STRICT, UserError
from lep.evaluation.harness import Model
from lep.files import read_jsonl, sha256_file, sha256_json, write_csv, write_json
from lep.log import logger, run_job
from lep.manifest import MANIFEST, RUN, publish, read_manifest, run_record, staging, with_manifest
from lep.models.adapter import is_calibrated, load_calibrated
from lep.models.folder import load_tokenizer
from lep.models.store import load_model
from lep.pretraining.validation import ValidationRecipe, load_validation, validate

RECIPE_VERSION = 2
MEASURES = "measures.csv"
COLUMNS = ("model", "measure", "language", "value", "n")
OPTIONS = 4  # of a ranking; the chance level is 1 / OPTIONS
BATCHES = (1, 16)  # prompts that are answered at once, for the speed
_PARAGRAPH = (30, 200)  # shortest and longest paragraph of a ranking, in characters
_PROMPT = 200  # characters of a prompt, for the speed


@dataclass(frozen=True, config=STRICT)
class LanguageJob:
    """Settings of one job: the models of one vocabulary."""

    models: list[Model]
    validation: Path  # JSONL of held-out documents
    recipe: ValidationRecipe  # the text whose bits per character are measured
    rankings: int  # questions per language; 0 = none
    speed_tokens: int  # tokens that each prompt is continued with; 0 = no speed
    work: Path  # folder of the measures of finished models; a restarted job continues from it
    output: Path  # folder to publish
    threads: int  # CPU threads of torch
    seed: int
    device: str  # cpu, cuda or auto
    dtype: str  # number type of the weights
    recipe_version: int = RECIPE_VERSION


@dataclass(frozen=True, config=STRICT)
class Ranking:
    """One question: which paragraph follows?"""

    context: str
    options: list[str]  # the true one first


def measure(job: LanguageJob) -> None:
    """Publish `measures.csv`, one row per model, measure and language. Raises `UserError` for too little text."""
    prepare_torch(job.threads, job.seed)
    rankings = {code: choose_rankings(job.validation, code, job.rankings, job.seed) for code in job.recipe.languages}
    results = [_measured(model, rankings, job) for model in job.models]
    folder = staging(job.output)
    rows = [(model.name, *row) for model, result in zip(job.models, results, strict=True) for row in result["rows"]]
    write_csv(folder / MEASURES, COLUMNS, rows)
    publish(
        folder,
        job.output,
        recipe_version=job.recipe_version,
        parents=with_manifest({model.name: Path(model.path) for model in job.models}),
        seed=job.seed,
        config=_settings(job),
    )
    speeds = {model.name: result["speed"] for model, result in zip(job.models, results, strict=True)}
    write_json(job.output / RUN, {**run_record(), "characters_per_second": speeds})


def _settings(job: LanguageJob) -> dict:
    """What decides the measures, without paths."""
    return {
        "recipe": dict(vars(job.recipe)),
        "rankings": job.rankings,
        "speed_tokens": job.speed_tokens,
        "dtype": job.dtype,
        "device": job.device,
        "threads": job.threads,
        "validation_sha256": sha256_file(job.validation),
    }


def _measured(entry: Model, rankings: dict[str, list[Ranking]], job: LanguageJob) -> dict:
    """Rows and speed of one model; those that an interrupted job has left, if its settings were the same."""
    folder = Path(entry.path)
    state = sha256_file(folder / MANIFEST) if (folder / MANIFEST).is_file() else entry.path
    identity = sha256_json([job.recipe_version, job.seed, _settings(job), state])
    kept = job.work / f"{entry.name.replace('/', '__')}.json"
    if kept.is_file() and (found := json.loads(kept.read_text(encoding="utf-8")))["identity"] == identity:
        return found
    logger.info("measuring %s", entry.name)
    device = resolve_device(job.device)
    if is_calibrated(folder):
        (model, tokenizer), encoder = (
            load_calibrated(folder, device),
            folder / read_manifest(folder)["config"]["parent"],
        )
    else:
        model, tokenizer, encoder = load_model(folder, job.dtype, device), load_tokenizer(folder), folder
    model.eval()
    texts = load_validation(job.validation, encoder, job.recipe)
    bits = validate(model, texts, job.recipe)
    rows = []
    for text in texts:
        code, tokens = text.language, sum(len(ids) - 1 for ids in text.ids)
        rows.append(("bits_per_character", code, f"{bits[f'bits_per_character_{code}']:.4f}", text.characters))
        rows.append(("characters_per_token", code, f"{text.characters / tokens:.3f}", tokens))
        if found := rankings[code]:
            right = sum(_ranks_first(model, tokenizer, ranking) for ranking in found)
            rows.append(("next_paragraph", code, f"{right / len(found):.3f}", len(found)))
            copied = torch.cat([_copied(model, tokenizer, ranking.context) for ranking in found])
            rows.append(("copied_tokens", code, f"{copied.float().mean().item():.3f}", len(copied)))
    matrices = {id(p): p for p in (model.get_input_embeddings().weight, model.get_output_embeddings().weight)}
    size = sum(p.numel() * p.element_size() for p in matrices.values())
    rows.append(("matrices_megabytes", "", f"{size / 1e6:.1f}", len(matrices)))
    result = {"identity": identity, "rows": rows, "speed": _speeds(model, tokenizer, job)}
    write_json(kept, result)
    return result


def choose_rankings(documents: Path, language: str, count: int, seed: int) -> list[Ranking]:
    """Questions from neighbouring paragraphs of held-out documents; at most one begins in a document.

    Wrong options come from other documents. Raises `UserError` if there are fewer documents than questions.
    """
    if not count:
        return []
    found = []
    for document in read_jsonl(documents):
        if document["language"] == language:
            texts = [paragraph["text"] for paragraph in document["paragraphs"]]
            usable = [_PARAGRAPH[0] <= len(text) <= _PARAGRAPH[1] for text in texts]
            if places := [i for i in range(len(texts) - 1) if usable[i] and usable[i + 1] and texts[i] != texts[i + 1]]:
                found.append((texts, places))
    rng = random.Random(f"{seed}/{language}")
    pairs = [(texts[place], texts[place + 1]) for texts, places in found for place in [rng.choice(places)]]
    if len(pairs) < count or len({text for _, text in pairs}) < OPTIONS:
        raise UserError(
            f"{documents}: {len(pairs)} documents in {language!r} have neighbouring paragraphs of {_PARAGRAPH[0]} to "
            f"{_PARAGRAPH[1]} characters, but {max(count, OPTIONS)} are needed; lower evaluation.language.rankings, or "
            "raise corpus.validation_fraction"
        )
    questions = []
    for index in rng.sample(range(len(pairs)), count):
        context, true = pairs[index]
        others = list(dict.fromkeys(text for i, (_, text) in enumerate(pairs) if i != index and text != true))
        questions.append(Ranking(context, [true, *rng.sample(others, OPTIONS - 1)]))
    return questions


@torch.no_grad()
def _ranks_first(model: torch.nn.Module, tokenizer, ranking: Ranking) -> bool:
    """Whether the true option has the highest mean log-probability per character; with equal ones it does not count."""
    scores = [_log_probability(model, tokenizer, ranking.context, text) / len(text) for text in ranking.options]
    return scores[0] > max(scores[1:])


def _log_probability(model: torch.nn.Module, tokenizer, context: str, text: str) -> float:
    """Log-probability in nats of `text` as the line after `context`."""
    logits, ids = _predictions(model, tokenizer, context, text)
    return -functional.cross_entropy(logits.float(), ids, reduction="none").cpu().sum().item()


@torch.no_grad()
def _copied(model: torch.nn.Module, tokenizer, text: str) -> torch.Tensor:
    """For each token of `text` whether it is the most probable one, when the line before is `text` too; (tokens,)."""
    logits, ids = _predictions(model, tokenizer, text, text)
    return (logits.argmax(-1) == ids).cpu()


def _predictions(model: torch.nn.Module, tokenizer, context: str, text: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (tokens, rows) and ids (tokens,) of all tokens that end inside `text`, the line after `context`."""
    before = f"{context}\n"
    encoded = tokenizer(before + text, add_special_tokens=False, return_offsets_mapping=True)
    start = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    ids = torch.tensor([*start, *encoded["input_ids"]], device=model.device)
    counted = torch.tensor([False] * len(start) + [end > len(before) for _, end in encoded["offset_mapping"]])[1:]
    counted = counted.to(model.device)
    return model(ids[None]).logits[0, :-1][counted], ids[1:][counted]


@torch.no_grad()
def _speeds(model: torch.nn.Module, tokenizer, job: LanguageJob) -> dict[str, float]:
    """Characters per second of greedy text in the first language, by the number of prompts at once."""
    if not job.speed_tokens:
        return {}
    prompts = list(_prompts(job.validation, job.recipe.languages[0], max(BATCHES)))
    tokenizer.padding_side = "left"
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    speeds = {}
    for batch in BATCHES:
        inputs = tokenizer(prompts[:batch], add_special_tokens=False, padding=True, return_tensors="pt").to(
            model.device
        )
        options = {"max_new_tokens": job.speed_tokens, "min_new_tokens": job.speed_tokens, "do_sample": False}
        start = time.perf_counter()
        answers = model.generate(
            **{k: inputs[k] for k in ("input_ids", "attention_mask")}, **options, pad_token_id=tokenizer.pad_token_id
        )
        seconds = time.perf_counter() - start
        texts: Sequence[str] = tokenizer.batch_decode(answers[:, inputs["input_ids"].shape[1] :])
        speeds[str(batch)] = round(sum(map(len, texts)) / seconds, 2)
    return speeds


def _prompts(documents: Path, language: str, count: int) -> Iterator[str]:
    """Beginnings of held-out documents; repeated if there are too few."""
    texts = [
        "\n".join(paragraph["text"] for paragraph in document["paragraphs"])[:_PROMPT]
        for document in read_jsonl(documents)
        if document["language"] == language
    ]
    if not texts:
        raise UserError(f"{documents} has no document in {language!r}; add text")
    yield from (texts[index % len(texts)] for index in range(count))


if __name__ == "__main__":
    run_job(measure, LanguageJob, __doc__)
