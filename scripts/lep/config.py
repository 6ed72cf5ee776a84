"""Job configurations: frozen dataclasses read from JSON. Unknown keys and wrong types are errors."""

import json
from pathlib import Path
from typing import TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

Job = TypeVar("Job")

# For `@pydantic.dataclasses.dataclass(frozen=True, config=STRICT)` on every job configuration.
STRICT = ConfigDict(extra="forbid")


class UserError(Exception):
    """Bad input. The message says what is wrong, where, and what to write instead."""


def parse_job(cls: type[Job], values: dict, where: str) -> Job:
    """Build the dataclass `cls` from `values`; raises one `UserError` that lists every bad key.

    `where` is the origin of the values (a file) for the message.
    """
    try:
        return TypeAdapter(cls).validate_python(values)
    except ValidationError as error:
        lines = [
            f"  {'.'.join(str(part) for part in item['loc']) or cls.__name__}: {item['msg']}"
            for item in error.errors(include_url=False, include_context=False)
        ]
        raise UserError(f"{where} is not a valid {cls.__name__}:\n" + "\n".join(lines)) from None


def load_job(cls: type[Job], path: str | Path) -> Job:
    """Read a job configuration from a JSON file; raises `UserError` if it is missing, not JSON or not a valid `cls`."""
    path = Path(path)
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; write the job configuration there first") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not JSON in UTF-8: {error}") from None
    if not isinstance(values, dict):
        raise UserError(f"{path} must contain one JSON object, found {type(values).__name__}")
    return parse_job(cls, values, str(path))
