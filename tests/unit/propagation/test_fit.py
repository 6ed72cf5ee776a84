"""The maps against their definitions: closed forms, optimality among their kind, and the user's own map."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from lep.config import UserError
from lep.propagation.fit import MAPS, PENALTIES, Fit, MapSettings, fit_map
from lep.propagation.moments import Pairs, hold_out, read_problem
from lep.propagation.orthogonal import nearest_orthogonal
from lep.propagation.own import load_own
from scipy.sparse import identity

D = 12
ALL = pytest.mark.parametrize("name", [name for name in MAPS if name != "own"])


def rows(count: int, seed: int = 0, width: int = D) -> torch.Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def rotation(seed: int = 5) -> torch.Tensor:
    return torch.linalg.qr(rows(D, seed)).Q


def fit(name: str, a: torch.Tensor, b: torch.Tensor, seed: int = 0, **settings) -> Fit:
    problem = read_problem(identity(len(a), format="csr"), Pairs(a, b, np.arange(len(a))), seed, name)
    return fit_map(name, problem, MapSettings(**settings))


@ALL
def test_identity_is_found(name: str) -> None:
    a = rows(100)
    found = fit(name, a, a)
    torch.testing.assert_close(found.projection, torch.eye(D, dtype=torch.float64), rtol=1e-9, atol=1e-9)
    assert found.residual == found.heldout_residual == found.identity_residual == 0


@ALL
@pytest.mark.parametrize("truth", [rotation(), torch.eye(D, dtype=torch.float64)[torch.arange(D).roll(1)]])
def test_a_rotation_or_permutation_is_found_or_nearly(name: str, truth: torch.Tensor) -> None:
    """Ridge is drawn towards the identity by the weakest penalty."""
    a = rows(400)
    found = fit(name, a, a @ truth)
    torch.testing.assert_close(found.projection, truth, rtol=0, atol=1e-3 if name == "ridge" else 1e-9)


def test_scaled_rotation_needs_the_factor() -> None:
    a, truth = rows(100), rotation()
    torch.testing.assert_close(fit("scaled_procrustes", a, 3 * a @ truth).projection, 3 * truth)
    assert fit("scaled_procrustes", a, 3 * a @ truth).found["scale"] == pytest.approx(3)
    torch.testing.assert_close(fit("procrustes", a, 3 * a @ truth).projection, truth)
    assert fit("procrustes", a, 3 * a @ truth).residual == pytest.approx(2 / 3)


@pytest.mark.parametrize("penalty", [1e-4, 0.3, 10.0])
def test_ridge_solves_its_equation(penalty: float) -> None:
    """The gradient of |A P - B|^2 + l |P - I|^2 is zero at its minimum."""
    a, b = rows(80), rows(80, 1)
    projection = fit("ridge", a, b, penalty=penalty).projection
    strength = penalty * float((a**2).sum()) / D
    gradient = a.T @ (a @ projection - b) + strength * (projection - torch.eye(D, dtype=torch.float64))
    assert gradient.abs().max() < 1e-9 * float((a.T @ b).norm())


def test_ridge_is_between_the_identity_and_least_squares() -> None:
    a, b = rows(80), rows(80) + 0.3 * rows(80, 1)
    unit, free = torch.eye(D, dtype=torch.float64), fit("least_squares", a, b).projection
    distances = [float((fit("ridge", a, b, penalty=p).projection - unit).norm()) for p in (1e-9, 1e-2, 1.0, 1e9)]
    assert distances == sorted(distances, reverse=True)
    assert distances[0] == pytest.approx(float((free - unit).norm()), rel=1e-6)
    assert distances[-1] < 1e-6


def test_ridge_takes_the_penalty_of_the_least_heldout_residual() -> None:
    """With few rows and much noise a strong penalty, with many rows and none a weak one; noise alone: no change."""
    truth = torch.eye(D, dtype=torch.float64) + 0.3 * rows(D, 2) / math.sqrt(D)
    clean = fit("ridge", rows(500), rows(500) @ truth)
    assert clean.found["penalty"] == PENALTIES[0]
    a = rows(40)
    noisy = fit("ridge", a, a @ truth + 0.5 * rows(40, 3))
    assert noisy.found["penalty"] in PENALTIES[2:]
    train, held = hold_out(40, 0)
    b = a @ truth + 0.5 * rows(40, 3)
    residuals = []
    for penalty in PENALTIES:
        strength = penalty * float((a[train] ** 2).sum()) / D
        left = a[train].T @ a[train] + strength * torch.eye(D, dtype=torch.float64)
        right = a[train].T @ b[train] + strength * torch.eye(D, dtype=torch.float64)
        residuals.append(float((a[held] @ torch.linalg.solve(left, right) - b[held]).norm() / b[held].norm()))
    assert noisy.heldout_residual == pytest.approx(min(residuals))
    assert noisy.found["penalty"] == PENALTIES[int(np.argmin(residuals))]
    # A fit to pure noise never beats leaving the rows alone.
    noise = fit("ridge", a, a + rows(40, 4))
    assert noise.heldout_residual <= noise.identity_residual


@pytest.mark.parametrize("count", [1, 4])
def test_ridge_without_heldout_rows_leaves_the_rows_alone(count: int) -> None:
    found = fit("ridge", rows(count), rows(count, 1))
    torch.testing.assert_close(found.projection, torch.eye(D, dtype=torch.float64))
    assert found.found["penalty"] is None
    assert found.heldout_residual is None


@pytest.mark.parametrize("count", [1, 5, 11])
def test_fewer_rows_than_dimensions(count: int) -> None:
    """Ridge leaves what the rows do not reach as it is; Procrustes is orthogonal all the same."""
    a, b = rows(count), rows(count, 1)
    outside = torch.linalg.qr(torch.cat([a, rows(D, 9)]).T).Q[:, count:]  # orthogonal to all rows
    kept = outside.T @ fit("ridge", a, b, penalty=0.1).projection
    torch.testing.assert_close(kept, outside.T, rtol=1e-9, atol=1e-9)
    projection = fit("procrustes", a, b).projection
    torch.testing.assert_close(projection.T @ projection, torch.eye(D, dtype=torch.float64), rtol=1e-9, atol=1e-9)


def test_ridge_of_no_penalty_needs_enough_rows() -> None:
    with pytest.raises(UserError, match="penalty 0 the 5 rows do not determine the map; use a larger"):
        fit("ridge", rows(5), rows(5, 1), penalty=0.0)


def test_procrustes_is_the_best_rotation() -> None:
    a, b = rows(60), rows(60, 1)
    found = fit("procrustes", a, b)
    for seed in range(20):
        turn = torch.linalg.matrix_exp(0.05 * (rows(D, seed) - rows(D, seed).T))
        assert float((a @ found.projection @ turn - b).norm() / b.norm()) > found.residual


@pytest.mark.parametrize("condition", [1.0, 1e6, 1e14, math.inf])
def test_polar_factor_equals_that_of_singular_values(condition: float) -> None:
    u, v = rotation(1), rotation(2)
    values = torch.logspace(0, -math.log10(condition) if math.isfinite(condition) else -3, D, dtype=torch.float64)
    if math.isinf(condition):
        values[-3:] = 0
    matrix = u @ torch.diag(values) @ v
    found = nearest_orthogonal(matrix)
    torch.testing.assert_close(found.T @ found, torch.eye(D, dtype=torch.float64), rtol=1e-9, atol=1e-9)
    assert float((found * matrix).sum()) == pytest.approx(float(values.sum()), rel=1e-9)  # the maximum of tr(P'M)
    if condition <= 1e6:
        torch.testing.assert_close(found, u @ v, rtol=1e-6, atol=1e-6)


OWN = """
import torch
def half(gram, cross):
    gram.zero_()
    return torch.eye(len(cross), dtype=torch.float64) / 2
def wrong_shape(gram, cross): return cross[:3]
def no_numbers(gram, cross): return cross * float("nan")
def fails(gram, cross): return cross.nothing
text = "half"


def of_rows(gram, cross, rows):
    return gram


def reads_file(gram, cross):
    with open("numbers.txt") as file:
        return gram * float(file.read())


def reads_network(gram, cross):
    import socket
    socket.create_connection(("127.0.0.1", 9))
    return gram


def imports(gram, cross):
    import fractions
    return gram.new_ones(gram.shape)
"""


def test_own_map(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(OWN)
    a = rows(60)
    found = fit("own", a, a, own=f"{tmp_path}/mine.py:half")
    torch.testing.assert_close(found.projection, torch.eye(D, dtype=torch.float64) / 2)
    assert (found.residual, found.heldout_residual) == pytest.approx((0.5, 0.5))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mine.py:wrong_shape", r"must return a matrix of shape \(12, 12\), but returned \(3, 12\)"),
        ("mine.py:no_numbers", "returned NaN or infinite numbers"),
        ("mine.py:fails", "failed: AttributeError"),
        ("mine.py:of_rows", "must take two matrices, A'A and A'B, and no more .missing a required argument: 'rows'"),
        ("mine.py:reads_file", "mine.py:reads_file reads numbers.txt, but may use A'A and A'B alone"),
        ("mine.py:reads_network", "mine.py:reads_network reads socket.connect, but may use"),
        ("reading.py:half", "reading.py:half reads numbers.txt, but may"),
        ("mine.py:missing", "has no function missing"),
        ("mine.py:text", "has no function text"),
        ("other.py:half", "other.py does not exist"),
        ("broken.py:half", "broken.py cannot be imported: SyntaxError"),
        ("mine:half", "write path/to/file.py:function"),
        ("", "write path/to/file.py:function"),
    ],
)
def test_own_map_that_cannot_be_used(name: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text(OWN)
    (tmp_path / "broken.py").write_text("def half(:\n")
    (tmp_path / "numbers.txt").write_text("0.5")
    (tmp_path / "reading.py").write_text("scale = float(open('numbers.txt').read())\nhalf = abs\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message):
        fit("own", rows(60), rows(60), own=name)
    assert (tmp_path / "numbers.txt").read_text() == "0.5"  # afterwards files can be read


def test_own_map_may_import_what_is_installed(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(OWN)
    assert fit("own", rows(60), rows(60), own=f"{tmp_path}/mine.py:imports").projection.sum() == D * D


@pytest.mark.parametrize("penalty", [-1e-9, -1.0, math.inf, math.nan])
def test_a_penalty_is_a_number_from_0_on(penalty: float) -> None:
    with pytest.raises(UserError, match=r"the penalty of ridge is .*; give a number from 0 on, or none to choose it"):
        MapSettings(penalty)


def test_load_own_gives_the_function(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(OWN)
    assert load_own(f"{tmp_path}/mine.py:half").__name__ == "half"
