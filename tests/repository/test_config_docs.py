"""docs/config.md: made from the schema, complete, and never behind it."""

import difflib
from pathlib import Path

import pytest
from lep.config import UserError
from lep.workflow.schema_docs import PAGE, SCHEMA, load_schema, render

ROOT = Path(__file__).parents[2]
EXAMPLE = {
    "description": "All keys.",
    "required": ["scale"],
    "properties": {
        "scale": {"type": "string", "minLength": 1, "description": "Folder of the results"},
        "compute": {
            "description": "Placement of the work.",
            "properties": {
                "threads": {"type": "integer", "minimum": 1, "default": 1, "description": "Threads of a job"},
                "device": {"enum": ["cpu", "cuda", None], "description": "Either | or"},
            },
        },
        "families": {
            "type": "array",
            "items": {"$ref": "#/$defs/family"},
        },
    },
    "$defs": {
        "name": {"type": "string", "description": "A name"},
        "family": {
            "type": "object",
            "required": ["name"],
            "properties": {
                "name": {"$ref": "#/$defs/name", "description": "Name of the family"},
                "vocabularies": {"type": "array", "items": {"enum": ["bpe", "unigram"]}},
                "sizes": {"additionalProperties": {"type": ["integer", "null"]}},
            },
        },
    },
}


def test_page_is_up_to_date() -> None:
    wanted = render(load_schema(ROOT / SCHEMA))
    found = (ROOT / PAGE).read_text(encoding="utf-8")
    changes = "\n".join(difflib.unified_diff(found.splitlines(), wanted.splitlines(), str(PAGE), "schema", lineterm=""))
    assert found == wanted, f"{PAGE} is behind {SCHEMA}; run `make docs`\n{changes}"


def test_every_key_of_the_schema_has_a_description() -> None:
    rows = [line.split(" | ") for line in render(load_schema(ROOT / SCHEMA)).splitlines() if line.startswith("| `")]
    assert rows
    assert [row[0] for row in rows if not row[-1].strip(" |")] == []


@pytest.mark.parametrize(
    "row",
    [
        "| `scale` | string, length at least 1 | required | Folder of the results. |",
        "| `compute.threads` | integer, at least 1 | `1` | Threads of a job. |",
        "| `compute.device` | `cpu` or `cuda` or null |  | Either \\| or. |",
        "| `families[].name` | string | required | Name of the family. |",
        "| `families[].vocabularies` | list of `bpe` or `unigram` |  |  |",
        "| `families[].sizes.<name>` | integer or null |  |  |",
    ],
)
def test_row(row: str) -> None:
    assert row in render(EXAMPLE).splitlines()


def test_sections_follow_the_schema() -> None:
    heads = [line for line in render(EXAMPLE).splitlines() if line.startswith("#")]
    assert heads == ["# Configuration", "## General", "## compute", "## families"]


def test_unknown_reference_is_named() -> None:
    with pytest.raises(UserError, match="#/\\$defs/nothing"):
        render({"properties": {"a": {"$ref": "#/$defs/nothing"}}})


def test_missing_schema_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"absent\.yaml does not exist"):
        load_schema(tmp_path / "absent.yaml")
