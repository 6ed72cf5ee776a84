"""House rules of the code that no linter knows: sizes, names, types, docstrings, and what an entry script may hold.

The order of imports is a contract of import-linter (pyproject.toml, tests/repository/test_lint.py).
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "scripts"
LIBRARY = SCRIPTS / "lep"
MODULES = sorted([*LIBRARY.rglob("*.py"), *(SCRIPTS / "darumeru").rglob("*.py")])
ENTRIES = sorted(SCRIPTS.glob("*.py"))
COMMANDS = {"propagate", "inspect", "compare", "explain", "plan"}  # `python -m lep.NAME`: named by what they do

FILE_LINES, FUNCTION_LINES, MAIN_LINES, SNAKEFILE_LINES = 300, 60, 12, 45
PACKAGES, FILES = 14, 13  # of the top level of the library, at most


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imports(tree: ast.AST) -> Iterator[str]:
    """Dotted names of all imported modules."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import, line {node.lineno}"
            yield node.module


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def relative(path: Path) -> str:
    return str(path.relative_to(SCRIPTS))


modules = pytest.mark.parametrize("path", MODULES, ids=relative)
entries = pytest.mark.parametrize("path", ENTRIES, ids=relative)


@modules
def test_library_knows_nothing_of_snakemake(path: Path) -> None:
    tree = parse(path)
    assert "snakemake" not in {name.split(".")[0] for name in imports(tree)}
    assert "snakemake" not in {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


@modules
def test_sizes(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= FILE_LINES
    for function in functions(parse(path)):
        assert function.end_lineno - function.lineno < FUNCTION_LINES, f"{function.name} is too long"


def test_the_top_level_can_be_read_at_a_glance() -> None:
    assert len((ROOT / "Snakefile").read_text(encoding="utf-8").splitlines()) <= SNAKEFILE_LINES
    assert len([path for path in LIBRARY.iterdir() if (path / "__init__.py").is_file()]) <= PACKAGES
    assert len(list(LIBRARY.glob("*.py"))) <= FILES


@modules
def test_no_module_is_called_like_a_library(path: Path) -> None:
    # The packages that requirements.txt explains: we import them; the others come with them.
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    libraries = {re.split("[=.]", line)[0].lower() for line in lines if re.match(r"[^#]+==\S+ +#", line)}
    name = path.parent.name if path.stem == "__init__" else path.stem
    if path.parent == LIBRARY and name in COMMANDS:
        return
    assert name not in sys.stdlib_module_names | libraries or name.startswith("__")


def test_a_stage_has_one_name() -> None:
    """A package of the library has its rules, its tests and, where it is configured, its section under one name."""
    rules = {path.stem for path in (ROOT / "rules").glob("*.smk")}
    tests = {path.name for path in (ROOT / "tests/unit").iterdir() if path.is_dir()}
    packages = {path.parent.name for path in LIBRARY.glob("*/__init__.py")}
    assert packages | {"darumeru"} == tests - {"__pycache__"}
    without_rules = {"compute", "planning", "workflow"}  # what every rule uses
    assert packages - without_rules <= rules
    assert rules - packages <= {"common", "benchmark", "jobs", "place", "preflight", "published_donors", "reruns"}


@modules
def test_public_functions_are_typed_and_described(path: Path) -> None:
    for function in parse(path).body:
        if not isinstance(function, ast.FunctionDef) or function.name.startswith("_"):
            continue
        where = f"{function.name}, line {function.lineno}"
        arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
        bare = [argument.arg for argument in arguments if argument.annotation is None]
        assert not bare, f"{where}: no type for {bare}"
        assert function.returns is not None, f"{where}: no return type"
        assert function.name == "main" or ast.get_docstring(function), f"{where}: no docstring"


@entries
def test_entry_script_is_thin(path: Path) -> None:
    """One call, fed by a short main block; nothing but the main block sees the global `snakemake`."""
    tree = parse(path)
    others = {entry.stem for entry in ENTRIES}
    assert not others & set(imports(tree)), "an entry script imports another one"
    mains = [
        node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'"
    ]
    assert len(mains) == 1, "one main block"
    assert mains[0].end_lineno - mains[0].lineno <= MAIN_LINES, "the main block is too long"
    inside = {id(node) for node in ast.walk(mains[0])}
    leaks = [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == "snakemake"]
    allowed = [node.lineno for node in ast.walk(tree) if id(node) in inside and getattr(node, "id", "") == "snakemake"]
    assert leaks == allowed, f"`snakemake` outside the main block, lines {sorted(set(leaks) - set(allowed))}"
