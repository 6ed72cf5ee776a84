"""The three calibration data sets: filters, split, copied texts that nothing else reads."""

import json
from collections import Counter
from pathlib import Path

import pyarrow.parquet
import pytest
from fixtures.copies import copied, copies
from lep.calibration.copies import CopyRecipe, join_paragraphs
from lep.calibration.data import (
    CalibrationRecipe,
    copy_records,
    is_held_out,
    keep_graded,
    keep_scored,
    make_calibration_data,
)
from lep.calibration.records import read_records
from lep.config import UserError
from lep.files import read_jsonl
from lep.manifest import verify
from lep.pretraining.selection import is_reserved


def record(score: int | None, bad: bool = False, question: str = "a") -> dict:
    messages = [{"role": "user", "content": question}, {"role": "bot", "content": "b"}]
    return {"messages": messages, "opus_score": score, "is_bad_by_regex": bad, "source": "s"}


def write(path: Path, records: list[dict]) -> Path:
    path.write_text("".join(json.dumps(r) + "\n" for r in records))
    return path


def test_the_papers_filter(tmp_path: Path) -> None:
    path = write(
        tmp_path / "i.jsonl", [record(8), record(7), record(None), record(10, bad=True), record(None, bad=True)]
    )
    counts: Counter = Counter()
    kept = list(keep_scored(path, 8, counts))
    assert counts == {"kept": 2, "low_score": 1, "regex_bad": 2}
    assert [m["role"] for m in kept[0]["messages"]] == ["user", "assistant"]


def test_graded_answers(tmp_path: Path) -> None:
    prompt = [{"role": "user", "content": "q"}]
    path = write(tmp_path / "a.jsonl", [{"messages": prompt, "answer": "x", "grade": g} for g in (5, 4, 3, None)])
    counts: Counter = Counter()
    kept = list(keep_graded(path, 4, counts))
    assert counts == {"kept": 2, "low_grade": 1, "ungraded": 1}
    assert kept[0]["messages"] == [*prompt, {"role": "assistant", "content": "x"}]


def test_hash_split_is_stable_and_near_its_share() -> None:
    messages = [[{"role": "user", "content": str(n)}] for n in range(4000)]
    share = sum(is_held_out(m, 3) for m in messages) / 4000
    assert 0.02 < share < 0.04
    assert not any(is_held_out(m, 0) for m in messages[:100])


def test_parquet_is_read_as_json_lines_are(tmp_path: Path) -> None:
    records = [record(8, question="q1"), record(None, question="q2")]
    (tmp_path / "data").mkdir()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(records), tmp_path / "data/train.parquet")
    assert list(read_records(tmp_path / "data")) == records
    with pytest.raises(UserError, match="give instructions in one of"):
        list(read_records(tmp_path / "nothing"))


@pytest.mark.parametrize("parts", [1, 3])
def test_copied_texts_are_whole_paragraphs_of_reserved_documents(verses: Path, tmp_path: Path, parts: int) -> None:
    records = copied(verses, tmp_path / "copies", 10, parts=parts)
    assert records == copied(verses, tmp_path / "again", 10)
    reserved, packed = set(), set()
    for document in read_jsonl(verses):
        lines = {paragraph["text"] for paragraph in document["paragraphs"]}
        (reserved if is_reserved(document["group"], 0.3, 42) else packed).update(lines)
    assert len(records) == 10
    for found in records:
        question, text = (message["content"] for message in found["messages"])
        assert question == f"Перепиши текст без изменений:\n{text}"
        assert 30 <= len(text) <= 140
        assert set(text.split("\n")) <= reserved
    assert len({r["messages"][1]["content"] for r in records}) > 5


def test_no_copied_text_is_read_in_pretraining_or_asked_in_the_benchmark(verses: Path, tmp_path: Path) -> None:
    """A paragraph that stands elsewhere too, even in other spelling, is never copied."""
    before = [line for r in copied(verses, tmp_path / "before", 10) for line in r["messages"][1]["content"].split("\n")]
    packed, asked = before[: len(before) // 2], before[len(before) // 2 :]
    documents = list(read_jsonl(verses))
    group = next(d["group"] for d in documents if not is_reserved(d["group"], 0.3, 42))
    paragraphs = [{"id": str(i), "text": f"«{text.upper()}»"} for i, text in enumerate(packed)]
    documents.append({**documents[0], "id": "repeats", "group": group, "language": "ru", "paragraphs": paragraphs})
    changed = write(tmp_path / "train.jsonl", documents)
    (tmp_path / "manifest.json").write_text("{}")
    (tmp_path / "benchmark/cp_sent_ru").mkdir(parents=True)
    write(tmp_path / "benchmark/cp_sent_ru/test.jsonl", [{"inputs": {"text": text}} for text in asked])
    after = copied(changed, tmp_path / "after", 10, [tmp_path / "benchmark"], parts=3)
    assert len(after) == 10
    assert not set(before) & {line for r in after for line in r["messages"][1]["content"].split("\n")}


def test_copied_texts_of_some_domains(verses: Path, tmp_path: Path) -> None:
    domains = {document["domain"] for document in read_jsonl(verses)}
    recipe = CopyRecipe(reserve=0.3, domains=sorted(domains))
    assert copied(verses, tmp_path / "some", 3, recipe=recipe) == copied(verses, tmp_path / "all", 3)
    with pytest.raises(UserError, match="copy_domains: no document has the domain none; the domains of the corpus are"):
        copies(verses, tmp_path / "none", recipe=CopyRecipe(reserve=0.3, domains=["none"]))


def test_joined_paragraphs() -> None:
    assert join_paragraphs(["aaaa", "bbbb", "cccc"], 3, 9) == ["aaaa\nbbbb", "cccc"]
    assert join_paragraphs(["a", "b" * 20, "cccc"], 3, 9) == ["cccc"]
    assert join_paragraphs(["a"], 3, 9) == []


def test_the_three_data_sets(verses: Path, instructions: Path, tmp_path: Path) -> None:
    answers = write(
        tmp_path / "answers.jsonl",
        [{"messages": [{"role": "user", "content": str(n)}], "answer": "x", "grade": 1 + n % 5} for n in range(50)],
    )
    (tmp_path / "manifest.json").write_text("{}")
    sizes, texts = {}, copies(verses, tmp_path / "copies")
    for kind in ("self", "saiga", "saiga_copy"):
        recipe = CalibrationRecipe(kind=kind, copy_examples=12, validation_percent=20)
        make_calibration_data(instructions, answers, texts, tmp_path / kind, recipe)
        facts = verify(tmp_path / kind)["facts"]
        lines = list(read_jsonl(tmp_path / kind / "train.jsonl"))
        assert len(lines) == facts["train"]
        assert all(line["messages"][-1]["role"] == "assistant" for line in lines)
        sizes[kind] = (facts["train"], facts.get("source/copy", 0), facts["kept"])
        validation = list(read_jsonl(tmp_path / kind / "validation.jsonl"))
        assert len(validation) == facts["validation"] > 0
        assert not {json.dumps(r) for r in validation} & {json.dumps(r) for r in lines}
        copied = sum(r["source"] == "copy" for r in lines + validation)
        assert (copied, len(lines) + len(validation)) == (12 * (kind != "saiga"), facts["kept"] + copied)
    assert sizes["self"][2] == 20
    assert sizes["saiga_copy"][0] > sizes["saiga"][0]


def test_refusals(verses: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="needs answers"):
        make_calibration_data(None, None, None, tmp_path / "x", CalibrationRecipe(kind="self"))
    texts = copies(verses, tmp_path / "copies")
    with pytest.raises(UserError, match="needs texts to copy"):
        make_calibration_data(None, texts, None, tmp_path / "x", CalibrationRecipe(kind="self", copy_examples=1))
    with pytest.raises(UserError, match=r"but 1000000 are needed; raise pretraining\.reserve"):
        copy_records(texts, CalibrationRecipe(kind="self", copy_examples=10**6))
    with pytest.raises(UserError, match="add it where the text belongs"):
        copy_records(texts, CalibrationRecipe(kind="self", copy_instruction="Перепиши"))
    path = write(tmp_path / "i.jsonl", [{"messages": [{"role": "tool", "content": "x"}], "opus_score": 9}])
    with pytest.raises(UserError, match="role"):
        list(keep_scored(path, 8, Counter()))


TALK = [{"role": "user", "content": "a"}, {"role": "bot", "content": "b"}]
REFUSED = {  # record, words of the message
    "messages null": ({"messages": None}, "`messages` is None; write a list"),
    "no messages": ({}, "`messages` is None"),
    "messages empty": ({"messages": []}, r"`messages` is \[\]"),
    "messages text": ({"messages": "a"}, "`messages` is 'a'"),
    "message text": ({"messages": ["a"]}, "'a' is no message"),
    "content null": ({"messages": [{"role": "user", "content": None}]}, "is no message; write {role, content}"),
    "content number": ({"messages": [{"role": "user", "content": 5}]}, "is no message"),
    "no content": ({"messages": [{"role": "user"}]}, "is no message"),
    "role null": ({"messages": [{"role": None, "content": "a"}]}, "unknown role None; use one of assistant, bot"),
    "role list": ({"messages": [{"role": ["user"], "content": "a"}]}, "unknown role"),
    "score text": ({"messages": TALK, "opus_score": "9"}, "`opus_score` is '9'; write a number"),
    "score NaN": ({"messages": TALK, "opus_score": float("nan")}, "`opus_score` is nan"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_conversation_is_refused_with_file_line_and_remedy(tmp_path: Path, name: str) -> None:
    given, message = REFUSED[name]
    path = write(tmp_path / "i.jsonl", [record(9), given])
    with pytest.raises(UserError, match=rf"i\.jsonl, line 2: .*{message}"):
        list(keep_scored(path, 8, Counter()))


def test_a_truncated_parquet_file_is_refused(tmp_path: Path) -> None:
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([record(9)]), tmp_path / "a.parquet")
    (tmp_path / "a.parquet").write_bytes((tmp_path / "a.parquet").read_bytes()[:-20])
    with pytest.raises(UserError, match=r"a\.parquet is not a complete Parquet file"):
        list(keep_scored(tmp_path / "a.parquet", 8, Counter()))
