"""The standard error of a part against the whole knows that rows share users and items."""

from __future__ import annotations

import numpy as np
import pytest

from orita.stats import cells
from orita.stats.cells import cell_differences, cell_mean_influence
from orita.stats.multiplicity import benjamini_hochberg


def test_a_mean_in_a_cell_is_judged_by_clusters() -> None:
    """The error equals the sandwich written out, user by user, with the two-way form for users and items."""
    random = np.random.default_rng(0)
    values_N, cell_N = random.normal(size=300), random.integers(-1, 3, 300)
    users_N, items_N = random.integers(0, 20, 300), random.integers(0, 15, 300)
    mean_L, own_N = cell_mean_influence(values_N, cell_N, 3)
    whole_N = (values_N - values_N.mean()) / 300
    found = cell_differences(own_N, whole_N, cell_N, 3, [users_N, items_N])
    for cell in range(3):
        inside_N = cell_N == cell
        pull_N = np.where(inside_N, (values_N - mean_L[cell]) / inside_N.sum(), 0) - whole_N
        parts = []
        for clusters_N in (users_N, items_N):
            met = len(np.unique(clusters_N[inside_N]))
            parts.append(sum(pull_N[clusters_N == c].sum() ** 2 for c in range(20)) * met / (met - 1))
        assert mean_L[cell] == pytest.approx(values_N[inside_N].mean())
        assert found.error_L[cell] ** 2 == pytest.approx(max(*parts, sum(parts) - (pull_N**2).sum()))


def test_many_clusters_take_another_way_to_the_same_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    """The table of cells and clusters gives the same, whether it is written down in full or not."""
    random = np.random.default_rng(1)
    cell_N, users_N = random.integers(-1, 4, 200), random.integers(0, 50, 200)
    _, own_N = cell_mean_influence(random.normal(size=200), cell_N, 4)
    full = cell_differences(own_N, own_N / 4, cell_N, 4, [users_N])
    monkeypatch.setattr(cells, "_DENSE", 0)
    sparse = cell_differences(own_N, own_N / 4, cell_N, 4, [users_N])
    assert sparse.error_L == pytest.approx(full.error_L)
    assert sparse.degrees_L.tolist() == full.degrees_L.tolist()


def test_false_discoveries_are_adjusted_as_in_scipy() -> None:
    """Adjusted p-values are SciPy's, in the order given, and of no tests there are none."""
    from scipy.stats import false_discovery_control

    p_K = np.random.default_rng(0).random(40) ** 3
    assert benjamini_hochberg(p_K) == pytest.approx(false_discovery_control(p_K))
    assert len(benjamini_hochberg(np.zeros(0))) == 0
