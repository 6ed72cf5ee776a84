"""Text for a vocabulary: spread evenly over the documents of its languages."""

import re
from collections import Counter
from pathlib import Path

import pytest
from fixtures.checkout import ROOT
from fixtures.corpus import FIXTURES
from fixtures.measured import write_model
from lep.config import UserError
from lep.corpus.documents import text_of
from lep.files import sha256_file
from lep.manifest import read_manifest
from lep.vocabulary.build import build_vocabulary
from lep.vocabulary.pieces import read_pieces
from lep.vocabulary.train import PIECES, import_vocabulary_model, sample_documents, train_vocabulary_model
from sentencepiece import SentencePieceTrainer


def test_training_text_is_spread_evenly_over_the_languages_documents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    monkeypatch.setattr("lep.vocabulary.train.train_sentencepiece", lambda lines, *rest: seen.extend(lines))
    corpus = FIXTURES / "benchmark.jsonl"

    def lines(characters: int) -> list[str]:
        seen.clear()
        options = {"characters": characters, "languages": ["ru"], "weights": None, "threads": 1}
        train_vocabulary_model(corpus, "bpe", 1, tmp_path / "m", **options)
        return seen.copy()

    whole, half = lines(10**9), lines(50_000)
    assert sum(map(len, whole)) > 80_000
    assert not [line for line in whole if re.fullmatch("[A-Za-z ,.;]+", line) and len(line) > 40]
    assert 40_000 < sum(map(len, half)) <= 50_000
    places = [whole.index(line) / len(whole) for line in half]
    assert places[0] < 0.1
    assert places[-1] > 0.9
    documents = [d["id"] for d in sample_documents(corpus, ["ru"], 50_000)]
    everything = [d["id"] for d in sample_documents(corpus, ["ru"], 10**9)]
    assert documents == [name for name in everything if name in documents]


CORPUS = FIXTURES / "benchmark.jsonl"


def characters_of(documents: list[dict]) -> Counter:
    sizes = Counter()
    for document in documents:
        sizes[document["language"]] += len(text_of(document))
    return sizes


def test_languages_have_the_shares_that_are_asked_for() -> None:
    both = ["ru", "en"]
    weights = {"ru": 3.0, "en": 1.0}
    chosen = list(sample_documents(CORPUS, both, 60_000, weights))
    sizes = characters_of(chosen)
    assert 50_000 < sizes.total() <= 60_000
    assert sizes["ru"] / sizes.total() == pytest.approx(0.75, abs=0.05)
    assert chosen == list(sample_documents(CORPUS, both, 60_000, weights))
    for language in both:  # evenly: also the end of the file
        ids = [d["id"] for d in sample_documents(CORPUS, [language], 10**9)]
        places = [ids.index(d["id"]) / len(ids) for d in chosen if d["language"] == language]
        assert places[0] < 0.2
        assert places[-1] > 0.8


def test_without_weights_languages_have_the_shares_of_the_corpus() -> None:
    """Where documents alternate between languages, one common account would favour the language with shorter ones."""
    whole = characters_of(list(sample_documents(CORPUS, ["ru", "en"], 10**9)))
    part = characters_of(list(sample_documents(CORPUS, ["ru", "en"], whole.total() // 2)))
    assert part["ru"] / part.total() == pytest.approx(whole["ru"] / whole.total(), abs=0.05)


def test_a_scarce_language_makes_the_text_shorter_and_a_missing_one_is_named() -> None:
    whole = characters_of(list(sample_documents(CORPUS, ["ru", "en"], 10**9)))
    sizes = characters_of(list(sample_documents(CORPUS, ["ru", "en"], 10**9, {"ru": 0.9, "en": 0.1})))
    assert sizes["ru"] == whole["ru"]
    assert sizes["en"] / sizes.total() == pytest.approx(0.1, abs=0.03)
    with pytest.raises(UserError, match=r"has no text in el; .*set the weight to 0 in vocabulary"):
        list(sample_documents(CORPUS, ["ru", "el"], 10**9, {"ru": 0.9, "el": 0.1}))


def test_a_vocabulary_of_both_languages_writes_both(tmp_path: Path) -> None:
    """Trained on Russian alone, it would have single letters for English."""
    for name, languages, weights in (("one", ["ru"], None), ("both", ["ru", "en"], {"ru": 0.8, "en": 0.2})):
        options = {"characters": 10**6, "languages": languages, "weights": weights, "threads": 1}
        train_vocabulary_model(CORPUS, "bpe", 800, tmp_path / name, **options)
    words = {name: {p[0] for p in read_pieces(tmp_path / name / PIECES)} for name in ("one", "both")}
    assert "▁the" in words["both"] - words["one"]
    facts = read_manifest(tmp_path / "both")["facts"]
    assert facts["characters_en"] / sum(facts.values()) == pytest.approx(0.2, abs=0.02)


def test_a_ready_model_is_taken_with_its_hash(tmp_path: Path) -> None:
    model = write_model(tmp_path / "given", ["▁", "a", "b", "ab"]) / PIECES
    import_vocabulary_model(model, "bpe", 263, tmp_path / "model")
    assert (tmp_path / "model" / PIECES).read_bytes() == model.read_bytes()
    assert read_manifest(tmp_path / "model")["config"]["sha256"] == sha256_file(model)
    with pytest.raises(UserError, match=r"is bpe with 263 pieces, not unigram with 263"):
        import_vocabulary_model(model, "unigram", 263, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_ready_model_makes_the_same_vocabulary_as_if_it_were_trained_here(tmp_path: Path) -> None:
    options = {"characters": 100_000, "languages": ["ru", "en"], "weights": None, "threads": 1}
    train_vocabulary_model(CORPUS, "unigram", 400, tmp_path / "trained", **options)
    import_vocabulary_model(tmp_path / "trained" / PIECES, "unigram", 400, tmp_path / "given")
    for name in ("trained", "given"):
        build_vocabulary(
            ROOT / "data/stand_ins/llama/base", tmp_path / name, "unigram", tmp_path / f"{name}-vocabulary"
        )
    made = [(tmp_path / f"{name}-vocabulary/tokenizer.json").read_bytes() for name in ("trained", "given")]
    assert made[0] == made[1]


def test_a_ready_model_without_byte_pieces_is_refused(tmp_path: Path) -> None:
    lines = [line for d in sample_documents(CORPUS, ["ru"], 50_000) for line in text_of(d).split("\n")]
    prefix = str(tmp_path / "bare")
    SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_prefix=prefix, model_type="bpe", vocab_size=300, minloglevel=2
    )
    with pytest.raises(UserError, match=r"bare\.model has no byte pieces; train it with byte_fallback=true"):
        import_vocabulary_model(Path(f"{prefix}.model"), "bpe", 300, tmp_path / "model")
