"""Plans: textbook sizes, plans that keep their promise, and inverses that are inverses."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from orita.core.errors import UserError
from orita.stats.experiments.means import compare_ratios
from orita.stats.experiments.power import (
    TestPlan,
    days_needed,
    minimum_effect,
    power,
    proportion_spread,
    ratio_spread,
    sample_size,
)


def test_sizes_are_the_textbooks() -> None:
    """Half a standard deviation at 0.05 and 80 %: 63 an arm; 10 % against 11 %: by the formula of two proportions."""
    assert sample_size(TestPlan(1.0), 0.5) == 126
    known = (norm.isf(0.025) + norm.isf(0.2)) ** 2 * (0.1 * 0.9 + 0.11 * 0.89) / 0.01**2
    found = sample_size(TestPlan(proportion_spread(0.1), proportion_spread(0.11)), 0.01)
    assert found / 2 == pytest.approx(known, rel=1e-4)
    assert sample_size(TestPlan(1.0, sides=1), 0.5) == math.ceil(4 * ((norm.isf(0.05) + norm.isf(0.2)) / 0.5) ** 2)


@given(st.floats(0.01, 1), st.floats(0.1, 0.9), st.floats(-0.9, 0.9), st.floats(0.3, 0.95))
@settings(deadline=None, max_examples=40)
def test_size_effect_and_power_agree(effect: float, share: float, correlation: float, wanted: float) -> None:
    """The size found has the power asked for, one unit less has not, and its smallest effect is the one given."""
    plan = TestPlan(2.0, share=share, correlation=correlation)
    units = sample_size(plan, effect, wanted)
    assert power(plan, effect, units) >= wanted - 1e-6
    if units > 1:
        assert power(plan, effect, units - 1) <= wanted + 1e-6
        assert minimum_effect(plan, units, wanted) <= effect <= minimum_effect(plan, units - 1, wanted) + 1e-6


def test_covariates_save_users() -> None:
    """CUPED with ρ = 0.7 needs 51 % of the users; arms of unequal size need more."""
    plain, adjusted = (sample_size(TestPlan(1.0, correlation=rho), 0.05) for rho in (0.0, 0.7))
    assert adjusted / plain == pytest.approx(0.51, rel=1e-3)
    assert sample_size(TestPlan(1.0, share=0.1), 0.05) == pytest.approx(plain / (4 * 0.1 * 0.9), rel=1e-3)


def test_a_sequential_plan_costs_units() -> None:
    """For 80 % by its end a sequential test of 30 looks needs 1.3 … 1.6 times a fixed one's, one look hardly more."""
    fixed = sample_size(TestPlan(1.0), 0.1)
    assert 1.3 < sample_size(TestPlan(1.0, looks=30), 0.1) / fixed < 1.6
    plan = TestPlan(1.0, looks=30)
    assert power(plan, 0.1, sample_size(plan, 0.1, 0.6)) == pytest.approx(0.6, abs=1e-3)
    one_sided = sample_size(TestPlan(1.0, looks=30, sides=1), 0.1)
    assert one_sided < sample_size(plan, 0.1)


def test_ratio_spreads_are_those_of_the_test() -> None:
    """The spread of past users, planned with, is the standard error that the ratio test then reports."""
    random = np.random.default_rng(0)
    views = random.geometric(0.1, 40_000)
    clicks = random.binomial(views, random.beta(1, 9, 40_000))
    found = compare_ratios((clicks[:20_000], views[:20_000]), (clicks[20_000:], views[20_000:]))
    assert TestPlan(ratio_spread(clicks, views)).error(40_000) == pytest.approx(found.error, rel=0.02)


def test_days_count_new_users_and_the_window() -> None:
    """1,000 units at 300 a day take 4 days and the window; with fewer new ones each day, as many as add up."""
    assert days_needed(1000, 300) == 4
    assert days_needed(1000, 300, window=7) == 11
    assert days_needed(1000, [500, 250, 200, 100, 50]) == 4
    assert days_needed(500, [500, 250]) == 1
    with pytest.raises(UserError, match="2 days bring 750 of 1,000"):
        days_needed(1000, [500, 250])
    with pytest.raises(UserError, match="must be above 0"):
        days_needed(1000, 0)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"spread": 0.0}, "spread is 0"),
        ({"spread": 1.0, "treatment_spread": -1.0}, "in both arms"),
        ({"spread": 1.0, "share": 1.0}, "share is 1"),
        ({"spread": 1.0, "level": 0.0}, "level is 0"),
        ({"spread": 1.0, "sides": 3}, "1 or 2"),
        ({"spread": 1.0, "correlation": 1.0}, "correlation is 1"),
        ({"spread": 1.0, "looks": 0}, "looks is 0"),
    ],
)
def test_plans_that_cannot_be_are_refused(given: dict[str, float], sentence: str) -> None:
    """Each field out of its range is named with what is allowed."""
    with pytest.raises(UserError, match=sentence):
        TestPlan(**given)  # type: ignore[arg-type]


def test_no_effect_has_no_size() -> None:
    """An effect of 0, a power at the level and a rate of 0 are refused."""
    with pytest.raises(UserError, match="effect is 0"):
        sample_size(TestPlan(1.0), 0.0)
    with pytest.raises(UserError, match="above the level"):
        sample_size(TestPlan(1.0), 1.0, 0.05)
    with pytest.raises(UserError, match="rate is 0"):
        proportion_spread(0.0)
    with pytest.raises(UserError, match="sum above 0"):
        ratio_spread([0, 0], [0, 0])
