"""Files that a run takes from outside, known by their content.

Snakemake repeats a step for an input that is newer than its outputs, and compares the content of small files alone. It
misses a file that an older one replaced, and what changes inside a folder. So the hash of what a rule reads from
outside is a parameter of the rule.
"""

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from lep.files import sha256_file, sha256_json

CACHE = "contents.json"
_WORTH = 2**26  # bytes: hashes of so much are kept in the cache; anew they take a twentieth of a second
_SETTLED = 1.0  # seconds without a change, before a hash is kept: two changes may have one time
# What the model store and the tokenizer read of a model folder.
_MODEL = (
    "*.safetensors", "*.json", "*.jinja", "*.model", "*.txt", "additional_chat_templates/*", "LICENSE*", "NOTICE*",
    "USE_POLICY*",
)  # fmt: skip
_RECORDS = ("run.json", "trainer_state.json")  # they tell of time and place


class Contents:
    """Hashes of files from outside, kept in a file between runs as long as size, times and place of a file stay."""

    def __init__(self, root: Path, results: str) -> None:
        """`root`: folder of the Snakefile; `results`: that of the scale, for the cache."""
        self.root, self.results = root, results
        self._cache = root / results / CACHE
        self._known: dict[str, list] | None = None
        self._read = 0

    def is_outside(self, place: object) -> bool:
        """Whether an input of a rule is a file or folder that no rule makes; functions are not.

        In a rule, `unpack(function)` is a string as well, with the function's address in memory as its text.
        """
        is_function = getattr(place, "is_callable", None)
        if not isinstance(place, str) or (is_function and is_function()):
            return False
        return not place.startswith(f"{self.results}/")

    def parameter(self, places: Iterable[str]) -> Callable:
        """A parameter of a rule that reads these files or folders: it is asked for when a job needs it."""
        found = tuple(map(str, places))
        return lambda wildcards: self.of(found)

    def of(self, places: Iterable[str]) -> str:
        """Hash of the content of files and folders; "" if there are none outside of the results.

        Of a model folder, which its config.json stands for, all that is read of it counts. A missing file counts too.
        """
        outside = [place for place in places if self.is_outside(place)]
        if not outside:
            return ""
        hashes = [[place, [[name, self._hash(path)] for name, path in self._files(place)]] for place in outside]
        if self._read >= _WORTH:
            self._save()
        return sha256_json(hashes)[:16]

    def _files(self, place: str) -> Iterator[tuple[str, Path]]:
        path = self.root / place
        if path.name == "config.json":
            found = {file for pattern in _MODEL for file in path.parent.glob(pattern) if file.name not in _RECORDS}
            path = path.parent
        elif path.is_dir():
            found = set(path.rglob("*"))
        else:
            found = {path}
        for file in sorted(found):
            if file.is_file():
                yield file.relative_to(path).as_posix(), file

    def _hash(self, path: Path) -> str:
        state = path.stat()
        key = [state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino]
        known = self._load().get(str(path))
        if known and known[:-1] == key:
            return known[-1]
        found = sha256_file(path)
        if time.time() - state.st_ctime > _SETTLED:
            self._load()[str(path)] = [*key, found]
        self._read += state.st_size
        return found

    def _load(self) -> dict[str, list]:
        if self._known is None:
            try:
                self._known = dict(json.loads(self._cache.read_text(encoding="utf-8")))
            except (OSError, ValueError, TypeError):
                self._known = {}  # none yet, or damaged: all is hashed again
        return self._known

    def _save(self) -> None:
        """Keep the hashes; jobs of a cluster may do so at the same time, and the last one wins."""
        partial = self._cache.with_name(f".{CACHE}.{os.uname().nodename}.{os.getpid()}")
        try:
            partial.parent.mkdir(parents=True, exist_ok=True)
            partial.write_text(json.dumps(self._known), encoding="utf-8")
            os.replace(partial, self._cache)
        except OSError:  # a full or read-only disk: the next run hashes again
            with suppress(OSError):
                partial.unlink()
        self._read = 0
