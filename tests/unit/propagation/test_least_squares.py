import logging

import numpy as np
import pytest
import torch
from lep.config import UserError
from lep.propagation.fit import Fit, MapSettings, fit_map
from lep.propagation.moments import Pairs, hold_out, read_problem
from scipy.sparse import csr_matrix, identity

D = 12


def rows(count: int, seed: int = 0, width: int = D) -> torch.Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def fit(a: torch.Tensor, b: torch.Tensor, seed: int = 0) -> Fit:
    """Of plain rows: each is one stored row with weight 1."""
    return fit_rows(identity(len(a), format="csr"), Pairs(a, b, np.arange(len(a))), seed)


def fit_rows(weights: csr_matrix, pairs: Pairs, seed: int = 0) -> Fit:
    return fit_map("least_squares", read_problem(weights, pairs, seed, "test"), MapSettings())


def test_known_map_is_recovered() -> None:
    a, truth = rows(100), rows(D, 1)
    found = fit(a, a @ truth)
    torch.testing.assert_close(found.projection, truth, rtol=1e-8, atol=1e-8)
    assert (found.found["rank"], found.rows, found.residual, found.heldout_residual) == (D, 100, 0.0, 0.0)
    assert found.identity_residual > 0.1


@pytest.mark.parametrize("scale", [1.0, 1e-5])
def test_noisy_fit_equals_the_reference_solution(scale: float) -> None:
    """Also for columns so unequal (condition above 1e4) that normal equations are not trusted."""
    a, b = rows(80), rows(80, 1)
    a[:, 0] *= scale
    found = fit(a, b)
    reference = torch.linalg.lstsq(a, b, driver="gelsy").solution
    torch.testing.assert_close(found.projection, reference, rtol=1e-8, atol=1e-8)
    values = torch.linalg.svdvals(a)
    assert found.found["condition"] == pytest.approx(float(values[0] / values[-1]), rel=1e-6)
    assert found.residual == pytest.approx(float((a @ reference - b).norm() / b.norm()), rel=1e-7)


def test_held_out_fifth_is_measured_with_the_others_fit() -> None:
    a, b = rows(85), rows(85, 1)
    train, held = hold_out(85, 3)
    assert len(held) == 17
    assert sorted({*train, *held}) == list(range(85))
    found = fit(a, b, seed=3)
    partial = torch.linalg.lstsq(a[train], b[train]).solution
    norm = b[held].norm()
    assert found.heldout_residual == pytest.approx(float((a[held] @ partial - b[held]).norm() / norm), rel=1e-7)
    assert found.identity_residual == pytest.approx(float((a[held] - b[held]).norm() / norm), rel=1e-7)


@pytest.mark.parametrize("count", [1, 5, 11])
def test_fewer_rows_than_dimensions_give_the_least_norm(count: int, caplog: pytest.LogCaptureFixture) -> None:
    a, b = rows(count), rows(count, 1)
    with caplog.at_level(logging.WARNING):
        found = fit(a, b)
    torch.testing.assert_close(found.projection, torch.linalg.pinv(a) @ b, rtol=1e-8, atol=1e-8)
    assert found.found["rank"] == count
    assert f"rank {count} of {D} from {count} rows" in caplog.text
    assert (found.heldout_residual is None) == (count < 5)


def test_dependent_columns_give_the_least_norm() -> None:
    a, b = rows(60, width=4) @ rows(4, 1), rows(60, 2)
    found = fit(a, b)
    assert found.found["rank"] == 4
    torch.testing.assert_close(found.projection, torch.linalg.pinv(a, rtol=1e-12) @ b, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("count", [8, 80])
def test_block_size_does_not_matter(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both by normal equations and by factorisation."""
    a, b = rows(count), rows(count, 1)
    whole = fit(a, b)
    monkeypatch.setattr("lep.propagation.moments.BLOCK_ROWS", 7)
    torch.testing.assert_close(fit(a, b).projection, whole.projection, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize(("count", "tokens"), [(200, 40), (40, 200), (200, 10)])
def test_fit_of_mixtures_equals_that_of_the_rows_made(count: int, tokens: int) -> None:
    """More rows than tokens (the pass goes over these), fewer, and so few tokens that the rank is theirs."""
    draw = np.random.default_rng(0)
    pieces = [draw.choice(tokens, size=draw.integers(1, 4)) for _ in range(count)]
    entries = [(row, piece, 1 / len(chosen)) for row, chosen in enumerate(pieces) for piece in chosen]
    row, column, share = zip(*entries, strict=True)
    weights = csr_matrix((share, (row, column)), shape=(count, tokens))
    base, instruct, order = rows(tokens + 3), rows(tokens + 5, 1), draw.permutation(tokens)
    found = fit_rows(weights, Pairs(base, instruct, order), 3)
    made = (torch.from_numpy(weights @ part.numpy()) for part in (base[:tokens], instruct[torch.from_numpy(order)]))
    reference = fit(*made, seed=3)
    torch.testing.assert_close(found.projection, reference.projection, rtol=1e-8, atol=1e-8)
    assert found.facts("") == pytest.approx(reference.facts(""), rel=1e-5)
    assert found.found["rank"] == min(D, tokens)


@pytest.mark.parametrize("count", [8, 80])
def test_order_of_rows_does_not_matter(count: int) -> None:
    """Both by normal equations and, for fewer rows than dimensions, by factorisation."""
    a, b = rows(count), rows(count, 1)
    order = torch.from_numpy(np.random.default_rng(0).permutation(count))
    one, other = fit(a, b), fit(a[order], b[order])
    torch.testing.assert_close(one.projection, other.projection, rtol=1e-9, atol=1e-10)
    assert one.residual == pytest.approx(other.residual, rel=1e-6, abs=1e-7)


def test_held_out_rows_depend_on_the_seed_alone() -> None:
    held = [hold_out(50, seed)[1] for seed in (1, 1, 2)]
    assert np.array_equal(held[0], held[1])
    assert not np.array_equal(held[0], held[2])


def test_bad_rows_are_refused() -> None:
    a, b = rows(20), rows(20, 1)
    with pytest.raises(UserError, match="share no token"):
        fit(a[:0], b[:0])
    b[3, 3] = float("nan")
    with pytest.raises(UserError, match="NaN"):
        fit(a, b)
