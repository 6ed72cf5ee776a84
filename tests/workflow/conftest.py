"""A copy of the checkout to run Snakemake in, and one finished run of the ci overlay that the tests share."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from fixtures.checkout import copy_checkout
from fixtures.workflow import Run, no_network, snakemake


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(item.fspath).is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.workflow)
    # The files with a whole run take longest: begun last, they would leave the other process idle.
    long = {item.path for item in items if "finished" in item.fixturenames and "unit" not in item.path.parts}
    items.sort(key=lambda item: item.path not in long)


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of the checkout in which no job ever runs: a dry run lists all of them."""
    folder = copy_checkout(tmp_path_factory.mktemp("workflow") / "checkout")
    yield folder
    made = list(folder.glob("results/*/**/manifest.json"))
    assert not made, f"a test made {made[0]} in the checkout of the dry runs; use run_checkout"


@pytest.fixture(scope="session")
def run_checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The copy of the checkout in which `run` works."""
    return copy_checkout(tmp_path_factory.mktemp("run") / "checkout")


@pytest.fixture(scope="session")
def run(run_checkout: Path) -> Run:
    """Snakemake with the ci overlay in a copy of the checkout, without network."""
    prefix = no_network()

    def run_in_checkout(*arguments: str) -> subprocess.CompletedProcess:
        command = [*prefix, *snakemake(*arguments)]
        return subprocess.run(command, cwd=run_checkout, capture_output=True, text=True, stdin=subprocess.DEVNULL)

    return run_in_checkout


@pytest.fixture(scope="session")
def finished(run_checkout: Path, run: Run) -> Path:
    """The results of a complete run."""
    result = run("--cores", "2")
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-4000:]
    return run_checkout / "results" / "ci"
