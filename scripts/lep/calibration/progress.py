"""What a job has done so far, item by item."""

import json
from pathlib import Path

from lep.files import json_line, write_text


class Progress:
    """Values by index, appended to a JSONL file. After a kill, a new object continues with all complete lines."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._values: dict[int, object] = {}
        if path.is_file():
            # What follows the last line end was being written when the process was killed.
            for line in path.read_bytes().split(b"\n")[:-1]:
                index, value = json.loads(line)
                self._values[index] = value
        write_text(path, "".join(self._line(index) for index in self._values))

    def add(self, values: dict[int, object]) -> None:
        """Add values and append them to the file at once."""
        self._values |= values
        with open(self._path, "a", encoding="utf-8") as file:
            file.write("".join(self._line(index) for index in values))

    def __contains__(self, index: int) -> bool:
        return index in self._values

    def __getitem__(self, index: int):
        return self._values[index]

    def get(self, index: int):
        """The value of an item; None if it is not done."""
        return self._values.get(index)

    def __len__(self) -> int:
        return len(self._values)

    def _line(self, index: int) -> str:
        return json_line([index, self._values[index]])
