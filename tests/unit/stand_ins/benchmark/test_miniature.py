"""All tasks of the miniature benchmark: schemas, balance, length, no overlap, the same bytes twice, refusals."""

import os
import random
import re
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from fixtures.miniature import ITEMS, LIMIT, document, made_of, read, splits, write
from lep.config import UserError
from lep.manifest import verify
from lep.stand_ins.benchmark.items import Plan
from lep.stand_ins.benchmark.miniature import SUBSETS, make_benchmark
from lep.stand_ins.benchmark.texts import sentences, words


def test_manifest_lists_every_subset(made):
    facts = verify(made)["facts"]
    assert {name.split("/")[0] for name in facts} == set(SUBSETS)
    assert facts["rcb/test"] == 9
    assert facts["use/test"] == 26
    assert facts["nlpcore_mmlu/dev"] == 30


@pytest.mark.parametrize(
    ("subset", "inputs", "answers"),
    [
        ("parus", {"premise", "choice1", "choice2"}, "12"),
        ("rcb", {"premise", "hypothesis"}, "123"),
        ("rwsd", {"text", "span1_text", "span2_text"}, ("Да", "Нет")),
    ],
)
def test_comprehension_schema_and_balance(made, subset, inputs, answers):
    for rows in splits(made, subset):
        assert all(set(row["inputs"]) == inputs and all(row["inputs"].values()) for row in rows)
        counts = Counter(row["outputs"] for row in rows)
        assert set(counts) == set(answers)
        assert max(counts.values()) - min(counts.values()) <= 1
    shots, tests = splits(made, subset)
    assert [row["meta"]["id"] for row in shots + tests] == list(range(len(shots) + len(tests)))


def rendered(subset: str, row: dict, language: str = "ru") -> str:
    """A row as a prompt with its answer, as long as a loader may make it."""
    if "instruction" in row:
        answer = row["outputs"] if isinstance(row["outputs"], str) else max(row["outputs"], key=len)
        return row["instruction"].format(**row["inputs"]) + f"\nОтвет: {answer}\n\n"
    if subset == "rucola":
        return "Приемлем ли текст с точки зрения синтаксиса, морфологии и семантики? Ответь 0 или 1.\nТекст: " + (
            f"{row['sentence']}\nОтвет: {row['acceptable']}\n\n"
        )
    if subset == "treeway":
        text, summary = (" ".join(row[key]) for key in ("src_sents", "summary_sents"))
        return f"Составь краткую аннотацию.\nТекст: {text}\nTL;DR: {summary}\n\n"
    lines = [f"{letter}. {text}" for letter, text in zip("ABCD", row[f"choices_{language}"], strict=True)]
    return "\n".join([row[f"question_{language}"], *lines, "Answer: A\n\n"])


@pytest.mark.parametrize("subset", list(SUBSETS))
def test_five_shots_and_the_longest_item_fit(made, subset):
    english = subset.endswith("_en")
    for language in ("ru", "en") if subset == "nlpcore_mmlu" else ("ru",):
        shots, tests = splits(made, subset)
        groups = defaultdict(list)
        for row in shots:
            groups[row.get("subject")].append(len(rendered(subset, row, language)))
        longest = max(sum(sorted(sizes)[-5:]) for sizes in groups.values())
        total = longest + max(len(rendered(subset, row, language)) for row in tests)
        assert total <= (2000 if english or language == "en" else LIMIT)


def test_same_bytes_whatever_the_order_of_the_corpus_and_of_sets(corpus, made, tmp_path):
    reordered = [write(tmp_path / path.name, read(path)[::-1]) for path in corpus]
    code = (
        "from lep.stand_ins.benchmark.miniature import make_benchmark as m\n"
        "import sys\n"
        f"m(*sys.argv[1:], {ITEMS}, 42, {LIMIT}, {{'rcb': 9}})"
    )
    arguments = [str(path) for path in (*reordered, tmp_path / "again")]
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, env=os.environ | {"PYTHONHASHSEED": "7"})
    assert (tmp_path / "again" / "manifest.json").read_bytes() == (made / "manifest.json").read_bytes()


def quoted(subset: str, row: dict) -> list[str]:
    """The held-out texts that a row is made from (spoilt sentences have none)."""
    if subset == "rucola":
        return [row["sentence"]] if row["acceptable"] else []
    if subset == "treeway":
        return row["src_sents"]
    if subset == "nlpcore_mmlu":
        return [
            re.split(r"(?<=говорит: )|(?<=says: )", row[f"question_{x}"].rpartition(". ")[0])[-1] for x in ("ru", "en")
        ]
    if subset == "use":
        return [row["inputs"]["text"]] if row["meta"]["type"] == "text" else []
    inputs = row["inputs"]
    if subset in ("rummlu", "ruopenbookqa", "ruworldtree"):
        question = inputs["text" if subset == "rummlu" else "question"]
        if " - " in question and ";" in question and re.search("Как по-русски|Где есть", question):
            return []  # pairs of strings, see below
        return [question.rpartition(". ")[0].rpartition(" говорит: ")[2]]
    if subset == "rwsd":
        return sentences(inputs["text"])
    keys = {"multiq": ("support_text", "text"), "parus": ("premise", "choice1", "choice2"), "rcb": ("premise",)}
    return [inputs[key] for key in keys.get(subset, ("text",))]


@pytest.mark.parametrize("subset", list(SUBSETS))
def test_no_task_shares_text_with_the_training_split(corpus, made, subset):
    """The stand-ins are trained on that split: they have seen no text of the benchmark."""

    def joined(path: Path) -> str:
        # By document and by language: paragraphs follow each other within a document only.
        return " | ".join(" ".join(words(" ".join(p["text"] for p in d["paragraphs"]))) for d in read(path))

    train, benchmark = (f" {joined(path)} " for path in corpus)
    texts = [text for rows in splits(made, subset) for row in rows for text in quoted(subset, row)]
    assert texts
    for text in texts:
        assert f" {' '.join(words(text))} " in benchmark
        for sentence in sentences(text):
            assert len(words(sentence)) < 4 or f" {' '.join(words(sentence))} " not in train


def test_too_small_corpus_names_task_and_remedy(tmp_path):
    train = write(tmp_path / "train.jsonl", [document("bible/01/001", "ru", ["В начале."])])
    benchmark = write(tmp_path / "benchmark.jsonl", [document("bible/01/002", "ru", ["Был вечер."])])
    with pytest.raises(
        UserError, match=r"benchmark task rummlu: the corpus gives 0 .*14 are needed; add text to the corpus"
    ):
        make_benchmark(train, benchmark, tmp_path / "out", 4)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("task", ["parus", "rcb", "rwsd", "treeway", "use", "cp_para_ru"])
def test_each_task_refuses_a_corpus_too_small(task):
    texts = made_of([document("bible/01/001", "ru", ["В начале."])], [document("bible/01/002", "ru", ["Был вечер."])])
    with pytest.raises(UserError, match=rf"benchmark task {task}\b.*lower the number of items"):
        SUBSETS[task](texts, Plan(task, 4, LIMIT), random.Random(0))


@pytest.mark.parametrize(
    ("sizes", "message"),
    [({"mulitq": 5}, "unknown benchmark task mulitq"), ({"multiq": 0}, "multiq: the number")],
)
def test_wrong_sizes_are_refused(corpus, tmp_path, sizes, message):
    with pytest.raises(UserError, match=message):
        make_benchmark(*corpus, tmp_path / "out", items_per_task=sizes)
