import numpy as np
import pytest
import torch
from lep.propagation.sparse import sparse_product
from scipy.sparse import csr_matrix, identity, random_array


@pytest.mark.parametrize("gathered", [1, 50, 2**25])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_product_in_any_number_of_columns_at_a_time(
    gathered: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lep.propagation.sparse._GATHERED", gathered)
    weights = csr_matrix(random_array((30, 9), density=0.3, rng=np.random.default_rng(0)))
    stored = torch.randn((12, 7), generator=torch.Generator().manual_seed(0)).to(dtype)
    product = sparse_product(weights, stored)
    torch.testing.assert_close(product, torch.from_numpy(weights @ stored[:9].double().numpy()))
    ids = np.array([3, 11, 0, 1, 2, 10, 9, 4, 7])
    chosen = torch.from_numpy(weights @ stored[torch.from_numpy(ids)].double().numpy())
    torch.testing.assert_close(sparse_product(weights, stored, ids), chosen)


def test_rows_without_entries_are_zero() -> None:
    weights = csr_matrix(np.array([[0.0, 2.0], [0.0, 0.0]]))
    stored = torch.tensor([[float("nan"), 1.0], [3.0, 4.0]])
    assert sparse_product(weights, stored).tolist() == [[6.0, 8.0], [0.0, 0.0]]
    assert sparse_product(weights[1:], stored).tolist() == [[0.0, 0.0]]


def test_selected_rows_are_those_stored() -> None:
    stored = torch.tensor([[0.1, 0.2], [0.3, 0.4], [float("nan"), 0.0]], dtype=torch.bfloat16)
    chosen = identity(3, format="csr")[[1, 0, 1]]
    assert torch.equal(sparse_product(chosen, stored), stored[[1, 0, 1]].double())
    assert torch.equal(sparse_product(chosen, stored, np.array([1, 0, 2])), stored[[0, 1, 0]].double())
    halves = csr_matrix(chosen * 0.5)
    assert torch.equal(sparse_product(halves, stored), stored[[1, 0, 1]].double() / 2)
