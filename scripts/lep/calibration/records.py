"""Records of instruction data sets: conversations from JSONL or Parquet, checked as they are read."""

from collections.abc import Iterator
from pathlib import Path

from lep.config import UserError
from lep.files import is_text, numbered_jsonl

ROLES = {"bot": "assistant", "assistant": "assistant", "user": "user", "system": "system"}


def read_records(source: Path) -> Iterator[dict]:
    """Records of a JSONL or Parquet file, or of all such files below a folder, sorted by path."""
    return (record for _, record in _placed(source))


def read_conversations(source: Path) -> Iterator[dict]:
    """Records of conversations: `messages` have one of the three roles and a text, `opus_score` is a number or None.

    Raises `UserError` with file and record for any other.
    """
    for place, record in _placed(source):
        score = record.get("opus_score")
        if score is not None and (isinstance(score, bool) or not isinstance(score, int | float) or score != score):
            raise UserError(f"{place}: `opus_score` is {score!r}; write a number, or leave it out")
        yield {**record, "messages": _messages(record.get("messages"), place)}


def _placed(source: Path) -> Iterator[tuple[str, dict]]:
    """(file and record for a message, record)."""
    paths = [source] if source.is_file() else sorted(p for p in source.rglob("*") if p.suffix in (".jsonl", ".parquet"))
    if not paths:
        raise UserError(f"{source} has no .jsonl or .parquet file; give instructions in one of these formats")
    for path in paths:
        if path.suffix == ".parquet":
            yield from ((f"{path}, row {number}", record) for number, record in enumerate(_rows(path), 1))
        else:
            yield from ((f"{path}, line {number}", record) for number, record in numbered_jsonl(path))


def _rows(path: Path) -> Iterator[dict]:
    import pyarrow
    import pyarrow.parquet

    try:
        for batch in pyarrow.parquet.ParquetFile(path).iter_batches():
            yield from batch.to_pylist()
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path} is not a complete Parquet file ({reason}); fetch or write it again") from None


def _messages(given: object, place: str) -> list[dict]:
    if not isinstance(given, list) or not given:
        raise UserError(f"{place}: `messages` is {given!r:.60}; write a list of {{role, content}}")
    for message in given:
        if not isinstance(message, dict) or not is_text(message.get("content")):
            raise UserError(f"{place}: {message!r:.60} is no message; write {{role, content}}, both text")
        if not isinstance(role := message.get("role"), str) or role not in ROLES:
            raise UserError(f"{place}: a message has the unknown role {role!r}; use one of {', '.join(sorted(ROLES))}")
    return [{"role": ROLES[message["role"]], "content": message["content"]} for message in given]
