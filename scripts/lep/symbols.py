"""Symbols per token of vocabularies on held-out text: the first column of the paper's Table 2."""

import csv
import io
from pathlib import Path

from tokenizers import Tokenizer

from lep.config import UserError
from lep.corpus import read_jsonl, text_of
from lep.manifest import write_text

LANGUAGES = ("ru", "en")
_BATCH = 512  # documents


def measure_vocabularies(tokenizers: dict[str, Path], documents: Path, target: Path) -> None:
    """Write rows (kind, model, name, value) to the CSV file `target`, for tokenizer folders by name.

    `symbols_per_token` is of Russian text, `symbols_per_token_en` of English; special tokens are not counted.
    Raises `UserError` where a language has no held-out document.
    """
    texts = {language: [] for language in LANGUAGES}
    for document in read_jsonl(documents):
        texts.get(document["language"], []).append(text_of(document))
    if empty := [language for language, found in texts.items() if not found]:
        raise UserError(f"{documents} has no document in {', '.join(empty)}; raise corpus.benchmark_fraction")
    rows = []
    for name, folder in tokenizers.items():
        tokenizer = Tokenizer.from_file(str(Path(folder) / "tokenizer.json"))
        for language, found in texts.items():
            key = "symbols_per_token" + ("" if language == "ru" else f"_{language}")
            rows.append(("vocabulary", name, key, f"{symbols_per_token(tokenizer, found):.6f}"))
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("kind", "model", "name", "value"), *rows])
    write_text(target, text.getvalue())


def symbols_per_token(tokenizer: Tokenizer, texts: list[str]) -> float:
    """Characters over tokens of all texts together."""
    tokens = 0
    for start in range(0, len(texts), _BATCH):
        batch = tokenizer.encode_batch_fast(texts[start : start + _BATCH], add_special_tokens=False)
        tokens += sum(len(encoding.ids) for encoding in batch)
    return sum(map(len, texts)) / tokens
