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

from lep.config import UserError

BOM = b"\xef\xbb\xbf"  # some editors begin a UTF-8 file with it


def sha256_file(path: str | Path) -> str:
    """Hex sha256 of a file, read in blocks."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_json(value: object) -> str:
    """Hex sha256 of a value's canonical JSON."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def hash_number(key: str) -> int:
    """The first 64 bits of the sha256 of a key: a pseudo-random number that depends on the key alone."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8])


def fraction(key: str) -> float:
    """The hash of a key as a number, uniform in [0, 1): below 0.05 for 5 % of all keys."""
    return hash_number(key) / 2**64


@contextmanager
def written_by_rename(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; the file written there replaces `path` when the block ends.

    Readers see the old file or the complete new one, even if the machine crashes. Missing folders are created. After
    an error in the block `path` is unchanged and the temporary file is deleted.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    # A killed process may have left a hard link here: writing into it would change the file that it links to.
    partial.unlink(missing_ok=True)
    try:
        yield partial
        with open(partial, "rb") as file:
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write_text(path: str | Path, text: str) -> None:
    """Write a text file by rename, in UTF-8, with the line ends of `text`."""
    with written_by_rename(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="")


def write_json(path: str | Path, value: object) -> None:
    """Write JSON by rename: indented, sorted keys, UTF-8."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def read_object(path: str | Path, remedy: str) -> dict:
    """The JSON object in a file; raises `UserError`, which ends with the remedy, if the file has none."""
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing; {remedy}") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged: it is not JSON in UTF-8 ({error}); {remedy}") from None
    if not isinstance(value, dict):
        raise UserError(f"{path} is damaged: it must hold a JSON object, not {json.dumps(value)[:40]}; {remedy}")
    return value


class NotJsonError(ValueError):
    """A line that is no JSON; `kind` is `not_utf8` or `not_json`, and the text says what to do."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def parse_line(line: bytes) -> object:
    """The value of one line of a JSONL file; raises `NotJsonError`."""
    try:
        return json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise NotJsonError("not_utf8", f"not UTF-8 ({error.reason}); convert the file to UTF-8") from None
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else getattr(error, "msg", str(error))
        raise NotJsonError("not_json", f"not JSON ({reason}); write one object per line") from None


def is_text(value: object) -> bool:
    """Whether a value is a string that can be written: JSON may hold half of a surrogate pair."""
    return isinstance(value, str) and not any("\ud800" <= letter <= "\udfff" for letter in value)


def numbered_jsonl(path: str | Path) -> Iterator[tuple[int, dict]]:
    """(line, record) of a JSONL file, one by one; the file may be larger than memory.

    Only `\\n` ends a line: a string may hold U+2028 and its like unescaped. Blank lines and a byte order mark are
    skipped. Raises `UserError` with file and line for anything but an object.
    """
    with open(path, "rb") as lines:
        for number, line in enumerate(lines, 1):
            line = line.removeprefix(BOM) if number == 1 else line
            if not line.strip():
                continue
            try:
                record = parse_line(line)
            except NotJsonError as error:
                raise UserError(f"{path}, line {number}: {error}") from None
            if not isinstance(record, dict):
                raise UserError(f"{path}, line {number}: {type(record).__name__} instead of an object; write {{...}}")
            yield number, record


def read_jsonl(path: str | Path) -> Iterator[dict]:
    """Records of a JSONL file, one by one (see `numbered_jsonl`)."""
    return (record for _, record in numbered_jsonl(path))


def json_line(record: object) -> str:
    """A record as one line of a JSONL file, line end included."""
    return json.dumps(record, ensure_ascii=False) + "\n"


def write_jsonl(path: str | Path, records: Iterable[dict]) -> None:
    """Write a JSONL file by rename, record by record, UTF-8."""
    with written_by_rename(path) as partial, open(partial, "w", encoding="utf-8", newline="") as file:
        file.writelines(map(json_line, records))


def csv_text(header: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    """A table as CSV: commas, quotes where needed, `\\n` line ends, None as an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def write_csv(path: str | Path, header: Sequence[str], rows: Iterable[Iterable[object]]) -> None:
    """Write a table as CSV by rename, UTF-8 (see `csv_text`)."""
    write_text(path, csv_text(header, rows))


def link_or_copy(source: str | Path, target: str | Path) -> None:
    """Hard-link the file `source` to `target`, or copy it if the file system allows no link. Symlinks are followed.

    Only for files that are never changed in place: a change would appear under both names.
    """
    source = Path(source).resolve()
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copyfile(source, target)
