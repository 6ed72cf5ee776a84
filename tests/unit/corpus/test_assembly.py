"""Assembly: the proof that splits share nothing, the tokenizer's sample, refusals."""

from pathlib import Path

import numpy
import pytest
from fixtures.corpus import CLEANING, build, facts, raw, source, splits, write_lines
from lep.config import UserError
from lep.corpus.assembly import shared_keys
from lep.corpus.deduplication import REPEAT, save_repeats
from lep.corpus.documents import SplitRecipe, in_sample
from lep.corpus.shards import KEYS, filter_shard, prepare_shard
from lep.files import read_jsonl
from lep.manifest import verify


def test_the_proof_finds_an_overlap(tmp_path: Path) -> None:
    """Two runs of the filter with other splits, put together: what they share is counted, kind by kind."""
    prepared = tmp_path / "prepared"
    prepare_shard([source(raw(tmp_path / "raw.jsonl", range(30)))], 0, 1, prepared, CLEANING)
    none = tmp_path / "none.npy"
    save_repeats(none, numpy.zeros(0, REPEAT))
    for name, recipe in (("a", SplitRecipe(0, 0)), ("b", SplitRecipe(1, 0))):
        filter_shard(prepared, 0, tmp_path / name, recipe, documents=none, paragraphs=none)
    found = shared_keys([tmp_path / name / KEYS for name in "ab"])
    assert found["train/validation"] == {"groups": 10, "paragraphs": 42}
    assert found["train/benchmark"] == found["validation/benchmark"] == {"groups": 0, "paragraphs": 0}


def test_a_group_that_two_sources_put_into_two_splits_is_refused(tmp_path: Path) -> None:
    text = {"group": "g", "text": "Один документ группы."}
    given = [source(raw(tmp_path / "raw.jsonl", range(60)))]
    for split, number in (("train", 1), ("benchmark", 2)):
        path = write_lines(
            tmp_path / f"{split}.jsonl", [text | {"id": f"x{number}", "text": f"Документ номер {number}"}]
        )
        given.append(source(path, split=split))
    with pytest.raises(UserError, match=r"the splits share text: .'train/benchmark': .'groups': 1, 'paragraphs': 0"):
        build(given, tmp_path / "corpus")
    assert not (tmp_path / "corpus").exists()


def test_the_tokenizer_sample_is_a_part_of_train(tmp_path: Path) -> None:
    given = [source(raw(tmp_path / "raw.jsonl", range(300)))]
    whole, part = (
        build(given, tmp_path / name, SplitRecipe(0.2, 0.3, fraction)) for name, fraction in (("a", 1.0), ("b", 0.4))
    )
    assert (whole / "tokenizer.jsonl").read_bytes() == (whole / "train.jsonl").read_bytes()
    sample, train = list(read_jsonl(part / "tokenizer.jsonl")), splits(part)["train"]
    assert sample == [d for d in train if in_sample(d["group"], SplitRecipe(tokenizer_fraction=0.4))]
    assert 0.2 * len(train) < len(sample) < 0.6 * len(train)
    assert facts(part)["tokenizer/ru/documents"] == len(sample)


def test_a_split_without_text_is_refused_and_the_old_corpus_stays(tmp_path: Path) -> None:
    given = [source(raw(tmp_path / "raw.jsonl", range(60)))]
    before = verify(build(given, tmp_path / "corpus"))
    with pytest.raises(UserError, match=r"no document for the validation split; .*raise corpus\.validation_fraction"):
        build(given, tmp_path / "corpus", SplitRecipe(validation_fraction=0))
    assert verify(tmp_path / "corpus") == before


def test_a_corpus_without_text_of_a_benchmark(tmp_path: Path) -> None:
    given = [source(raw(tmp_path / "raw.jsonl", range(60)))]
    folder = build(given, tmp_path / "corpus", SplitRecipe(validation_fraction=0.2, benchmark_fraction=0))
    assert not splits(folder)["benchmark"]
    assert all(splits(folder)[name] for name in ("train", "validation"))


def test_a_sample_without_text_is_refused(tmp_path: Path) -> None:
    given = [source(raw(tmp_path / "raw.jsonl", range(60)))]
    with pytest.raises(UserError, match=r"no document for the tokenizer split; .*raise corpus\.tokenizer_fraction"):
        build(given, tmp_path / "corpus", SplitRecipe(0.2, 0.3, 1e-9))
