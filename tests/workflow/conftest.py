"""A copy of the checkout to run Snakemake in, and one finished run of the ci overlay that the tests share."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from checkout import copy_checkout

Run = Callable[..., subprocess.CompletedProcess]

# Set by the `make test` around us; the targets under test have their own.
for variable in ("MAKEFLAGS", "ARGS", "SCALE", "CORES"):
    os.environ.pop(variable, None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(item.fspath).is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.workflow)
    # The files with a whole run take longest: begun last, they would leave the other process idle.
    long = {item.path for item in items if "finished" in item.fixturenames and "unit" not in item.path.parts}
    items.sort(key=lambda item: item.path not in long)


def no_network() -> list[str]:
    """A prefix that takes the network from a command, where the system lets an ordinary user do that."""
    command = ["unshare", "--map-root-user", "--net"]
    try:
        return command if subprocess.run([*command, "true"], capture_output=True).returncode == 0 else []
    except FileNotFoundError:
        return []


def snakemake(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "snakemake", "--configfile", "configs/ci.yaml", *arguments]


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout without results."""
    return copy_checkout(tmp_path_factory.mktemp("workflow") / "checkout")


@pytest.fixture(scope="session")
def run(checkout: Path) -> Run:
    """Snakemake with the ci overlay in the copy, without network."""
    prefix = no_network()

    def run_in_checkout(*arguments: str) -> subprocess.CompletedProcess:
        command = [*prefix, *snakemake(*arguments)]
        return subprocess.run(command, cwd=checkout, capture_output=True, text=True, stdin=subprocess.DEVNULL)

    return run_in_checkout


@pytest.fixture(scope="session")
def finished(checkout: Path, run: Run) -> Path:
    """The results of a complete run."""
    result = run("--cores", "2")
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-4000:]
    return checkout / "results" / "ci"
