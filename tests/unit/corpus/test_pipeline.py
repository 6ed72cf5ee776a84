"""The whole pipeline: equal whatever the number of shards, in splits that never overlap."""

import json
from pathlib import Path

from fixtures.corpus import FIXTURES, build, raw, source, splits
from lep.corpus.assembly import CARD
from lep.corpus.documents import SPLITS, SplitRecipe
from lep.corpus.readers import Source
from lep.manifest import read_manifest


def test_the_number_of_shards_changes_nothing(tmp_path: Path) -> None:
    given = [source(raw(tmp_path / "raw.jsonl", range(300)))]
    one = build(given, tmp_path / "one", shards=1)
    for shards in (2, 5, 11):
        assert read_manifest(build(given, tmp_path / f"in_{shards}", shards=shards)) == read_manifest(one)


def test_three_splits_share_neither_group_nor_paragraph(tmp_path: Path) -> None:
    target = build([source(raw(tmp_path / "raw.jsonl", range(300)))], tmp_path / "corpus", shards=4)
    parts = splits(target)
    groups = [{d["group"] for d in documents} for documents in parts.values()]
    assert sum(map(len, groups)) == len(set.union(*groups)) == 100
    paragraphs = [p["text"].casefold() for documents in parts.values() for d in documents for p in d["paragraphs"]]
    assert len(paragraphs) == len(set(paragraphs)) == 312
    assert min(map(len, groups)) > 10
    pairs = ("train/validation", "train/benchmark", "validation/benchmark")
    overlap = json.loads((target / CARD).read_text())["overlap"]
    assert overlap == {pair: {"groups": 0, "paragraphs": 0} for pair in pairs}


def test_added_text_moves_no_document_to_another_split(tmp_path: Path) -> None:
    old = build([source(raw(tmp_path / "raw.jsonl", range(100, 200)))], tmp_path / "old")
    before = {d["id"]: split for split, documents in splits(old).items() for d in documents}
    more = [source(raw(tmp_path / "more.jsonl", range(100))), source(raw(tmp_path / "raw.jsonl", range(100, 250)))]
    after = {d["id"]: s for s, documents in splits(build(more, tmp_path / "new")).items() for d in documents}
    assert len(before) == 100
    assert {name: after[name] for name in before} == before


def test_a_source_with_a_split_goes_there_as_a_whole(tmp_path: Path) -> None:
    drawn = source(raw(tmp_path / "raw.jsonl", range(60)))
    alone = splits(build([drawn], tmp_path / "alone"))
    held_out = source(raw(tmp_path / "held_out.jsonl", range(60, 90)), split="validation")
    both = splits(build([drawn, held_out], tmp_path / "both"))
    assert (both["train"], both["benchmark"]) == (alone["train"], alone["benchmark"])
    assert both["validation"][: len(alone["validation"])] == alone["validation"]
    assert [d["id"] for d in both["validation"] if d["source"] == "held_out"] == [f"d{n}" for n in range(60, 90)]


def test_the_committed_fixtures_pass_unchanged(tmp_path: Path) -> None:
    """What is clean stays, letter for letter: the models that were trained on it see the same text."""
    given = [Source(name, "corpus", FIXTURES / f"{name}.jsonl", split=name) for name in SPLITS]
    assert splits(build(given, tmp_path / "corpus", SplitRecipe())) == splits(FIXTURES)


def test_corpus_is_deterministic_wherever_its_sources_lie(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    built = [
        build([source(raw(folder / "raw.jsonl", range(60)))], folder / "corpus")
        for folder in (tmp_path, tmp_path / "elsewhere")
    ]
    assert read_manifest(built[0]) == read_manifest(built[1])
