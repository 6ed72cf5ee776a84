"""Expensive jobs do not run again when code changes, only when their RECIPE_VERSION does: no change may slip through.

`python tests/repository/test_recipes.py` records the present state in recipes.json.
"""

import hashlib
import json
import re
from pathlib import Path

import pytest
from lep.workflow.code_version import library_files, without_comments

ROOT = Path(__file__).parents[2]
RECORDED = Path(__file__).with_name("recipes.json")
MODULES = ("stand_ins", "adopt", "pretrain", "answers", "calibrate", "evaluate", "samples")


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
        "then record the new state with `python tests/repository/test_recipes.py`"
    )


if __name__ == "__main__":
    RECORDED.write_text(json.dumps({module: state(module) for module in MODULES}, indent=2) + "\n", encoding="utf-8")
