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
# lm-evaluation-harness loads the tasks through their YAML files, which name this module.
LOADED_BY_NAME = {"lep.evaluation.evaluate": ("darumeru.tasks.plugin",)}


def state(module: str) -> dict:
    """Version and hash of the code that decides the numbers of an expensive module, by its dotted name."""
    assert library_files(ROOT, module), f"{module} does not exist"
    files = library_files(ROOT, module, *LOADED_BY_NAME.get(module, ()))
    code = "".join(f"{name}\n{without_comments((ROOT / name).read_text(encoding='utf-8'))}\n" for name in files)
    return {"version": recipe_version(ROOT, module), "sha256": hashlib.sha256(code.encode()).hexdigest()}


def test_every_expensive_module_is_recorded() -> None:
    assert set(json.loads(RECORDED.read_text(encoding="utf-8"))) == set(EXPENSIVE)


def test_the_records_of_the_benchmark_decide_its_scores() -> None:
    loaded = library_files(ROOT, *LOADED_BY_NAME["lep.evaluation.evaluate"])
    assert {"scripts/darumeru/data.py", "scripts/darumeru/sources.py", "scripts/darumeru/prompts.py"} <= {*loaded}


@pytest.mark.parametrize("module", EXPENSIVE)
def test_changed_code_has_a_new_version(module: str) -> None:
    recorded = json.loads(RECORDED.read_text(encoding="utf-8"))[module]
    assert state(module) == recorded, (
        f"code behind {module} changed: if a number can change, raise its RECIPE_VERSION; "
        "then record the new state with `python tests/repository/test_recipes.py`"
    )


if __name__ == "__main__":
    RECORDED.write_text(json.dumps({module: state(module) for module in EXPENSIVE}, indent=2) + "\n", encoding="utf-8")
