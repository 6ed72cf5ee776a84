"""envs/*.yaml repeat the pins of requirements.txt, and hold what their rules import; every `conda:` path exists."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "scripts"
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


# -- what the rules import


def rules() -> Iterator[tuple[str, str, list[Path]]]:
    """(rule, env, its Python files) of every rule with an environment: the script, or the module of its command."""
    for path in sorted((ROOT / "rules").glob("*.smk")):
        for name, body in re.findall(r"^rule (\w+):\n(.*?)(?=^\S|\Z)", path.read_text(encoding="utf-8"), re.M | re.S):
            env = re.search(r"conda:\s+(?:\"\.\./envs/(\w+)\.yaml\"|EVALUATION_ENV)", body)
            scripts = [SCRIPTS / found for found in re.findall(r'"\.\./scripts/(\w+\.py)"', body)]
            modules = [path for module in re.findall(r"\blep\.(\w+)", body) for path in module_files(f"lep.{module}")]
            if env and (scripts or modules):
                yield name, env[1] or "evaluate", [*scripts, *modules]


def module_files(name: str) -> list[Path]:
    place = SCRIPTS.joinpath(*name.split("."))
    return [path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()]


def imported(files: list[Path], optional: set[str]) -> set[str]:
    """Top-level names that the files and our modules behind them import, wherever in them."""
    found, waiting, seen = set(), list(files), set()
    while waiting:
        file = waiting.pop()
        if file in seen:
            continue
        seen.add(file)
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            for name in names:
                own = name.split(".")[0] in ("lep", "darumeru")
                waiting += module_files(name) if own else []
                found |= set() if own else {name.split(".")[0]}
    return found - set(sys.stdlib_module_names) - optional


# Backends that are asked for by name, and what speeds up a GPU where it is installed.
OPTIONAL = {"vllm", "liger_kernel"}
# (environment, package): imported in functions that no rule with this environment calls: the library of a fetched
# benchmark.
NEVER_CALLED = {("corpus", "datasets")}


def test_rules_are_found() -> None:
    found = {name: env for name, env, _ in rules()}
    assert (found["pretrain"], found["evaluate"], found["plot_figure1"]) == ("train", "evaluate", "report")
    assert len(found) > 30


def test_environments_hold_what_their_rules_import() -> None:
    known = packages_distributions()
    lacking = {}
    for name, env, files in rules():
        pinned = set(pip_block(ROOT / "envs" / f"{env}.yaml"))
        for package in imported(files, OPTIONAL):
            providers = {canonical(provider) for provider in known.get(package, [package])}
            if not providers & pinned:
                lacking.setdefault((env, package), []).append(name)
    assert set(lacking) == NEVER_CALLED, lacking


@pytest.mark.slow
@pytest.mark.skipif(os.environ.get("LEP_TEST_SLOW") != "1", reason="asks a package index for minutes: LEP_TEST_SLOW=1")
@pytest.mark.parametrize("path", ENVS, ids=lambda path: path.stem)
def test_pip_can_resolve_the_pins(path: Path, tmp_path: Path) -> None:
    pins = tmp_path / "pins.txt"
    pins.write_text("".join(f"{name}=={version}\n" for name, version in pip_block(path).items()), encoding="utf-8")
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--ignore-installed", "-r", str(pins)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-2000:]
