"""The schema of config.yaml; its lists of names are those of the registers in `lep.names`."""

from pathlib import Path

import yaml
from jsonschema import Draft202012Validator
from jsonschema.validators import extend

from lep.config import UserError
from lep.corpus.scripts import SCRIPTS
from lep.names import CALIBRATIONS, CONTROLS, METHODS, NEW_VOCABULARIES

SCHEMA = Path("rules/schemas/config.schema.yaml")
# Definitions that the file leaves open.
_NAMES = {
    "vocabulary": NEW_VOCABULARIES,
    "method": METHODS,
    "calibration": CALIBRATIONS,
    "control": CONTROLS,
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
