"""The schema takes its lists of names from the registers: what is registered is accepted, and nothing else."""

from pathlib import Path

import pytest
from fixtures.checkout import ROOT
from fixtures.configuration import SCALES, configuration
from jsonschema import Draft202012Validator
from lep.config import UserError
from lep.corpus.scripts import SCRIPTS
from lep.methods import METHODS
from lep.names import CALIBRATIONS, NEW_VOCABULARIES
from lep.workflow import schema
from lep.workflow.schema import SCHEMA, load_schema


def faults(config: dict) -> list[str]:
    return [
        ".".join(map(str, fault.path)) for fault in Draft202012Validator(load_schema(ROOT / SCHEMA)).iter_errors(config)
    ]


@pytest.mark.parametrize("scale", SCALES)
def test_every_scale_is_valid(scale: str) -> None:
    assert faults(configuration(scale)) == []


def with_name(kind: str, name: str) -> tuple[dict, str]:
    """A configuration that uses a name of a register, and the key where it does."""
    family = configuration()["families"][0]
    if kind == "vocabulary":
        return configuration(families=[family | {"vocabularies": [name]}]), "families.0.vocabularies.0"
    if kind == "calibration":
        row = {"vocabulary": "extended", "calibrations": [name]}
        return configuration(families=[family | {"calibrated": [row]}]), "families.0.calibrated.0.calibrations.0"
    if kind == "control":
        return configuration(families=[family | {"controls": [name]}]), "families.0.controls.0"
    if kind == "method":
        return configuration(propagation={"methods": [name]}), "propagation.methods.0"
    if kind == "copying":
        return configuration(calibration={"copy_examples": {name: 1}}), "calibration.copy_examples"
    languages = [{"language": "xx", "script": name}, {"language": "en", "script": "latin"}]
    return configuration(corpus={"languages": languages}), "corpus.languages.0.script"


NAMES = {
    "vocabulary": NEW_VOCABULARIES,
    "calibration": CALIBRATIONS,
    "method": METHODS,
    "script": SCRIPTS,
    "control": ["saiga", "saiga_copy"],
    "copying": ["self", "saiga_copy"],
}


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in NAMES.items() for name in names])
def test_registered_names_are_accepted(kind: str, name: str) -> None:
    config, _ = with_name(kind, name)
    assert faults(config) == []


@pytest.mark.parametrize(
    ("kind", "name"),
    [*((kind, "magic") for kind in NAMES), ("vocabulary", "original"), ("control", "self"), ("copying", "saiga")],
)
def test_other_names_are_refused(kind: str, name: str) -> None:
    config, key = with_name(kind, name)
    assert faults(config) == [key]


def test_a_new_name_needs_the_register_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(schema._NAMES, "method", [*METHODS, "magic"])
    config, _ = with_name("method", "magic")
    assert faults(config) == []


def test_every_open_definition_is_filled() -> None:
    definitions = load_schema(ROOT / SCHEMA)["$defs"]
    assert [name for name, definition in definitions.items() if not definition] == []
    assert schema._NAMES.keys() <= definitions.keys()


@pytest.mark.parametrize(
    ("text", "message"), [(None, "does not exist"), ("[1]", "is not the schema of a mapping"), ("a: 1", "`properties`")]
)
def test_a_file_that_is_no_schema_is_named(text: str | None, message: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "schema.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=rf"schema\.yaml.*{message}"):
        load_schema(tmp_path / "schema.yaml")
