"""docs/decisions.md says of the configuration what the configuration says.

`key: value` in backticks, behind "mini:", "paper scale:" or "both scales:", is compared with the files; a dotted key
that is named without a value must exist. Rows of a list go by their `name` (`families.llama.learning_rate`).
"""

import copy
import re
from functools import reduce
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "decisions.md").read_text(encoding="utf-8")
SCALES = {"mini": ("mini",), "paper scale": ("paper",), "both scales": ("mini", "paper")}
KEY = r"[a-z_]+(?:\.[a-z_0-9]+)+"
CLAIM = rf"`{KEY}: [^`]+`"
CLAIMS = re.compile(rf"(mini|paper\sscale|both\sscales):\s({CLAIM}(?:(?:, |,\n| and ){CLAIM})*)")


def overlaid(settings: dict, overlay: dict) -> dict:
    """As Snakemake merges configuration files: mappings key by key, all else as a whole."""
    merged = dict(settings)
    for key, value in overlay.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = overlaid(merged[key], value) if both else value
    return merged


def read(name: str) -> dict:
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


CONFIG = {"mini": read("config.yaml"), "paper": overlaid(read("config.yaml"), read("configs/paper.yaml"))}


def value_of(settings: dict, key: str) -> object:
    def step(found: object, name: str) -> object:
        return next(row for row in found if row["name"] == name) if isinstance(found, list) else found[name]

    return copy.deepcopy(reduce(step, key.split("."), settings))


def claims() -> list[tuple[str, str, object]]:
    """(scale, key, value) of all that the page says."""
    found = []
    for marker, spans in CLAIMS.findall(TEXT):
        for span in re.findall(CLAIM, spans):
            key, value = span.strip("`").split(": ", 1)
            found += [(scale, key, yaml.safe_load(value)) for scale in SCALES[re.sub(r"\s", " ", marker)]]
    return found


@pytest.mark.parametrize(("scale", "key", "value"), claims())
def test_configuration_is_what_the_decision_says(scale: str, key: str, value: object) -> None:
    assert value_of(CONFIG[scale], key) == value


def test_every_value_says_of_which_scale_it_is() -> None:
    assert len(re.findall(CLAIM, TEXT)) == sum(len(re.findall(CLAIM, spans)) for _, spans in CLAIMS.findall(TEXT))
    assert len(claims()) > 30
    decided = {scale: value for scale, key, value in claims() if key == "propagation.token_text"}
    assert decided == {"mini": "bytes", "paper": "published"}


def test_every_key_that_is_named_exists() -> None:
    named = [key for key in re.findall(rf"`({KEY})`", TEXT) if key.split(".")[0] in CONFIG["mini"]]
    assert named
    for key in named:
        value_of(CONFIG["mini"], key)
