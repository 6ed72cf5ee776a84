import numpy as np
import pytest
import torch
from lep.propagation.geometry import NEIGHBOURS, changed_geometry


def rows(count: int, seed: int = 0, width: int = 16) -> torch.Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


def test_a_rotation_and_a_factor_keep_the_neighbours() -> None:
    before, turn = rows(300), torch.linalg.qr(rows(16, 1)).Q
    facts = changed_geometry(before, 2 * before @ turn, np.arange(200, 300), np.arange(300), 0)
    assert facts["norm_ratio"] == pytest.approx(2, rel=1e-5)
    assert facts["neighbours_kept"] == 1


def test_other_rows_have_other_neighbours() -> None:
    facts = changed_geometry(rows(300), rows(300, 1), np.arange(200, 300), np.arange(300), 0)
    assert facts["neighbours_kept"] == pytest.approx(NEIGHBOURS / 299, abs=0.03)


def test_only_the_new_rows_count() -> None:
    before, after = rows(300), rows(300)
    after[:200] *= 5  # a length alone changes no angle
    assert changed_geometry(before, after, np.arange(200, 300), np.arange(300), 0) == {
        "norm_ratio": 1,
        "neighbours_kept": 1,
    }


@pytest.mark.parametrize(("count", "new"), [(300, 0), (NEIGHBOURS, 2)])
def test_too_few_rows(count: int, new: int) -> None:
    facts = changed_geometry(rows(count), rows(count), np.arange(new), np.arange(count), 0)
    assert facts == {"norm_ratio": None, "neighbours_kept": None}
