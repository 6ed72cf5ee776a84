"""Expensive jobs do not run again when code changes, only when their RECIPE_VERSION does: no change may slip through.

`python tests/repository/test_recipes.py` records the present state in recipes.json.
"""

import hashlib
import json
from pathlib import Path

import pytest
from lep.workflow.code_version import library_files, without_comments
from lep.workflow.jobs import MODULES, recipe_version

ROOT = Path(__file__).parents[2]
RECORDED = Path(__file__).with_name("recipes.json")
EXPENSIVE = tuple(dict.fromkeys(MODULES.values()))


def state(module: str) -> dict:
    """Version and hash of the code that decides the numbers of an expensive module, by its dotted name."""
    files = library_files(ROOT, module)
    assert files, f"{module} does not exist"
    code = "".join(f"{name}\n{without_comments((ROOT / name).read_text(encoding='utf-8'))}\n" for name in files)
    return {"version": recipe_version(ROOT, module), "sha256": hashlib.sha256(code.encode()).hexdigest()}


def test_every_expensive_module_is_recorded() -> None:
    assert set(json.loads(RECORDED.read_text(encoding="utf-8"))) == set(EXPENSIVE)


@pytest.mark.parametrize("module", EXPENSIVE)
def test_changed_code_has_a_new_version(module: str) -> None:
    recorded = json.loads(RECORDED.read_text(encoding="utf-8"))[module]
    assert state(module) == recorded, (
        f"code behind {module} changed: if a number can change, raise its RECIPE_VERSION; "
        "then record the new state with `python tests/repository/test_recipes.py`"
    )


if __name__ == "__main__":
    RECORDED.write_text(json.dumps({module: state(module) for module in EXPENSIVE}, indent=2) + "\n", encoding="utf-8")
