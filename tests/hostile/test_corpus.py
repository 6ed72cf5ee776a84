"""The border of the corpus: what a record may be, and the words of the message for any other."""

import json
from pathlib import Path

import pytest
from fixtures.corpus import CLEANING, build, write_lines
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
