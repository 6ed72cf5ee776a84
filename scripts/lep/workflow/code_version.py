"""Code version of a rule: a hash of its entry script and of all our modules that it imports, comments ignored.

Imports nothing heavy: it runs whenever the workflow is read.
"""

import ast
import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

# Modules that shape logs and messages but no result, and packages that only the graph and the fetch rules use: a change
# of one reruns nothing.
_NEUTRAL = ("lep/config.py", "lep/log.py", "lep/manifest.py", "lep/compute/options.py", "lep/fetch/", "lep/workflow/")
# The register of names decides titles in the report; elsewhere it only says which names exist, which is in the
# parameters of the rules. So a new title or method repeats the report alone.
_REGISTER, _SHOWS_NAMES = "lep/names.py", ("lep/report/",)
# A string (which may hold a #) or a comment. Tokenising would take ten times as long.
_STRING_OR_COMMENT = re.compile(
    r"\"{3}(?:\\.|[^\\])*?\"{3}|'{3}(?:\\.|[^\\])*?'{3}|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'|\#[^\n]*", re.DOTALL
)


def code_version(root: Path, script: Path) -> str:
    """Hash of an entry script and of all modules of ours that it uses; `root` is the folder of the Snakefile."""
    files = [script, *(root / name for name in library_files(root, script=script))]
    lines = (f"{file.relative_to(root).as_posix()} {_source(file).sha256}\n" for file in files)
    return hashlib.sha256("".join(lines).encode()).hexdigest()[:16]


def library_files(root: Path, *modules: str, script: Path | None = None) -> list[str]:
    """Modules by dotted name and those that `script` imports, with all they import of ours, relative to `root`."""
    scripts = root / "scripts"
    found: set[Path] = set()
    names = [*modules, *(_source(script).imports if script else ())]
    waiting = [file for name in names for file in _file_of(scripts, name)]
    while waiting:
        file = waiting.pop()
        place = file.relative_to(scripts).as_posix()
        if file in found or place.startswith(_NEUTRAL):
            continue
        found.add(file)
        imported = [path for name in _source(file).imports for path in _file_of(scripts, name)]
        waiting += [path for path in imported if path != scripts / _REGISTER or place.startswith(_SHOWS_NAMES)]
    return sorted(path.relative_to(root).as_posix() for path in found)


def without_comments(source: str) -> str:
    """The lines of a module that do something: no comments, no empty lines, no strings that are statements.

    Such strings are the docstrings of modules, classes, functions and fields.
    """
    return _strip(source, _statements(ast.parse(source)))


@dataclass(frozen=True)
class _Source:
    imports: tuple[str, ...]  # dotted names, of our own packages alone
    sha256: str


def _source(file: Path) -> _Source:
    return _read(file, file.stat().st_mtime_ns)


@cache
def _read(file: Path, changed: int) -> _Source:
    text = file.read_text(encoding="utf-8")
    statements = list(_statements(ast.parse(text)))
    imports = [name for each in statements if isinstance(each, ast.ImportFrom) for name in _imported(each)]
    return _Source(tuple(imports), hashlib.sha256(_strip(text, statements).encode()).hexdigest())


def _statements(node: ast.AST) -> Iterator[ast.stmt]:
    """All statements below a node; expressions, nine tenths of a tree, are not visited."""
    for block in ("body", "orelse", "finalbody", "handlers", "cases"):
        for child in getattr(node, block, ()):
            if isinstance(child, ast.stmt):
                yield child
            yield from _statements(child)


def _strip(source: str, statements: Iterable[ast.stmt]) -> str:
    bare = _STRING_OR_COMMENT.sub(lambda found: "" if found[0].startswith("#") else found[0], source)
    lines = bare.splitlines()
    for each in statements:
        if isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant) and isinstance(each.value.value, str):
            lines[each.lineno - 1 : each.end_lineno] = [""] * (each.end_lineno - each.lineno + 1)
    return "\n".join(line.rstrip() for line in lines if line.strip())


def _imported(node: ast.ImportFrom) -> list[str]:
    if (node.module or "").split(".")[0] not in ("lep", "darumeru"):
        return []
    # `from package import name` may import a module of the package.
    return [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]


def _file_of(scripts: Path, module: str) -> list[Path]:
    """The file of a dotted module, of a package its `__init__.py`; nothing for other names."""
    path = scripts.joinpath(*module.split("."))
    files = [path.with_suffix(".py"), path / "__init__.py"]
    return [file for file in files if file.is_file() and file.stat().st_size]
