"""Expensive jobs do not run again when code changes, only when their RECIPE_VERSION does: no change may slip through.

`python tests/unit/test_recipes.py` records the present state in recipes.json.
"""

import ast
import hashlib
import io
import json
import re
import tokenize
from pathlib import Path

import pytest
from lep.settings import library_files

ROOT = Path(__file__).parents[2]
RECORDED = Path(__file__).with_name("recipes.json")
MODULES = ("stand_ins", "pretrain", "answers", "calibrate", "evaluate", "samples")


def without_comments(source: str) -> str:
    """The lines of a module that do something: no comments, no docstrings, no empty lines."""
    lines = source.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            lines[node.body[0].lineno - 1 : node.body[0].end_lineno] = [""] * (
                node.body[0].end_lineno - node.body[0].lineno + 1
            )
    return "\n".join(line.rstrip() for line in lines if line.strip())


def state(module: str) -> dict:
    """Version and hash of the code that decides the numbers of an expensive module."""
    files = library_files(ROOT, module)
    code = "".join(f"{name}\n{without_comments((ROOT / name).read_text(encoding='utf-8'))}\n" for name in files)
    text = (ROOT / "scripts/lep" / f"{module}.py").read_text(encoding="utf-8")
    version = int(re.search(r"^RECIPE_VERSION = (\d+)$", text, re.MULTILINE)[1])
    return {"version": version, "sha256": hashlib.sha256(code.encode()).hexdigest()}


@pytest.mark.parametrize("module", MODULES)
def test_changed_code_has_a_new_version(module: str) -> None:
    recorded = json.loads(RECORDED.read_text(encoding="utf-8"))[module]
    assert state(module) == recorded, (
        f"code behind lep.{module} changed: if a number can change, raise RECIPE_VERSION in lep/{module}.py; "
        "then record the new state with `python tests/unit/test_recipes.py`"
    )


def test_comments_and_docstrings_do_not_count() -> None:
    plain = 'def f(x):\n    return "# no comment" + x\n'
    assert without_comments('"""Words."""\n# why\n' + plain.replace(":\n", ':  # what\n    """Does."""\n\n')) == (
        without_comments(plain)
    )
    assert without_comments(plain) != without_comments(plain.replace("+", "-"))


if __name__ == "__main__":
    RECORDED.write_text(json.dumps({module: state(module) for module in MODULES}, indent=2) + "\n", encoding="utf-8")
