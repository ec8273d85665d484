"""Tests at a planned end: known answers, SciPy's answers, and levels that hold where users return."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binom, chi2_contingency, norm, ttest_ind

from orita.core.errors import UserError
from orita.stats.experiments.comparison import relative_lift
from orita.stats.experiments.means import (
    compare_clustered_means,
    compare_means,
    compare_moments,
    compare_proportions,
    compare_ratios,
)
from orita.stats.experiments.quantiles import compare_quantiles
from orita.stats.sequential.moments import Moments


def test_means_are_welchs() -> None:
    """Estimate, p-value and interval are those of SciPy's Welch test, from values or from moments."""
    random = np.random.default_rng(0)
    control, treatment = random.normal(3, 1, 40), random.normal(3.6, 2.5, 25)
    found, known = compare_means(control, treatment, level=0.1), ttest_ind(treatment, control, equal_var=False)
    assert found.p_value == pytest.approx(known.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(known.confidence_interval(0.9)))
    assert (found.n_control, found.n_treatment) == (40, 25)
    moments = compare_moments(Moments.of(control), Moments.of(treatment), level=0.1)
    assert moments == found
    assert found.to_dict()["lift"]["value"] == pytest.approx(treatment.mean() / control.mean() - 1)


def test_proportions_are_the_textbooks() -> None:
    """The p-value is that of χ² without correction; the interval is Newcombe's published 0.0524 … 0.3339."""
    found = compare_proportions(48, 80, 56, 70)
    table = [[48, 32], [56, 14]]
    assert found.p_value == pytest.approx(chi2_contingency(table, correction=False).pvalue)
    # Newcombe (1998), table II, case a, method 10: 56/70 − 48/80.
    assert (found.low, found.high) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    none = compare_proportions(0, 10, 0, 10)
    assert none.p_value == 1
    assert none.low < 0 < none.high


def test_lifts_agree_with_differences_on_zero() -> None:
    """Fieller's interval of the lift excludes 0 exactly where the difference's does, and solves its quadratic."""
    quantile = float(norm.isf(0.025))
    for treatment, certain in ((11.0, False), (13.0, True)):
        found = relative_lift(10.0, 0.6, treatment, 0.7, quantile=quantile)
        difference = (treatment - 10) / math.hypot(0.6, 0.7) > quantile
        assert difference == certain == (found.low > 0)
        for end in (found.low, found.high):
            ratio = 1 + end
            assert abs(treatment - ratio * 10) == pytest.approx(quantile * math.hypot(0.7, ratio * 0.6))
    assert math.isinf(relative_lift(1.0, 0.6, 1.2, 0.1, quantile=quantile).high)
    assert math.isnan(relative_lift(0.0, 0.0, 1.2, 0.1, quantile=quantile).value)


def test_ratios_are_means_where_denominators_are_one() -> None:
    """With one row a user the delta method is the test of means, up to Student's quantile."""
    random = np.random.default_rng(1)
    control, treatment = random.exponential(size=3000), random.exponential(1.1, 2000)
    found = compare_ratios((control, np.ones(3000)), (treatment, np.ones(2000)))
    known = compare_means(control, treatment)
    assert (found.estimate, found.error) == pytest.approx((known.estimate, known.error))
    rows = compare_clustered_means(control, np.arange(3000), treatment, np.arange(2000))
    assert rows == found


@pytest.mark.parametrize("kind", ["mean", "quantile"])
def test_returning_users_are_no_new_users(kind: str) -> None:
    """Of 200 A/A runs with ten rows a user, 5 % (± 3 σ) are rejected with users as units; as rows, over a fifth."""
    random, runs = np.random.default_rng(2), 200
    rejected = np.zeros(2)
    for _ in range(runs):
        users = np.arange(400).repeat(10)
        values = random.normal(size=400)[users] + random.normal(size=4000)
        first, second = slice(0, 2000), slice(2000, None)
        for clustered, units in ((0, users), (1, np.arange(4000))):
            if kind == "mean":
                found = compare_clustered_means(values[first], units[first], values[second], units[second])
            else:
                found = compare_quantiles(
                    values[first], values[second], 0.8, control_units_N=units[first], treatment_units_M=units[second]
                )
            rejected[clustered] += found.p_value <= 0.05
    assert binom.ppf(0.0013, runs, 0.05) <= rejected[0] <= binom.ppf(0.9987, runs, 0.06)
    assert rejected[1] > runs / 5


def test_quantile_errors_are_those_of_the_density() -> None:
    """For independent normal values the error is √(q(1 − q)/n) ÷ density, and rows are units."""
    random = np.random.default_rng(3)
    found = compare_quantiles(random.normal(size=40_000), random.normal(0.1, 1, 40_000), 0.9)
    expected = math.sqrt(2 * 0.09 / 40_000) / norm.pdf(norm.ppf(0.9))
    assert found.error == pytest.approx(expected, rel=0.1)
    assert found.low < 0.1 < found.high
    assert found.n_control == 40_000


def test_what_cannot_be_compared_is_refused() -> None:
    """One unit, no denominators and a quantile beyond the rows are named."""
    with pytest.raises(UserError, match="control has 1 units"):
        compare_means([1.0], [1.0, 2.0])
    with pytest.raises(UserError, match="add up to 0"):
        compare_ratios(([1.0, 1.0], [0.0, 0.0]), ([1.0, 1.0], [1.0, 1.0]))
    with pytest.raises(UserError, match="5 rows beyond"):
        compare_quantiles(np.arange(100.0), np.arange(100.0), 0.99)
    with pytest.raises(UserError, match="of one unit"):
        compare_quantiles(np.arange(100.0), np.arange(100.0), 0.5, control_units_N=np.zeros(100))
