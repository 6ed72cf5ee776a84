"""Validation of a causal language model in bits per character, comparable across vocabularies."""

import hashlib
import math
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import torch
from pydantic.dataclasses import dataclass
from torch.nn import functional

from lep.config import STRICT, UserError
from lep.files import read_jsonl
from lep.pretraining.loss import body_dtype, final_hidden
from lep.pretraining.packing import encode_document, load_encoder

_POSITIONS_AT_ONCE = 2048  # positions whose logits exist at a time


@dataclass(frozen=True, config=STRICT)
class ValidationRecipe:
    """Which text is scored, and how."""

    languages: list[str]
    characters: int  # of each language, about: whole documents are scored
    window: int  # tokens
    batch_size: int = 16  # windows
    seed: int = 42  # of the choice of documents


@dataclass(frozen=True, config=STRICT)
class ScoredText:
    """Encoded documents of one language."""

    language: str
    ids: list[list[int]]  # token ids of each document, BOS first (if there is one), without EOS
    characters: int  # of all documents, for bits per character


def load_validation(documents: Path, tokenizer: Path, recipe: ValidationRecipe) -> list[ScoredText]:
    """The validation documents, encoded. Their choice does not depend on the tokenizer.

    Raises `UserError` if a language has no document.
    """
    encoder, special = load_encoder(tokenizer)
    by_language: dict[str, list[dict]] = defaultdict(list)
    for document in read_jsonl(documents):
        by_language[document["language"]].append(document)
    texts = []
    for language in recipe.languages:
        if not by_language[language]:
            raise UserError(f"{documents} has no document in {language!r}; remove it from corpus.languages or add text")
        ids, characters = [], 0
        for document in sorted(by_language[language], key=lambda d: _position(d, recipe.seed)):
            if characters >= recipe.characters:
                break
            encoded, length = encode_document(document, encoder, special)
            ids.append(encoded[:-1])  # EOS is no character
            characters += length
        texts.append(ScoredText(language, ids, characters))
    return texts


@torch.no_grad()
def validate(model: torch.nn.Module, texts: Iterable[ScoredText], recipe: ValidationRecipe) -> dict[str, float]:
    """Loss per token (nats) and bits per character, over all texts and by language.

    Every token but the first (BOS) is predicted exactly once, in windows of `recipe.window` tokens that overlap by
    one. Bits per character = sum of -log2 p(token) / characters.
    """
    was_training = model.training
    model.eval()
    totals = {}
    for text in texts:
        windows = [w for ids in text.ids for w in split_windows(ids, recipe.window)]
        tokens = sum(len(window) - 1 for window in windows)
        totals[text.language] = (_negative_log_likelihood(model, windows, recipe.batch_size), tokens, text.characters)
    model.train(was_training)
    nll, tokens, characters = (sum(column) for column in zip(*totals.values(), strict=True))
    return {
        "loss_per_token": nll / tokens,
        "bits_per_character": nll / math.log(2) / characters,
        "characters": characters,
        **{f"bits_per_character_{name}": n / math.log(2) / c for name, (n, _, c) in totals.items()},
    }


def split_windows(ids: list[int], window: int) -> list[list[int]]:
    """Windows of at most `window` tokens that overlap by one, so that each token but the first is a target once."""
    return [ids[start : start + window] for start in range(0, max(len(ids) - 1, 0), window - 1)]


def _negative_log_likelihood(model: torch.nn.Module, windows: list[list[int]], batch_size: int) -> float:
    device = next(model.parameters()).device
    head = model.get_output_embeddings().weight.to(body_dtype(model))
    total = 0.0
    windows = sorted(windows, key=len, reverse=True)  # similar lengths in a batch: little padding
    for start in range(0, len(windows), batch_size):
        batch = windows[start : start + batch_size]
        ids = torch.zeros(len(batch), len(batch[0]), dtype=torch.long)
        valid = torch.zeros(ids.shape, dtype=torch.bool)
        for row, window in enumerate(batch):
            ids[row, : len(window)] = torch.tensor(window)
            valid[row, : len(window)] = True
        ids, valid = ids.to(device), valid.to(device)[:, 1:]
        # Padding follows the text, where causal attention does not reach.
        hidden = final_hidden(model, ids)[:, :-1][valid]
        for part, targets in zip(
            hidden.split(_POSITIONS_AT_ONCE), ids[:, 1:][valid].split(_POSITIONS_AT_ONCE), strict=True
        ):
            total += functional.cross_entropy((part @ head.T).float(), targets, reduction="sum").item()
    return total


def _position(document: dict, seed: int) -> bytes:
    return hashlib.blake2b(f"{seed}/{document['source']}/{document['id']}".encode(), digest_size=8).digest()
