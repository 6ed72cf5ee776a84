"""Corpus: equal whatever the number of shards, without exact and near duplicates, in splits that never overlap."""

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy
import pytest
from lep.config import UserError
from lep.corpus.assembly import CARD, assemble_corpus, shared_keys
from lep.corpus.data_card import REASONS
from lep.corpus.deduplication import (
    REPEAT,
    NearRecipe,
    Signer,
    join_repeats,
    repeated_documents,
    repeated_paragraphs,
    save_repeats,
)
from lep.corpus.documents import SPLITS, SplitRecipe, in_sample, split_of, text_of
from lep.corpus.readers import Source
from lep.corpus.shards import KEYS, CleaningRecipe, filter_shard, prepare_shard
from lep.files import read_jsonl, sha256_file
from lep.manifest import read_manifest, verify
from lep.report.figure_data_card import plot_data_card

FIXTURES = Path(__file__).parents[3] / "data" / "fixtures" / "corpus"
SPLIT = SplitRecipe(validation_fraction=0.2, benchmark_fraction=0.3)
CLEANING = CleaningRecipe()


def build(
    sources: list[Source],
    target: Path,
    split: SplitRecipe = SPLIT,
    cleaning: CleaningRecipe = CLEANING,
    shards: int = 2,
) -> Path:
    """The whole pipeline, as the rules run it."""
    steps = {step: [target.parent / f"{target.name}-{step}" / str(i) for i in range(shards)] for step in "pdrf"}
    for number, folder in enumerate(steps["p"]):
        prepare_shard(sources, number, shards, folder, cleaning)
    for number, file in enumerate(steps["d"]):
        file.parent.mkdir(exist_ok=True)
        refuse = cleaning.broken_records == "refuse"
        save_repeats(file, repeated_documents(steps["p"], number, refuse, cleaning.near_duplicates.threshold))
    joined = {step: target.parent / f"{target.name}-{step}.npy" for step in "dr"}
    join_repeats(steps["d"], joined["d"])
    for number, file in enumerate(steps["r"]):
        file.parent.mkdir(exist_ok=True)
        save_repeats(file, repeated_paragraphs(steps["p"], joined["d"], number))
    join_repeats(steps["r"], joined["r"])
    for number, folder in enumerate(steps["f"]):
        filter_shard(steps["p"][number], number, folder, split, documents=joined["d"], paragraphs=joined["r"])
    origins = [{"name": s.name, "from": "a test", "version": s.sha256, "licence": "none"} for s in sources]
    assemble_corpus(steps["f"], origins, target, split, {})
    return target


def write_lines(path: Path, records: Iterable[object]) -> Path:
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in records), encoding="utf-8")
    return path


def source(path: Path, **given: str) -> Source:
    return Source(path.stem, "documents", path, **({"sha256": sha256_file(path)} | given))


def raw(path: Path, numbers: Iterable[int]) -> Path:
    """Documents in groups of three, each with a text of its own and one that all of a dozen share."""
    return write_lines(
        path,
        (
            {
                "id": f"d{n}",
                "group": f"g{n // 3}",
                "text": f"Документ под номером {n}.\nПовтор номер {n % 12} для всех.",
            }
            for n in numbers
        ),
    )


def splits(folder: Path) -> dict[str, list[dict]]:
    return {split: list(read_jsonl(folder / f"{split}.jsonl")) for split in SPLITS}


def facts(folder: Path) -> dict[str, int]:
    return read_manifest(folder)["facts"]


def test_the_number_of_shards_changes_nothing(tmp_path: Path) -> None:
    given = [source(raw(tmp_path / "raw.jsonl", range(300)))]
    one = build(given, tmp_path / "one", shards=1)
    for shards in (2, 5, 11):
        assert read_manifest(build(given, tmp_path / f"in_{shards}", shards=shards)) == read_manifest(one)


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


def words(seed: int, number: int) -> list[str]:
    draw = numpy.random.default_rng(seed)
    return ["".join(draw.choice(list("абвгдежзиклмнопрст"), 6)) for _ in range(number)]


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


def test_a_broken_shard_leaves_nothing(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "raw.jsonl", [{"text": "Хороший документ."}] * 5 + [{"no": "text"}])
    with pytest.raises(UserError, match="line 6: no text column"):
        prepare_shard([source(path)], 0, 1, tmp_path / "shards" / "0", CLEANING)
    assert not (tmp_path / "shards" / "0").exists()
    path = write_lines(path, [{"text": "Хороший документ."}])
    prepare_shard([source(path)], 0, 1, tmp_path / "shards" / "0", CLEANING)
    assert sorted(p.name for p in (tmp_path / "shards" / "0").iterdir()) == [
        "bands.npy", "counts.json", "documents.jsonl", "identities.npy", "paragraphs.npy", "signatures.npy",
    ]  # fmt: skip


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


def test_fractions_are_of_groups() -> None:
    drawn = Counter(split_of(f"group {n}", SPLIT) for n in range(5000))
    assert {split: round(drawn[split] / 5000, 1) for split in SPLITS} == {
        "train": 0.5,
        "validation": 0.2,
        "benchmark": 0.3,
    }


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


def test_facts_and_card_count_what_the_files_hold(tmp_path: Path) -> None:
    target = build([source(raw(tmp_path / "raw.jsonl", range(60)))], tmp_path / "corpus")
    manifest, card = verify(target), json.loads((target / CARD).read_text(encoding="utf-8"))
    assert {f"{split}.jsonl" for split in (*SPLITS, "tokenizer")} | {CARD, "data_card.md"} == manifest["files"].keys()
    total: Counter = Counter()
    for split, documents in splits(target).items():
        texts = [p["text"] for d in documents for p in d["paragraphs"]]
        sizes = {
            "documents": len(documents),
            "characters": sum(map(len, texts)),
            "bytes": sum(len(t.encode()) for t in texts),
        }
        assert card["by_split"][split] == {"ru": sizes}
        assert {unit: manifest["facts"][f"{split}/ru/{unit}"] for unit in sizes} == sizes
        total.update(sizes)
    assert card["by_domain"] == {"undefined": {"ru": total}}
    assert card["by_source"] == {"raw": {"ru": total}}
    assert card["dropped"] == {"paragraphs/repeated": 48}
    assert card["read"]["paragraphs"] == card["kept"]["paragraphs"] + 48 == 120
    text = (target / "data_card.md").read_text(encoding="utf-8")
    assert f"| undefined | ru | 60 | {total['characters']:,} | {total['bytes']:,} |" in text
    assert "| paragraphs that occur before | 48 |" in text


def test_every_paragraph_that_was_read_is_accounted_for(tmp_path: Path) -> None:
    records = [
        {"text": f"Хороший абзац {n}.\nмало\nIn English only.\nТеги: раз, два, три\nХороший повтор"} for n in range(50)
    ]
    records += [{"text": " ".join(words(1, 100))}] * 2 + [
        {"text": "Хороший абзац.\nКомментарии (2)\nСпасибо за текст!"}
    ]
    given = [source(write_lines(tmp_path / "raw.jsonl", records))]
    card = json.loads((build(given, tmp_path / "corpus", shards=3) / CARD).read_text())
    lost = {reason: number for reason, number in card["dropped"].items() if reason.startswith("paragraphs/")}
    assert card["read"]["paragraphs"] == card["kept"]["paragraphs"] + sum(lost.values())
    assert lost.keys() == {
        f"paragraphs/{r}" for r in ("short", "foreign", "metadata", "comments", "repeated", "of_dropped_documents")
    }
    assert card["dropped"]["documents/near_duplicate"] == 1
    assert card["dropped"].keys() <= REASONS.keys()


def test_the_card_is_drawn_with_its_numbers(tmp_path: Path) -> None:
    card = build([source(raw(tmp_path / "raw.jsonl", range(60)))], tmp_path / "corpus") / CARD
    for name in ("a", "b"):
        plot_data_card(card, ["ru", "en"], {suffix: tmp_path / f"{name}.{suffix}" for suffix in ("pdf", "png", "csv")})
    rows = (tmp_path / "a.csv").read_text(encoding="utf-8").splitlines()
    assert rows[0] == "part,name,language,unit,number"
    assert "kept,undefined,ru,documents,60" in rows
    assert "dropped,paragraphs/repeated,,paragraphs,48" in rows
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


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


def test_splits_of_the_committed_fixtures() -> None:
    """The shipped stand-ins were trained on the training split: its hash must never change."""
    for split, documents in splits(FIXTURES).items():
        assert {split_of(d["group"], SplitRecipe()) for d in documents} == {split}


def test_the_committed_fixtures_pass_unchanged(tmp_path: Path) -> None:
    """What is clean stays, letter for letter: the models that were trained on it see the same text."""
    given = [Source(name, "corpus", FIXTURES / f"{name}.jsonl", split=name) for name in SPLITS]
    assert splits(build(given, tmp_path / "corpus", SplitRecipe())) == splits(FIXTURES)


def test_the_seed_decides_the_splits() -> None:
    drawn = [tuple(split_of(f"g{n}", SplitRecipe(seed=seed)) for n in range(200)) for seed in (1, 2, 1)]
    assert drawn[0] == drawn[2] != drawn[1]


def test_corpus_is_deterministic_wherever_its_sources_lie(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    built = [
        build([source(raw(folder / "raw.jsonl", range(60)))], folder / "corpus")
        for folder in (tmp_path, tmp_path / "elsewhere")
    ]
    assert read_manifest(built[0]) == read_manifest(built[1])


def test_bad_sources_are_refused_before_they_are_read(tmp_path: Path) -> None:
    good = source(write_lines(tmp_path / "good.jsonl", [{"no": "text"}]))
    path = raw(tmp_path / "raw.jsonl", range(30))
    for bad, message in (
        (Source("raw", "documents", tmp_path / "absent"), "corpus source raw: .*absent does not exist"),
        (Source("raw", "pdf", path), r"corpus source raw: no reader 'pdf'; use one of \['bible', "),
        (source(path, sha256="0" * 64), r"raw\.jsonl has sha256 [0-9a-f]{64}, expected 0{64}; delete"),
    ):
        with pytest.raises(UserError, match=message):
            build([good, bad] if bad.sha256 == "unpinned" else [bad], tmp_path / "corpus")
        assert not (tmp_path / "corpus").exists()


def test_a_split_without_text_is_refused_and_the_old_corpus_stays(tmp_path: Path) -> None:
    given = [source(raw(tmp_path / "raw.jsonl", range(60)))]
    before = verify(build(given, tmp_path / "corpus"))
    with pytest.raises(UserError, match=r"no document for the validation split; .*raise corpus\.validation_fraction"):
        build(given, tmp_path / "corpus", SplitRecipe(validation_fraction=0))
    assert verify(tmp_path / "corpus") == before
