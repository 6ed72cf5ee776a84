"""The training split in equal parts, so that each step that reads all of it has one job for each part."""

from collections.abc import Iterator
from pathlib import Path

from lep.files import parse_line


def read_part(documents: Path, part: int, parts: int) -> Iterator[dict]:
    """The documents whose lines begin in one of `parts` equal ranges of a JSONL file's bytes, in order."""
    size = documents.stat().st_size
    start, stop = part * size // parts, (part + 1) * size // parts
    with open(documents, "rb") as file:
        if start:  # from one byte earlier, since a line may begin exactly at `start`
            file.seek(start - 1)
            file.readline()
        position = file.tell()
        while position < stop and (line := file.readline()):
            position += len(line)
            yield parse_line(line)
