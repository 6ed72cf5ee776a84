"""envs/*.yaml repeat the pins of requirements.txt, completely; every `conda:` path of the rules exists."""

import re
from importlib.metadata import distribution
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
ENVS = sorted((ROOT / "envs").glob("*.yaml"))
VLLM = ROOT / "envs" / "vllm.yaml"
PYTHON = {"python_version": "3.12", "python_full_version": "3.12.0"}


def canonical(name: str) -> str:
    """A package's name as registries compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(lines: list[str]) -> dict[str, str]:
    """{canonical name: version}; anything but `name==version` fails."""
    found = {}
    for line in (line.split("#")[0].strip() for line in lines):
        if line:
            assert re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!]+", line), f"not an exact pin: {line}"
            name, version = line.split("==")
            assert canonical(name) not in found, f"{name} is pinned twice"
            found[canonical(name)] = version
    return found


REQUIREMENTS = pins((ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines())


def pip_block(path: Path) -> dict[str, str]:
    dependencies = yaml.safe_load(path.read_text(encoding="utf-8"))["dependencies"]
    return pins(next(entry["pip"] for entry in dependencies if isinstance(entry, dict)))


def needed_by(names: set[str]) -> set[str]:
    """`names` and all they need, as far as requirements.txt knows them (a CUDA build of torch brings more)."""
    todo, seen = [(name, frozenset()) for name in names], set()
    while todo:
        name, extras = item = todo.pop()
        if item in seen:
            continue
        seen.add(item)
        for requirement in map(Requirement, distribution(name).requires or ()):
            marker, child = requirement.marker, canonical(requirement.name)
            wanted = not marker or any(marker.evaluate({**PYTHON, "extra": extra}) for extra in {"", *extras})
            if wanted and child in REQUIREMENTS:
                todo.append((child, frozenset(requirement.extras)))
    return {name for name, _ in seen}


def test_requirements_are_complete() -> None:
    assert needed_by(set(REQUIREMENTS)) == set(REQUIREMENTS)
    for name, version in REQUIREMENTS.items():
        assert distribution(name).version.split("+")[0] == version, f"{name}: run make again"


@pytest.mark.parametrize("path", ENVS, ids=lambda path: path.stem)
def test_head_of_env(path: Path) -> None:
    env = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert env["name"] == f"lep-{path.stem}"
    assert env["channels"] == ["conda-forge", "nodefaults"]
    assert env["dependencies"][:2] == ["python=3.12", "pip"]


@pytest.mark.parametrize("path", [path for path in ENVS if path != VLLM], ids=lambda path: path.stem)
def test_pins_of_env(path: Path) -> None:
    found = pip_block(path)
    wanted = {name: REQUIREMENTS.get(name) for name in needed_by(set(found))}
    assert found == wanted


def test_vllm_env_agrees_where_it_pins_the_same() -> None:
    found = pip_block(VLLM)
    assert found.pop("vllm")
    assert found == {name: REQUIREMENTS[name] for name in found}


def test_conda_paths_of_the_rules() -> None:
    """Each `conda:` file exists, and each file but the optional backend's is used."""
    used = set()
    for rules in sorted((ROOT / "rules").glob("*.smk")):
        for name in re.findall(r'conda:\s+"([^"]+)"', rules.read_text(encoding="utf-8")):
            path = (rules.parent / name).resolve()
            assert path.is_file(), f"{rules.name} names {name}, which does not exist"
            used.add(path)
    assert used | {VLLM} == set(ENVS)
