"""Files: hashes, links, and JSON, JSONL and CSV written by rename so that a reader never sees half a file."""

import csv
import hashlib
import io
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


def sha256_file(path: str | Path) -> str:
    """Hex sha256 of a file, read in blocks."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_json(value: object) -> str:
    """Hex sha256 of a value's canonical JSON."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def hash_number(key: str) -> int:
    """The first 64 bits of the sha256 of a key: a draw that depends on the key alone, whatever else there is."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8])


def fraction(key: str) -> float:
    """The hash of a key as a number in [0, 1), evenly spread: below 0.05 for a twentieth of all keys."""
    return hash_number(key) / 2**64


@contextmanager
def written_by_rename(path: str | Path) -> Iterator[Path]:
    """Yield the path of a file to write beside `path`, which takes its place when the block ends.

    Readers see the old file or the whole new one, a crash of the machine included. Missing folders are made. An error
    in the block leaves `path` as it was and nothing beside it.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)  # of a process that was killed; it may be a link, which must not be written into
    try:
        yield partial
        with open(partial, "rb") as file:
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write_text(path: str | Path, text: str) -> None:
    """Write a text file by rename, UTF-8, line ends as they are in `text`."""
    with written_by_rename(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="")


def write_json(path: str | Path, value: object) -> None:
    """Write JSON by rename: indented, sorted keys, UTF-8."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def read_jsonl(path: str | Path) -> Iterator[dict]:
    """Records of a JSONL file, one by one; the file may be larger than memory."""
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def json_line(record: object) -> str:
    """A record as a line of a JSONL file, its end included."""
    return json.dumps(record, ensure_ascii=False) + "\n"


def write_jsonl(path: str | Path, records: Iterable[dict]) -> None:
    """Write a JSONL file by rename, record by record, UTF-8."""
    with written_by_rename(path) as partial, open(partial, "w", encoding="utf-8", newline="") as file:
        file.writelines(map(json_line, records))


def csv_text(header: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    """A table as CSV: commas, quotes where they are needed, `\\n` line ends, None as an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def write_csv(path: str | Path, header: Sequence[str], rows: Iterable[Iterable[object]]) -> None:
    """Write a table as CSV by rename, UTF-8 (see `csv_text`)."""
    write_text(path, csv_text(header, rows))


def link_or_copy(source: str | Path, target: str | Path) -> None:
    """Make `target` a hard link to the file `source`, or a copy where the file system has none. A symlink is followed.

    For files that nobody changes in place: a change of one would be a change of both.
    """
    source = Path(source).resolve()
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copyfile(source, target)
