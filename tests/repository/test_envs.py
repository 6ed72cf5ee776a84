"""envs/*.yaml repeat the pins of requirements.txt, and hold what their rules import; every `conda:` path exists."""

import ast
import os
import re
import subprocess
import sys
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

import pytest
import yaml
from fixtures.rules import RULES, TEXT
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "scripts"
ENVS = sorted((ROOT / "envs").glob("*.yaml"))
VLLM = ROOT / "envs" / "vllm.yaml"
# Pins of vLLM, or of what it needs, that rule out those of requirements.txt.
OTHER_IN_VLLM = {"numpy", "setuptools", "torch", "transformers"}
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


def test_vllm_env_differs_only_where_vllm_asks_for_it() -> None:
    found = pip_block(VLLM)
    assert {"vllm", "torch", "transformers", "lm-eval"} <= found.keys()
    assert {name for name in found.keys() & REQUIREMENTS.keys() if found[name] != REQUIREMENTS[name]} == OTHER_IN_VLLM


def test_conda_paths_of_the_rules() -> None:
    """Each environment that a rule names exists, and each of envs/ is used."""
    used = {env for name in RULES for env in environments(name)}
    assert used == {path.stem for path in ENVS}


# -- what the rules import


def environments(rule: str) -> list[str]:
    """The environments of a rule by name: none, one, or those among which the configuration chooses."""
    found = re.search(r"^ +conda:\n +(.+)", RULES[rule], re.M)
    value = found[1] if found else ""
    if value.isidentifier():
        value = re.search(rf"^{value} = (.+?)\n\n", TEXT, re.M | re.S)[1]
    return re.findall(r"\.\./envs/(\w+)\.yaml", value)


def files_of(rule: str) -> list[Path]:
    """What a rule runs: its script, or the modules of its command."""
    scripts = [SCRIPTS / found for found in re.findall(r'"\.\./scripts/(\w+\.py)"', RULES[rule])]
    modules = [file for name in re.findall(r"\blep(?:\.\w+)+", RULES[rule]) for file in module_files(name)]
    return scripts + modules


def module_files(name: str) -> list[Path]:
    """The files that importing or running a module executes."""
    place = SCRIPTS.joinpath(*name.split("."))
    return [file for file in (place.with_suffix(".py"), place / "__init__.py", place / "__main__.py") if file.is_file()]


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
# {(environment, package): rules} of packages that are imported in functions which these rules never call: the library
# of a fetched benchmark, the size of this machine's memory.
NEVER_CALLED = {
    ("corpus", "datasets"): {
        "fetch_dataset", "fetch_debian", "fetch_donor", "fetch_model", "fetch_package", "lock_sources"
    },
    ("corpus", "psutil"): {"preflight"},
    ("corpus", "torch"): {"preflight"},
}  # fmt: skip


def test_rules_are_found() -> None:
    assert [environments(rule) for rule in ("pretrain", "plot_figure1", "corpus")] == [["train"], ["report"], []]
    assert environments("evaluate") == environments("evaluate_part") == ["vllm", "evaluate"]
    assert environments("answer_prompts") == ["vllm", "train"]
    assert files_of("answer_prompts") == [SCRIPTS / "lep/compute/place.py", SCRIPTS / "lep/calibration/answers.py"]
    assert SCRIPTS / "lep/fetch/__main__.py" in files_of("fetch_model")
    assert len(RULES) > 50


@pytest.mark.parametrize("rule", RULES)
def test_what_a_rule_runs_exists_and_has_an_environment(rule: str) -> None:
    named = re.findall(r'"\.\./scripts/\w+\.py"|\blep(?:\.\w+)+', RULES[rule])
    assert len(files_of(rule)) >= len(named)
    assert all(file.is_file() for file in files_of(rule))
    assert environments(rule) or not named


def test_environments_hold_what_their_rules_import() -> None:
    known = packages_distributions()
    lacking = {}
    for rule in RULES:
        packages = imported(files_of(rule), OPTIONAL)
        for env in environments(rule):
            pinned = set(pip_block(ROOT / "envs" / f"{env}.yaml"))
            for package in packages:
                providers = {canonical(provider) for provider in known.get(package, [package])}
                if not providers & pinned:
                    lacking.setdefault((env, package), set()).add(rule)
    assert lacking == NEVER_CALLED


@pytest.mark.slow
@pytest.mark.skipif(os.environ.get("LEP_TEST_SLOW") != "1", reason="asks a package index for minutes: LEP_TEST_SLOW=1")
@pytest.mark.parametrize("path", ENVS, ids=lambda path: path.stem)
def test_pip_can_resolve_the_pins(path: Path, tmp_path: Path) -> None:
    pins = tmp_path / "pins.txt"
    pins.write_text("".join(f"{name}=={version}\n" for name, version in pip_block(path).items()), encoding="utf-8")
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--ignore-installed", "-r", str(pins)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-2000:]
