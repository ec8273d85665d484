"""Distances, correlations, joint tests, slices and decisions: what each computes, and that its level holds."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import binom, chi2_contingency, ks_2samp, wasserstein_distance

from orita.core.errors import UserError
from orita.stats.drift.cells import value_cells
from orita.stats.drift.column import column_test
from orita.stats.drift.correlation import correlation_test
from orita.stats.drift.family import confirmed, decide, visible_effect, visible_shift
from orita.stats.drift.joint import joint_test
from orita.stats.drift.slices import seasonal_slices, slice_test
from orita.stats.drift.statistics import DISTANCES, Distance, distance, distance_test
from orita.stats.psi import psi_of_counts

_BEFORE, _NOW = np.array([10, 30, 40, 20]), np.array([25, 25, 30, 40])


def test_distances_are_those_of_the_field() -> None:
    """Each distance of counts equals the reference implementation on the rows behind them."""
    values = np.array([0.0, 1.0, 3.0, 7.0])
    rows = np.repeat(values, _BEFORE), np.repeat(values, _NOW)
    assert distance("ks", _BEFORE, _NOW) == pytest.approx(ks_2samp(*rows).statistic)
    assert distance("wasserstein", _BEFORE, _NOW, values_C=values) == pytest.approx(wasserstein_distance(*rows))
    assert distance("jensen_shannon", _BEFORE, _NOW) == pytest.approx(jensenshannon(_BEFORE / 100, _NOW / 120, base=2))
    assert distance("chi_square", _BEFORE, _NOW) == pytest.approx(chi2_contingency([_BEFORE, _NOW]).statistic)
    assert distance("psi", _BEFORE, _NOW) == pytest.approx(psi_of_counts(_BEFORE, _NOW))
    # Anderson (1962): N·M / (N + M)² · Σ over the pooled sample of the squared gap.
    gaps = np.repeat(np.cumsum(_NOW / 120 - _BEFORE / 100) ** 2, _BEFORE + _NOW)
    assert distance("cramer_von_mises", _BEFORE, _NOW) == pytest.approx(gaps.sum() * 100 * 120 / 220**2)


@pytest.mark.parametrize("name", DISTANCES)
def test_every_distance_holds_its_level(name: Distance) -> None:
    """On unchanged counts a distance is significant at 0.05 in at most 5 % of cases; a clear change is."""
    rng = np.random.default_rng(1)
    share = np.array([0.1, 0.3, 0.4, 0.2])
    found = [
        distance_test(name, rng.multinomial(80, share), rng.multinomial(50, share), draws=600).p_value <= 0.05
        for _ in range(200)
    ]
    assert sum(found) <= binom.ppf(1 - 1e-5, 200, 0.05)
    assert distance_test(name, np.array([50, 30, 20]), np.array([20, 30, 50])).p_value < 0.001
    assert distance_test(name, np.array([5, 5]), np.array([0, 0])).p_value == 1.0


def test_an_unknown_distance_is_refused() -> None:
    """The error lists the distances that exist."""
    with pytest.raises(UserError, match="jensen_shannon"):
        distance("hellinger", _BEFORE, _NOW)  # type: ignore[arg-type]


@pytest.mark.parametrize(("n", "rounds"), [(60, 120), (4000, 40)])
def test_correlations_alarm_on_change_alone(n: int, rounds: int) -> None:
    """Correlated columns that stay so, or shift and stretch one by one, do not alarm; a new correlation does."""
    rng = np.random.default_rng(n)
    mix = np.eye(6) + 0.5
    alarms = 0
    for seed in range(rounds):
        before, now = rng.normal(size=(2, n, 6)) @ mix
        alarms += correlation_test(before, 3 * now + 1, seed=seed).p_value <= 0.05
    assert alarms <= binom.ppf(1 - 1e-5, rounds, 0.06)
    before, now = rng.normal(size=(2, 400, 6))
    now[:, 4] = 0.5 * now[:, 1] + 0.87 * now[:, 4]
    result = correlation_test(before, now)
    assert result.p_value < 1e-6
    assert result.pair == (1, 4)
    assert 0.1 < result.effect < 0.4


def test_correlations_need_two_columns_that_vary() -> None:
    """One column, constants or three rows are no evidence; other columns are refused."""
    some = np.random.default_rng(0).normal(size=(30, 2))
    assert correlation_test(some[:, :1], some[:, :1]).p_value == 1.0
    assert correlation_test(some * [1, 0], some * [1, 0]).p_value == 1.0
    assert correlation_test(some[:3], some).p_value == 1.0
    with pytest.raises(UserError, match="2 columns and the current sample 1"):
        correlation_test(some, some[:, :1])


def test_the_joint_test_sees_what_no_column_shows() -> None:
    """Unchanged rows are told apart no more often than the level says; a pair that came together is."""
    rng = np.random.default_rng(2)
    alarms = sum(joint_test(*rng.normal(size=(2, 60, 4)), seed=i).p_value <= 0.05 for i in range(100))
    assert alarms <= binom.ppf(1 - 1e-5, 100, 0.05)
    before, now = rng.normal(size=(2, 3000, 5))
    now[:, 1] = 0.5 * now[:, 0] + 0.87 * now[:, 1]
    before[::7, 3] = np.nan
    result = joint_test(before, now)
    assert result.p_value < 1e-4
    assert result.auc > 0.52


def _day(rng: np.random.Generator, rows: int, spread: float, shift: float = 0.0) -> np.ndarray:
    values = rng.normal(rng.normal(0, spread) + shift, 1, rows)
    return np.bincount(np.searchsorted(np.linspace(-2, 2, 19), values), minlength=20)


@pytest.mark.parametrize("ordered", [True, False])
def test_days_that_differ_by_nature_do_not_alarm(ordered: bool) -> None:
    """With days that differ by 0.2 σ at 2,000 rows, a further such day alarms at 0.05 in at most 5 %."""
    rng = np.random.default_rng(3)
    found = []
    for _ in range(200):
        days = np.array([_day(rng, 2000, 0.2) for _ in range(9)])
        found.append(slice_test(days[:-1], days[-1], ordered=ordered).p_value <= 0.05)
    assert sum(found) <= binom.ppf(1 - 1e-5, 200, 0.05)


def test_a_day_unlike_all_others_alarms() -> None:
    """A shift far beyond the differences of days is found, and so are missing values; too few days are refused."""
    rng = np.random.default_rng(4)
    days = np.array([_day(rng, 2000, 0.1) for _ in range(28)])
    result = slice_test(days, _day(rng, 2000, 0.1, shift=0.6))
    assert result.p_value < 1e-6
    assert result.change in {"location", "scale"}
    assert result.overdispersion > 2
    absent = slice_test(days, days[0], reference_missing_S=np.full(28, 20), current_missing=400)
    assert absent.change == "missing" and absent.p_value < 1e-6
    with pytest.raises(UserError, match="3 slices with rows, and 4 are needed"):
        slice_test(days[:3], days[3])


def test_the_season_is_the_same_hour_of_the_week() -> None:
    """Of hourly slices over three weeks, those one and two weeks back are like the current one."""
    hours = np.arange(3 * 168)
    assert np.flatnonzero(seasonal_slices(hours, 3 * 168 + 5)).tolist() == [5, 173, 341]
    assert seasonal_slices(hours, 30, hours_of_week=24).sum() == 21
    with pytest.raises(UserError, match="hours_of_week is 0"):
        seasonal_slices(hours, 3, hours_of_week=0)


def test_reports_and_pages_decide_as_said() -> None:
    """Reports control the share of false findings, pages the chance of any; small effects are left out of both."""
    p_K = np.array([0.0001, 0.006, 0.009, 0.5])
    decision = decide(p_K, np.array([0.5, 0.2, 0.01, 0.3]), level=0.02, min_effect=0.05, importance_K=np.arange(4.0))
    assert decision.reported_K.tolist() == [True, True, False, False]
    assert decision.paged_K.tolist() == [True, True, False, False]
    assert decide(p_K, np.ones(4), level=0.012).paged_K.tolist() == [True, False, False, False]
    assert decide(p_K, np.ones(4), level=0.012).reported_K.tolist() == [True, True, True, False]
    assert decision.impact_K == pytest.approx([0, 0.2 / 3, 0.02 / 3, 0.3])
    with pytest.raises(UserError, match="level is 1"):
        decide(p_K, p_K, level=1)
    with pytest.raises(UserError, match="importance is -1"):
        decide(p_K, p_K, level=0.1, importance_K=np.array([1, 1, 1, -1.0]))


def test_confirmation_waits_for_consecutive_slices() -> None:
    """Only what was flagged in each of the last slices is confirmed; too short a past confirms nothing."""
    flags = np.array([[1, 0, 1], [1, 1, 0], [1, 1, 1]], dtype=bool)
    assert confirmed(flags, 2).tolist() == [True, True, False]
    assert confirmed(flags, 4).tolist() == [False, False, False]
    with pytest.raises(UserError, match="slices is 0"):
        confirmed(flags, 0)


def test_the_visible_shift_is_found_as_often_as_it_says() -> None:
    """A normal column shifted by the visible shift is found in about 90 % of reports."""
    shift, rng = visible_shift(500, 400, level=0.01, tests=20), np.random.default_rng(5)
    found = [
        column_test(value_cells(rng.normal(size=500), rng.normal(shift, 1, 400)), draws=8000).p_value <= 0.01 / 20
        for _ in range(30)
    ]
    assert sum(found) >= binom.ppf(1e-5, 30, 0.9)
    assert visible_shift(0, 5, level=0.01, tests=1) == np.inf
    assert visible_effect(0, 5, level=0.01, tests=1) == 1.0
    assert visible_effect(500, 400, level=0.01, tests=20, design_effect=4) == pytest.approx(
        2 * visible_effect(500, 400, level=0.01, tests=20)
    )
