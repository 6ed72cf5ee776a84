"""The house rules of the code: who may import whom, how long things are, what an entry script may hold."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"
LIBRARY = SCRIPTS / "lep"
MODULES = sorted([*LIBRARY.rglob("*.py"), *(SCRIPTS / "darumeru").rglob("*.py")])
ENTRIES = sorted(SCRIPTS.glob("*.py"))

FILE_LINES, FUNCTION_LINES, MAIN_LINES = 400, 70, 12

# From the ground up: a module imports from its own row or from rows above it, never from below.
LAYERS = (
    ("config",),
    ("manifest", "log", "compute", "sparse", "stop", "distributed", "launch", "place"),
    ("normalise", "schema_docs", "settings"),
    ("code", "languages"),
    ("records", "quality", "package_readers", "debian_docs"),
    ("readers", "fetch", "fetch_debian", "corpus", "repeats", "data_card"),
    ("shards", "assembly"),
    ("tokenizers", "sentencepiece", "vocabulary", "originals", "tokenizer_metrics"),
    ("model_files", "model_store", "tokenizer_merge", "disk", "clean_models"),
    ("selection", "packing", "validation", "loss", "memory", "trainer", "embedding_trainer", "benchmark"),
    ("initialise", "inspect", "least_squares", "propagate", "donor"),
    ("adapter", "chat", "generation", "judge", "instructions", "calibration_data", "answers"),
    ("stand_in_data", "stand_ins", "pretrain", "adopt", "calibrate"),
    ("harness", "evaluate", "samples", "compare", "errors"),
    ("report", "workload", "footprint", "plan", "preflight"),
    ("explain",),
)
# Who may import the tasks of Darumeru: what runs them, reads their scores, fetches their records or reckons their cost.
KNOW_THE_BENCHMARK = {"harness", "evaluate", "compare", "errors", "fetch", "workload"}
LAYER = {name: row for row, names in enumerate(LAYERS) for name in names}


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imports(tree: ast.AST) -> Iterator[str]:
    """Dotted names of all imported modules, `from lep import x` as lep.x."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import, line {node.lineno}"
            yield from ([f"lep.{alias.name}" for alias in node.names] if node.module == "lep" else [node.module])


def unit(path: Path) -> str:
    """A library file's name in `LAYERS`: the module, or the package it is part of."""
    return path.relative_to(LIBRARY).with_suffix("").parts[0]


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def relative(path: Path) -> str:
    return str(path.relative_to(SCRIPTS))


def in_library(path: Path) -> bool:
    return path.is_relative_to(LIBRARY) and path != LIBRARY / "__init__.py"


library = pytest.mark.parametrize("path", [path for path in MODULES if in_library(path)], ids=relative)
modules = pytest.mark.parametrize("path", MODULES, ids=relative)
entries = pytest.mark.parametrize("path", ENTRIES, ids=relative)


@library
def test_nothing_is_imported_upward(path: Path) -> None:
    own = unit(path)
    assert own in LAYER, f"lep.{own} has no row in LAYERS: give it the one it belongs to"
    for name in imports(parse(path)):
        if name.startswith("lep."):
            target = name.split(".")[1]
            assert LAYER.get(target, len(LAYERS)) <= LAYER[own], f"lep.{own} must not import {name}"


def test_no_import_circle() -> None:
    graph = {}
    for path in filter(in_library, MODULES):
        targets = {name.split(".")[1] for name in imports(parse(path)) if name.startswith("lep.")}
        graph.setdefault(unit(path), set()).update(targets - {unit(path)})
    while graph:
        free = {name for name, targets in graph.items() if not targets & graph.keys()}
        assert free, f"these modules import one another: {sorted(graph)}"
        graph = {name: targets for name, targets in graph.items() if name not in free}


@modules
def test_library_knows_nothing_of_snakemake(path: Path) -> None:
    tree = parse(path)
    assert "snakemake" not in {name.split(".")[0] for name in imports(tree)}
    assert "snakemake" not in {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


@modules
def test_benchmark_stands_alone(path: Path) -> None:
    roots = {name.split(".")[0] for name in imports(parse(path))}
    if not path.is_relative_to(LIBRARY):
        assert "lep" not in roots
    elif unit(path) not in KNOW_THE_BENCHMARK:
        assert "darumeru" not in roots


@modules
def test_sizes(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= FILE_LINES
    for function in functions(parse(path)):
        assert function.end_lineno - function.lineno < FUNCTION_LINES, f"{function.name} is too long"


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
