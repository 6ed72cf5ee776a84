"""The schema of config.yaml; its lists of names are those of the registers in `lep.names`."""

import difflib
from pathlib import Path

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend

from lep.config import UserError
from lep.corpus.scripts import SCRIPTS
from lep.methods import CONTROLS as PROPAGATION_CONTROLS
from lep.methods import METHODS
from lep.names import CALIBRATIONS, CONTROLS, NEW_VOCABULARIES
from lep.workflow.values import type_hint

SCHEMA = Path("rules/schemas/config.schema.yaml")
# Definitions that the file leaves open.
_NAMES = {
    "vocabulary": NEW_VOCABULARIES,
    "method": METHODS,
    "calibration": CALIBRATIONS,
    "control": CONTROLS,
    "propagation_control": PROPAGATION_CONTROLS,
    "copying": [name for name, calibration in CALIBRATIONS.items() if calibration.copies],
    "script": SCRIPTS,
}
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the first is ten times as fast, where yaml was built with it


def load_schema(path: Path) -> dict:
    """Read the schema and fill in the registered names; `UserError` where it is missing or not a mapping."""
    try:
        schema = yaml.load(path.read_text(encoding="utf-8"), _LOADER)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; run this from the folder of the Snakefile") from None
    if not isinstance(schema, dict) or "properties" not in schema:
        raise UserError(f"{path} is not the schema of a mapping: `properties` is missing")
    names = {name: {"enum": list(values)} for name, values in _NAMES.items()}
    return schema | {"$defs": schema.get("$defs", {}) | names}


def validator(root: Path) -> Draft202012Validator:
    """The check of a configuration against the schema; `root` is the folder of the Snakefile.

    Unlike in JSON Schema, 1.0 is no integer: what counts with it would stop later.
    """
    return _STRICT(load_schema(root / SCHEMA))


_WHOLE = Draft202012Validator.TYPE_CHECKER.redefine("integer", lambda _, value: type(value) is int)
_STRICT = extend(Draft202012Validator, type_checker=_WHOLE)


def explain(fault: ValidationError) -> list[str]:
    """A fault of the schema in lines that name the key, what is wrong, and what to write."""
    key = ".".join(str(part) for part in fault.absolute_path)
    if fault.validator == "additionalProperties":
        allowed = list(fault.schema.get("properties", {}))
        unknown = [name for name in fault.instance if name not in allowed]
        return [_unknown(".".join(filter(None, [key, name])), name, allowed) for name in unknown]
    if fault.validator == "enum":
        allowed = ", ".join(map(str, fault.validator_value))
        return [f"{key}: {fault.instance!r} is not known; use one of {allowed}"]
    if fault.validator == "type":
        return [f"{key}: must be of type {fault.validator_value}, found {fault.instance!r}{type_hint(fault.instance)}"]
    if fault.validator == "anyOf":
        choices = " or ".join(choice["description"] for choice in fault.validator_value)
        return [f"{key}: write {choices}, found {fault.instance!r}"]
    return [f"{key or 'top level'}: {fault.message}"]


def _unknown(key: str, name: str, allowed: list[str]) -> str:
    close = difflib.get_close_matches(name, allowed, n=1)
    return f"{key}: unknown key; " + (f"did you mean {close[0]!r}?" if close else f"use one of {', '.join(allowed)}")
