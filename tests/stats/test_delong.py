"""DeLong's test equals its definition, and its intervals hold the truth as often as they say."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from orita.core.errors import UserError
from orita.stats.delong import delong_difference
from orita.stats.metrics import auc
from orita.stats.placements import auc_influence, cell_auc_influence

ROWS = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 6).map(lambda n: n / 6), st.integers(0, 6).map(lambda n: n / 6)),
    min_size=4,
    max_size=40,
)


def covariance(y_N: npt.NDArray[Any], a_N: npt.NDArray[Any], b_N: npt.NDArray[Any]) -> float:
    """Return the variance of AUC a − AUC b by the formulas of DeLong et al. (1988), pair by pair."""

    def above(x: float, y: float) -> float:
        return 1.0 if x > y else 0.5 if x == y else 0.0

    columns = []
    for scores_N in (a_N, b_N):
        positives, negatives = scores_N[y_N > 0], scores_N[y_N == 0]
        v10 = [np.mean([above(x, y) for y in negatives]) for x in positives]
        v01 = [np.mean([above(x, y) for x in positives]) for y in negatives]
        columns.append((v10, v01))
    (a10, a01), (b10, b01) = columns
    s10, s01 = np.cov(a10, b10), np.cov(a01, b01)
    whole = s10 / len(a10) + s01 / len(a01)
    return float(whole[0, 0] + whole[1, 1] - 2 * whole[0, 1])


@given(ROWS)
def test_the_fast_algorithm_equals_the_definition(rows: list[tuple[int, float, float]]) -> None:
    """Difference, interval and p-value are those of the formulas over all pairs, with any ties."""
    y_N, a_N, b_N = (np.array(column) for column in zip(*rows, strict=True))
    if min(y_N.sum(), len(y_N) - y_N.sum()) < 2:
        with pytest.raises(UserError, match="two positives and two negatives"):
            delong_difference(y_N, a_N, b_N)
        return
    found, variance = delong_difference(y_N, a_N, b_N, confidence=0.9), covariance(y_N, a_N, b_N)
    assert found.value == pytest.approx(auc(y_N, a_N) - auc(y_N, b_N), abs=1e-12)
    assert ((found.high - found.low) / 2 / norm.ppf(0.95)) ** 2 == pytest.approx(variance, abs=1e-12)
    if variance > 1e-12:
        assert found.p_value == pytest.approx(2 * norm.sf(abs(found.value) / np.sqrt(variance)), abs=1e-9)


@given(ROWS)
def test_cells_are_judged_as_if_they_were_alone(rows: list[tuple[int, float, float]]) -> None:
    """Within each cell the AUC and the influences are those of its own rows; rows of no cell have none."""
    y_N, scores_N, third = (np.array(column) for column in zip(*rows, strict=True))
    cell_N = np.round(third * 3).astype(np.int32) - 1
    found_L, influence_N = cell_auc_influence(y_N, np.argsort(scores_N), scores_N, cell_N, 3)
    for cell in range(3):
        alone, pull_K = auc_influence(y_N[cell_N == cell], scores_N[cell_N == cell])
        assert found_L[cell] == pytest.approx(auc(y_N[cell_N == cell], scores_N[cell_N == cell]), nan_ok=True)
        assert found_L[cell] == pytest.approx(alone, nan_ok=True)
        assert influence_N[cell_N == cell] == pytest.approx(pull_K)
        assert pull_K.sum() == pytest.approx(0, abs=1e-12)
    assert not influence_N[cell_N < 0].any()


def sample(random: np.random.Generator, users: int, each: int) -> tuple[npt.NDArray[Any], ...]:
    """Return labels, two correlated scores and users; *each* rows of a user share a shift of the first score."""
    users_N = np.repeat(np.arange(users), each)
    y_N = random.random(len(users_N)) < 0.4
    shared_N = random.normal(size=len(users_N))
    a_N = (
        0.8 * y_N + shared_N + random.normal(size=len(users_N)) + 1.5 * (each > 1) * random.normal(size=users)[users_N]
    )
    return y_N, a_N, 0.8 * y_N + shared_N + random.normal(size=len(users_N)), users_N


@pytest.mark.parametrize(("users", "each"), [(160, 1), (40, 10)])
def test_an_interval_holds_the_truth_as_often_as_it_says(users: int, each: int) -> None:
    """Of 300 intervals of 90 % about 270 hold the true difference; with repeated users, those that know of them."""
    random = np.random.default_rng(4)
    y_N, a_N, b_N, _ = sample(random, 200_000, each if each == 1 else 2)
    truth, held = auc(y_N, a_N) - auc(y_N, b_N), 0
    for _ in range(300):
        y_N, a_N, b_N, users_N = sample(random, users, each)
        clusters_N = users_N if each > 1 else None
        found = delong_difference(y_N, a_N, b_N, clusters_N=clusters_N, confidence=0.9)
        held += found.low <= truth <= found.high
    assert 252 <= held <= 288


def test_equal_scores_do_not_differ() -> None:
    """The same order of rows is no difference at all, for certain."""
    found = delong_difference(np.array([0, 1, 0, 1]), np.arange(4), np.arange(4) * 2)
    assert (found.value, found.low, found.high, found.p_value) == (0.0, 0.0, 0.0, 1.0)
