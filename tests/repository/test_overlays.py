"""Every value that an overlay inherits from config.yaml is a decision, recorded in inherited.yaml beside this file."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
REGISTER = Path(__file__).with_name("inherited.yaml")
ANY = "any"


def read(path: Path) -> dict:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


OVERLAYS = {path.stem: read(path) for path in sorted((ROOT / "configs").glob("*.yaml"))}


def leaves(settings: object, key: str = "") -> Iterator[tuple[str, object]]:
    """(dotted key, value) of everything that is no mapping with keys; a list is one value."""
    if isinstance(settings, dict) and settings:
        for name, value in settings.items():
            yield from leaves(value, f"{key}.{name}" if key else name)
    else:
        yield key, settings


def inherited(config: dict, overlay: dict) -> dict[str, object]:
    """What the overlay leaves as it is. An empty mapping counts as set if the overlay puts keys into it."""
    own = [key for key, _ in leaves(overlay)]
    return {
        key: value
        for key, value in leaves(config)
        if not any(mine == key or mine.startswith(f"{key}.") for mine in own)
    }


def covers(entry: str, key: str) -> bool:
    return entry in ("*", key) or (entry.endswith(".*") and key.startswith(entry[:-1]))


def faults(name: str, register: dict, config: dict, overlay: dict) -> list[str]:
    """What is undecided, changed or outdated in an overlay, with what to do about it."""
    where, place = f"configs/{name}.yaml", f"tests/repository/inherited.yaml, {name}"
    if name not in register:
        return [f"{where} is new: give it a section in tests/repository/inherited.yaml, each key below its reason"]
    decided = {key: value for keys in register[name].values() for key, value in keys.items()}
    left = inherited(config, overlay)
    found = []
    for key, value in left.items():
        if any(covers(entry, key) and decided[entry] == ANY for entry in decided):
            continue
        if key not in decided:
            found.append(
                f"{key}: {where} inherits {value!r} from config.yaml, and nobody has decided that. Is it right at this "
                f"scale? Yes: list it in {place}, below a reason. No: set it in {where}"
            )
        elif decided[key] != value:
            found.append(
                f"{key}: config.yaml now says {value!r}, {where} was decided to inherit {decided[key]!r}. Right at "
                f"this scale too? Yes: change it in {place}. No: set {decided[key]!r} in {where}"
            )
    for entry in decided:
        if not any(covers(entry, key) for key in left):
            found.append(f"{entry}: {where} sets it, or config.yaml has no such key; delete it from {place}")
    return found


@pytest.mark.parametrize("name", OVERLAYS)
def test_every_inherited_value_is_decided(name: str) -> None:
    found = faults(name, read(REGISTER), read(ROOT / "config.yaml"), OVERLAYS[name])
    assert not found, "\n\n".join(["", *found])


def test_the_register_names_overlays_that_exist() -> None:
    assert set(read(REGISTER)) == set(OVERLAYS)


def test_an_undecided_key_is_named_with_what_to_do() -> None:
    config = {"seed": 1, "training": {"steps": 5, "weights": {}}, "old": {"a": 1}}
    register = {"large": {"a reason": {"seed": 1, "old.*": ANY}}}
    overlay = {"training": {"steps": 500, "weights": {"en": 2}}}
    assert faults("large", register, config, overlay) == []
    (new,) = faults("large", register, config | {"fresh": {"key": 0}}, overlay)
    assert new.startswith("fresh.key: configs/large.yaml inherits 0 from config.yaml, and nobody has decided that.")
    (moved,) = faults("large", register, config | {"seed": 2}, overlay)
    assert moved.startswith("seed: config.yaml now says 2, configs/large.yaml was decided to inherit 1.")
    (stale,) = faults("large", register, config, overlay | {"seed": 3})
    assert stale.startswith("seed: configs/large.yaml sets it, or config.yaml has no such key; delete it")
    (unknown,) = faults("tiny", register, config, {})
    assert unknown.startswith("configs/tiny.yaml is new")
