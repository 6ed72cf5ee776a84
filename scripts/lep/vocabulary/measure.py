"""Measure vocabularies on held-out text: length, use of rows, parity of languages, under-trained rows."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path

import numpy as np

from lep.config import UserError
from lep.corpus.documents import text_of
from lep.files import read_jsonl, write_csv
from lep.vocabulary.byte_view import ByteView
from lep.vocabulary.pieces import count_scripts, read_pieces
from lep.vocabulary.reach import decoded, unreachable_rows
from lep.vocabulary.tokenizer_file import load_backend
from lep.vocabulary.train import PIECES, sample_documents

LISTED = 10  # tokens in each list of `tokens.csv`
_BATCH = 512  # texts


def measure_vocabularies(
    tokenizers: dict[str, Path],
    heldout: Path,
    training: Path,
    metrics: Path,
    tokens: Path,
    *,
    models: Mapping[str, Path],
    languages: Mapping[str, str],
    characters: int,
    under_trained_below: int,
) -> None:
    """Measure tokenizer folders, named `{family}/{vocabulary}`, on documents; special tokens are never counted.

    `models`: folders of the SentencePiece models that new vocabularies are made from, by the same names. `languages`:
    scripts by language; the first language is the one that models are adapted to. At most `characters` of each kind of
    text are read. The CSV file `metrics` (kind, model, name, value) gets

    - `symbols_per_token`, `bytes_per_token`, `tokens_per_word` (fertility), `byte_share` (tokens that are one byte of a
      longer character): of text of the first language, and with `_{language}` of each other one
    - `size` (rows), `rows_used` (share of them that occurs in held-out text), `unreachable` (see `unreachable_rows`)
    - `under_trained`: rows that occur less than `under_trained_below` times in training text
    - `pieces_{script}`, `pieces_other`: pieces of its SentencePiece model by the scripts of the first two languages
    - `parity`: tokens of the first language per token of the second, in aligned paragraphs (if there are any)

    The CSV file `tokens` (model, list, rank, token, value) gets the longest new tokens and those most frequent in text
    of the first language. New tokens are those that the family's `original`, which comes first, lacks; of an original
    only the longest tokens are listed. Raises `UserError` if a language has no held-out document.
    """
    documents = {language: list(sample_documents(heldout, [language], characters)) for language in languages}
    if empty := [language for language, found in documents.items() if not found]:
        raise UserError(f"{heldout} has no document in {', '.join(empty)}; raise corpus.{heldout.stem}_fraction")
    texts = {language: [text_of(document) for document in found] for language, found in documents.items()}
    seen = [text_of(document) for document in sample_documents(training, languages, characters)]
    adapted, known = list(languages)[:2]
    pairs = _aligned(documents[adapted], heldout, known)
    facts: list[tuple] = []
    lists: list[tuple] = []
    originals: dict[str, ByteView] = {}
    for name, folder in tokenizers.items():
        view = ByteView(load_backend(folder))
        counts = {language: count_tokens(view, found) for language, found in texts.items()}
        facts += [("vocabulary", name, key, value) for key, value in _lengths(view, texts, counts, adapted)]
        facts += [
            ("vocabulary", name, key, value)
            for key, value in _rows(view, counts, count_tokens(view, seen), under_trained_below)
        ]
        if name in models:
            pieces = count_scripts(read_pieces(models[name] / PIECES), list(languages.values())[:2])
            facts += [("vocabulary", name, f"pieces_{script}", number) for script, number in pieces.items()]
        if pairs:
            mine, theirs = (count_tokens(view, side).sum() for side in zip(*pairs, strict=True))
            facts.append(("vocabulary", name, "parity", mine / theirs))
        family, _, vocabulary = name.partition("/")
        if vocabulary == "original":
            originals[family] = view
        lists += [(name, *row) for row in _lists(view, counts[adapted], originals.get(family))]
    rows = ([*row[:-1], f"{row[-1]:.6f}" if isinstance(row[-1], float) else row[-1]] for row in facts)
    write_csv(metrics, ("kind", "model", "name", "value"), rows)
    write_csv(tokens, ("model", "list", "rank", "token", "value"), lists)


def count_tokens(view: ByteView, texts: Sequence[str]) -> np.ndarray:
    """Occurrences of each id in the texts, (ids,), int64; special tokens that the tokenizer adds are not counted."""
    counts = np.zeros(len(view), dtype=np.int64)
    for start in range(0, len(texts), _BATCH):
        encodings = view.backend.encode_batch_fast(texts[start : start + _BATCH], add_special_tokens=False)
        ids = np.fromiter(chain.from_iterable(encoding.ids for encoding in encodings), dtype=np.int64)
        counts += np.bincount(ids, minlength=len(counts))
    return counts


def _lengths(
    view: ByteView, texts: dict[str, list[str]], counts: dict[str, np.ndarray], adapted: str
) -> Iterator[tuple[str, float]]:
    single = np.array([data is not None and len(data) == 1 and data[0] >= 0x80 for data in view.data])
    for language, found in texts.items():
        end = "" if language == adapted else f"_{language}"
        tokens = counts[language].sum()
        yield f"symbols_per_token{end}", sum(map(len, found)) / tokens
        yield f"bytes_per_token{end}", sum(len(text.encode()) for text in found) / tokens
        yield f"tokens_per_word{end}", tokens / sum(len(text.split()) for text in found)
        yield f"byte_share{end}", counts[language][single].sum() / tokens


def _rows(
    view: ByteView, counts: dict[str, np.ndarray], training: np.ndarray, least: int
) -> Iterator[tuple[str, float | int]]:
    ordinary = np.array([data is not None for data in view.data])
    yield "size", len(view.ids)
    yield "rows_used", np.count_nonzero(sum(counts.values())) / len(view.ids)
    yield "under_trained", int(np.count_nonzero(training[ordinary] < least))
    yield "unreachable", len(unreachable_rows(view))


def _lists(view: ByteView, counts: np.ndarray, original: ByteView | None) -> Iterator[tuple[str, int, str, int]]:
    """Rows of `tokens.csv` of one vocabulary; `counts`: occurrences in text of the first language."""
    texts = {i: text for i, data in enumerate(view.data) if data is not None and (text := decoded(data)) is not None}
    if original not in (None, view):
        texts = {i: text for i, text in texts.items() if original.find(view.data[i]) is None}
        frequent = sorted((i for i in texts if counts[i]), key=lambda i: (-counts[i], i))[:LISTED]
        yield from (("new", rank, texts[i], int(counts[i])) for rank, i in enumerate(frequent, 1))
    longest = sorted(texts, key=lambda i: (-len(texts[i]), i))[:LISTED]
    yield from (("longest", rank, texts[i], len(texts[i])) for rank, i in enumerate(longest, 1))


def _aligned(adapted: list[dict], documents: Path, language: str) -> list[tuple[str, str]]:
    """Pairs of paragraphs with the same ids: one of the documents `adapted`, the other in `language`."""
    found = {d["id"]: {p["id"]: p["text"] for p in d["paragraphs"]} for d in adapted}
    return [
        (found[document["id"]][paragraph["id"]], paragraph["text"])
        for document in read_jsonl(documents)
        if document["language"] == language and document["id"] in found
        for paragraph in document["paragraphs"]
        if paragraph["id"] in found[document["id"]]
    ]
