"""Preflight of driver, compiler and kernel cache, with commands and a torch that the tests make."""

import importlib.machinery
from pathlib import Path

import pytest
from lep.planning import gpu_checks
from lep.planning.finding import FAILED, NOTE, OK
from lep.planning.gpu_checks import check_gpu_software, torch_cuda

GPUS = {"compute": {"gpus_per_job": 8}}


@pytest.fixture(autouse=True)
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without compiler, driver and SLURM, and torch for CUDA 12.8."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "cache"))
    install_torch(tmp_path, monkeypatch, "'12.8'")


def install_torch(folder: Path, monkeypatch: pytest.MonkeyPatch, cuda: str) -> None:
    (folder / "torch").mkdir(exist_ok=True)
    text = f"__version__ = '2.13.0'\ncuda: Optional[str] = {cuda}\nhip: Optional[str] = None\n"
    (folder / "torch" / "version.py").write_text(text)
    spec = importlib.machinery.ModuleSpec("torch", None, origin=str(folder / "torch" / "__init__.py"))
    monkeypatch.setattr(gpu_checks.importlib.util, "find_spec", lambda name: spec)


def command(folder: Path, name: str, output: str = "") -> None:
    path = folder / "bin" / name
    path.write_text(f"#!/bin/sh\necho '{output}'\n")
    path.chmod(0o755)


def found(config: dict = GPUS, cluster: bool = False) -> dict[str, tuple[str, str]]:
    """{what is checked: (outcome, text and remedy)}."""
    findings = [(f.what.partition(":")[0], f) for f in check_gpu_software(config, cluster)]
    return {name: (f.state, f"{f.what} {f.remedy}") for name, f in findings}


def test_a_run_without_gpus_asks_for_nothing() -> None:
    assert found({"compute": {"gpus_per_job": 0}}) == {}


def test_a_bare_machine_is_told_what_it_lacks() -> None:
    checks = found()
    assert checks["driver"][0] == checks["C compiler"][0] == FAILED
    assert "install gcc" in checks["C compiler"][1]
    assert checks["kernel cache"][0] == OK


def test_on_a_cluster_the_compute_nodes_may_differ() -> None:
    checks = found(cluster=True)
    assert checks["driver"][0] == checks["C compiler"][0] == NOTE


@pytest.mark.parametrize("compiler", ["cc", "gcc", "clang"])
def test_a_complete_machine_passes(compiler: str, tmp_path: Path) -> None:
    command(tmp_path, compiler)
    command(tmp_path, "nvidia-smi", "570.124.06")
    assert {outcome for outcome, _ in found().values()} == {OK}


def test_an_own_compiler_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command(tmp_path, "mycc")
    monkeypatch.setenv("CC", "mycc -O2")
    assert found()["C compiler"] == (OK, "C compiler: mycc ")


@pytest.mark.parametrize(
    ("cuda", "driver", "outcome"),
    [
        ("'12.8'", "525.60.13", OK),
        ("'12.8'", "470.82.01", FAILED),
        ("'13.0'", "570.124.06", FAILED),
        ("'13.0'", "580.65", OK),
    ],
)
def test_the_driver_must_know_the_cuda_of_torch(
    cuda: str, driver: str, outcome: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_torch(tmp_path, monkeypatch, cuda)
    command(tmp_path, "nvidia-smi", driver)
    assert found()["driver"][0] == outcome
    assert driver in found()["driver"][1]


def test_a_torch_without_cuda_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_torch(tmp_path, monkeypatch, "None")
    assert torch_cuda() is None
    assert found()["torch"][0] == FAILED


def test_a_full_or_foreign_cache_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = gpu_checks.shutil.disk_usage(tmp_path)._replace(free=10**8)
    monkeypatch.setattr(gpu_checks.shutil, "disk_usage", lambda place: usage)
    outcome, text = found()["kernel cache"]
    assert outcome == FAILED
    assert "0.1 GB are free" in text
    assert "TRITON_CACHE_DIR" in text
