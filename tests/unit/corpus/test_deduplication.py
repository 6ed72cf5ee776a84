"""Deduplication: repeated paragraphs, ids, and exact and near duplicates, of which the first stays."""

from pathlib import Path

import numpy
import pytest
from fixtures.corpus import build, facts, source, splits, words, write_lines
from lep.config import UserError
from lep.corpus.deduplication import NearRecipe, Signer
from lep.corpus.documents import text_of
from lep.corpus.shards import CleaningRecipe


def test_first_paragraph_stays_and_case_and_space_do_not_count(tmp_path: Path) -> None:
    given = ["Первый длинный абзац.", "ПЕРВЫЙ  длинный\tабзац.\nВторой длинный 🙂 абзац.", "Первый длинный абзац!"]
    more = [{"text": text, "id": f"d{i}"} for i, text in enumerate([*given, "первый длинный абзац."])]
    more += [{"text": f"Для других частей {i}."} for i in range(40)]
    target = build([source(write_lines(tmp_path / "raw.jsonl", more))], tmp_path / "corpus", shards=3)
    found = {d["id"]: [p["text"] for p in d["paragraphs"]] for docs in splits(target).values() for d in docs}
    assert {name: texts for name, texts in found.items() if name in ("d0", "d1", "d2", "d3")} == {
        "d0": ["Первый длинный абзац."],
        "d1": ["Второй длинный абзац."],
        "d2": ["Первый длинный абзац!"],
    }
    assert (facts(target)["paragraphs/repeated"], facts(target)["documents/repeated"]) == (2, 1)


def test_the_same_text_in_two_languages_is_no_repeat(tmp_path: Path) -> None:
    pair = [{"text": "Home Assistant, Wi-Fi", "language": language, "id": "d"} for language in ("en", "ru")]
    pair += [{"text": f"Для других частей {i}."} for i in range(40)]
    given = [source(write_lines(tmp_path / "raw.jsonl", pair))]
    target = build(given, tmp_path / "corpus", cleaning=CleaningRecipe({"minimum_letter_share": 0}))
    assert sum(d["id"] == "d" for docs in splits(target).values() for d in docs) == 2


def changed(text: list[str], share: float) -> list[str]:
    """The text with its last words replaced, so that about 1 - share of the shingles stay."""
    keep = round(len(text) * (1 - share))
    return text[:keep] + words(99, len(text) - keep)


@pytest.mark.parametrize(("share", "drops"), [(0.0, 1), (0.05, 1), (0.4, 0)], ids=["copy", "near", "other"])
@pytest.mark.parametrize("shards", [1, 3])
def test_near_duplicates(tmp_path: Path, share: float, drops: int, shards: int) -> None:
    """The later one goes, also where the two lie in different shards, and takes its paragraphs along."""
    first, fill = words(1, 300), [{"text": " ".join(words(n, 60)), "id": f"f{n}"} for n in range(2, 40)]
    later = {"text": " ".join([*changed(first, share), "и", "конец"]).upper(), "id": "later"}
    records = [{"text": " ".join(first), "id": "first"}, *fill, later]
    target = build([source(write_lines(tmp_path / "raw.jsonl", records))], tmp_path / "corpus", shards=shards)
    kept = {d["id"] for docs in splits(target).values() for d in docs}
    assert {"first", *(r["id"] for r in fill)} <= kept
    assert ("later" in kept) == (not drops)
    assert facts(target).get("documents/near_duplicate", 0) == drops


def test_a_paragraph_of_a_dropped_document_is_not_lost(tmp_path: Path) -> None:
    """A near duplicate goes first; what only it and a later document hold stays with the later one."""
    first, own = " ".join(words(1, 300)), "Этот абзац есть в двух документах."
    records = [{"text": first, "id": "a"}, {"text": f"{first}\n{own}", "id": "b"}, {"text": own, "id": "c"}]
    records += [{"text": f"Для других частей {i}."} for i in range(40)]
    target = build([source(write_lines(tmp_path / "raw.jsonl", records))], tmp_path / "corpus", shards=2)
    kept = {d["id"]: text_of(d) for docs in splits(target).values() for d in docs}
    assert "b" not in kept
    assert kept["c"] == own


def test_short_documents_are_never_near_duplicates() -> None:
    signer = Signer(NearRecipe(minimum_shingles=20))
    assert signer.sign(" ".join(words(1, 23))) is None
    assert signer.sign(" ".join(words(1, 24))) is not None


def test_signatures_estimate_the_similarity_of_word_shingles() -> None:
    """Against the sets themselves; a text longer than a batch is signed as a whole."""
    signer, text = Signer(NearRecipe(permutations=256)), words(1, 6000)
    for share in (0.1, 0.3, 0.6):
        other = changed(text, share)
        sets = [{tuple(t[i : i + 5]) for i in range(len(t) - 4)} for t in (text, other)]
        true = len(sets[0] & sets[1]) / len(sets[0] | sets[1])
        assert numpy.mean(signer.sign(" ".join(text)) == signer.sign(" ".join(other))) == pytest.approx(true, abs=0.1)


def test_a_repeated_id_is_refused_or_dropped(tmp_path: Path) -> None:
    records = [{"text": f"Документ под номером {n}.", "id": f"d{n % 49}"} for n in range(50)]
    given = [source(write_lines(tmp_path / "raw.jsonl", records))]
    place = r"raw \(.*raw\.jsonl, from byte"
    with pytest.raises(
        UserError, match=rf"have the id 'd0' in ru: {place} 0\) and {place} \d+\); .*broken_records: drop"
    ):
        build(given, tmp_path / "corpus", shards=3)
    target = build(given, tmp_path / "corpus", cleaning=CleaningRecipe(broken_records="drop"), shards=3)
    assert facts(target)["documents/same_id"] == 1
    texts = [text_of(d) for docs in splits(target).values() for d in docs if d["id"] == "d0"]
    assert texts == ["Документ под номером 0."]
