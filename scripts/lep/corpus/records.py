"""Read the records of a file one by one in constant memory: JSONL (plain, .gz, .zst), Parquet, plain text.

Each record comes with its place. A record that cannot be read comes as `Broken`; a truncated or damaged file raises
`UserError`.
"""

import gzip
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from lep.config import UserError
from lep.files import BOM, NotJsonError, parse_line

_GOLDEN = 0x9E3779B97F4A7C15  # 2**64 over the golden ratio
SUFFIXES = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".parquet", ".txt", ".txt.gz", ".txt.zst")
_BLOCK = 2**20  # bytes read at once while skipping
_ROWS = 256  # rows of Parquet in memory at once


class Broken(NamedTuple):
    """A record that cannot be read."""

    kind: str  # the reason, as it is counted
    message: str  # what is wrong and what to do


class Place(NamedTuple):
    """Where a record begins."""

    name: str  # line or row
    position: int  # first byte, or row from 0; identifies the record
    number: Callable[[], int]  # line or row from 1, for messages; counted only when called

    @property
    def unit(self) -> str:
        """What `position` counts."""
        return "row" if self.name == "row" else "byte"


def read_records(path: Path, start: int, stop: int, longest: int) -> Iterator[tuple[Place, object]]:
    """The records of the part `start` to `stop` (bytes) of a file; records over `longest` bytes are `Broken`.

    In plain JSONL and Parquet these begin there. Other files can only be read as streams: their records are dealt out
    one by one, and the part gets its share of them.
    """
    if path.stat().st_size == 0:
        yield Place("line", 0, lambda: 1), Broken("empty_file", "the file is empty; delete it or write records into it")
        return
    if path.suffix == ".parquet":
        yield from _parquet_rows(path, start, stop, longest)
        return
    if ".txt" in path.suffixes:
        yield from _dealt(_blocks(path, _lines(path, 0, None, longest), longest), path, start, stop)
    elif path.suffix == ".jsonl":
        yield from map(_parsed, _filled(_lines(path, start, stop, longest)))
    else:
        yield from map(_parsed, _dealt(_filled(_lines(path, 0, None, longest)), path, start, stop))


def _dealt(found: Iterator[tuple], path: Path, start: int, stop: int) -> Iterator[tuple]:
    """The items of one part. Multiples of the golden ratio fill the file's bytes evenly, so parts get equal shares."""
    size = path.stat().st_size
    for number, item in enumerate(found):
        if start <= (number * _GOLDEN % 2**64) * size >> 64 < stop:
            yield item


def _filled(lines: Iterator[tuple[Place, bytes | None]]) -> Iterator[tuple[Place, bytes | None]]:
    """The lines that are not blank."""
    return (found for found in lines if found[1] is None or found[1].strip())


def _parsed(found: tuple[Place, bytes | None]) -> tuple[Place, object]:
    place, line = found
    if line is None:
        return place, _TOO_LONG
    try:
        return place, parse_line(line)
    except NotJsonError as error:
        return place, Broken(error.kind, str(error))


_TOO_LONG = Broken("too_long", "longer than corpus.maximum_record_mb; split it or raise that limit")


def _blocks(path: Path, lines: Iterator[tuple[Place, bytes | None]], longest: int) -> Iterator[tuple[Place, object]]:
    """Documents of a text file, separated by empty lines. All documents of a file are one group."""
    block: list[str] = []
    begin, size = None, 0
    for place, line in lines:
        text = line
        if line is not None:
            try:
                text = line.decode("utf-8").strip()
            except UnicodeDecodeError as error:
                yield place, Broken("not_utf8", f"not UTF-8 ({error.reason}); convert the file to UTF-8")
                continue
        if line is None or size + len(line) > longest:
            yield place, _TOO_LONG
            text = ""
        if text:
            begin = begin or place
            block.append(text)
            size += len(line)
        elif block:
            yield begin, {"text": "\n".join(block), "group": path.name}
            block, begin, size = [], None, 0
    if block:
        yield begin, {"text": "\n".join(block), "group": path.name}


def _lines(path: Path, start: int, stop: int | None, longest: int) -> Iterator[tuple[Place, bytes | None]]:
    """The lines that begin in a range of bytes; None for a line that is too long."""
    number, position = 0, start
    with _opened(path) as file:
        if start:
            # Skip the rest of the line before; from one byte earlier, since a line may begin exactly at `start`.
            file.seek(start - 1)
            position += _skip_line(file) - 1
        try:
            while (stop is None or position < stop) and (line := file.readline(longest + 1)):
                size = len(line)
                if size > longest and not line.endswith(b"\n"):
                    line = None
                    size += _skip_line(file)
                elif not position:
                    line = line.removeprefix(BOM)
                yield Place("line", position, lambda n=number: _lines_before(path, start) + n + 1), line
                number += 1
                position += size
        except (EOFError, OSError, zlib.error) as error:
            raise UserError(
                f"{path} is truncated or damaged after line {number} ({error}); delete it and fetch it again"
            ) from None


def _skip_line(file: BinaryIO) -> int:
    """Read to the end of the line in bounded blocks; returns the number of bytes."""
    size = 0
    while block := file.readline(_BLOCK):
        size += len(block)
        if block.endswith(b"\n"):
            break
    return size


def _lines_before(path: Path, start: int) -> int:
    """Number of lines that begin before the byte `start`."""
    if not start:
        return 0
    count, left, last = 0, start, b"\n"
    with open(path, "rb") as file:
        while left and (block := file.read(min(_BLOCK, left))):
            count += block.count(b"\n")
            left -= len(block)
            last = block[-1:]
    return count + (last != b"\n")


def _opened(path: Path) -> BinaryIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rb")
    if path.suffix == ".zst":
        import io

        import pyarrow

        return io.BufferedReader(pyarrow.input_stream(str(path), compression="zstd"), _BLOCK)
    return open(path, "rb")


def _parquet_rows(path: Path, start: int, stop: int, longest: int) -> Iterator[tuple[Place, object]]:
    """The rows of the row groups in a range of bytes, as if all rows of the file had the same size."""
    import pyarrow
    import pyarrow.parquet

    size, row = path.stat().st_size, 0
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            total = file.metadata.num_rows
            for group in range(file.num_row_groups):
                rows = file.metadata.row_group(group).num_rows
                if start <= row * size // max(total, 1) < stop:
                    for place, record in enumerate(_records(file, group), row):
                        longer = any(isinstance(v, str) and len(v) > longest for v in record.values())
                        yield Place("row", place, lambda n=place: n + 1), _TOO_LONG if longer else record
                row += rows
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"{path} is not a complete Parquet file (row {row + 1}: {reason}); delete it and fetch it again"
        ) from None


def _records(file, group: int) -> Iterator[dict]:
    for batch in file.iter_batches(batch_size=_ROWS, row_groups=[group]):
        yield from batch.to_pylist()
