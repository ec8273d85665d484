"""CUPED and strata: less variance by as much as is promised, the same effect, and nobody left out."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binom

from orita.core.errors import UserError
from orita.stats.experiments.cuped import cuped
from orita.stats.experiments.means import compare_means
from orita.stats.experiments.strata import post_stratified


def test_cuped_is_the_papers_formula() -> None:
    """With one covariate the coefficient is cov(y, x) ÷ var(x) within arms, and the variance falls by ρ²."""
    random = np.random.default_rng(0)
    x = random.normal(size=6000)
    y = 0.8 * x + 0.6 * random.normal(size=6000) + np.repeat([0.0, 0.5], 3000)
    found = cuped(y[:3000], y[3000:], x[:3000], x[3000:])
    within = [np.cov(y[part], x[part]) for part in (slice(0, 3000), slice(3000, None))]
    assert found.coefficients == pytest.approx([sum(w[0, 1] for w in within) / sum(w[1, 1] for w in within)])
    assert found.variance_reduction == pytest.approx(0.64, abs=0.03)
    raw, adjusted = compare_means(y[:3000], y[3000:]), compare_means(found.control_N, found.treatment_M)
    assert (adjusted.error / raw.error) ** 2 == pytest.approx(1 - found.variance_reduction, rel=0.01)
    assert adjusted.low < 0.5 < adjusted.high
    assert np.concatenate([found.control_N, found.treatment_M]).mean() == pytest.approx(y.mean())


def test_several_covariates_do_more_than_each() -> None:
    """Two covariates of half the variance each explain what one alone cannot; a constant one changes nothing."""
    random = np.random.default_rng(1)
    x = np.column_stack([random.normal(size=(4000, 2)), np.ones(4000)])
    y = x[:, 0] + x[:, 1] + 0.2 * random.normal(size=4000)
    both = cuped(y[:2000], y[2000:], x[:2000], x[2000:])
    one = cuped(y[:2000], y[2000:], x[:2000, 0], x[2000:, 0])
    assert both.variance_reduction > 0.95
    assert one.variance_reduction == pytest.approx(0.49, abs=0.04)


def test_new_users_without_a_past_take_part() -> None:
    """Where covariates are missing, and users without a past differ, all count and the variance still falls."""
    random = np.random.default_rng(2)
    x = random.normal(size=4000)
    new = random.random(4000) < 0.4
    y = np.where(new, 3.0, x) + 0.3 * random.normal(size=4000)
    x[new] = np.nan
    found = cuped(y[:2000], y[2000:], x[:2000], x[2000:])
    assert len(found.control_N) == 2000
    assert found.variance_reduction > 0.9
    assert np.isfinite(found.coefficients).all()
    unknown = cuped(y[:2000], y[2000:], np.full(2000, np.nan), np.full(2000, np.nan))
    assert unknown.variance_reduction == pytest.approx(0, abs=1e-12)


def test_adjusted_comparisons_hold_their_level() -> None:
    """Of 200 A/A runs, 5 % (± 3 σ) are rejected after CUPED, and after post-stratification."""
    random, runs = np.random.default_rng(3), 200
    rejected = np.zeros(2)
    for _ in range(runs):
        stratum = random.integers(0, 4, 400)
        y = stratum + random.normal(size=400)
        arms = random.permutation(400) < 200
        adjusted = cuped(y[arms], y[~arms], stratum[arms], stratum[~arms])
        rejected[0] += compare_means(adjusted.control_N, adjusted.treatment_M).p_value <= 0.05
        stratified = post_stratified(y[arms], y[~arms], stratum[arms], stratum[~arms])
        rejected[1] += stratified.comparison.p_value <= 0.05
    assert (rejected >= binom.ppf(0.0013, runs, 0.05)).all()
    assert (rejected <= binom.ppf(0.9987, runs, 0.06)).all()


def test_strata_are_weighted_by_their_share() -> None:
    """Arms of another mix are compared as if they had the same: by hand."""
    control, treatment = np.array([1.0, 3, 11, 13, 12, 12]), np.array([2.0, 4, 3, 3, 12, 14])
    found = post_stratified(control, treatment, np.array(list("aabbbb")), np.array(list("aaaabb")))
    # Means 2 and 12 against 3 and 13, each stratum half of all twelve.
    assert found.comparison.estimate == pytest.approx(1)
    assert found.comparison.control == pytest.approx(7)
    variances = 0.25 * (2 / 2 + (2 / 3) / 4 + (2 / 3) / 4 + 2 / 2)
    assert found.comparison.error == pytest.approx(math.sqrt(variances))
    assert found.variance_reduction > 0.5
    assert found.strata == 2


def test_small_strata_are_taken_together() -> None:
    """A stratum that an arm hardly holds does not fail the comparison; arms that share nothing do."""
    values = np.arange(8.0)
    found = post_stratified(values, values, np.array(list("aaaabbcd")), np.array(list("aaaaabbb")))
    assert found.strata == 2
    with pytest.raises(UserError, match="fewer than two units"):
        post_stratified(values[:1], values, np.array(["a"]), np.array(list("aaaaabbb")))


def test_covariates_that_do_not_fit_are_refused() -> None:
    """Missing rows, and more covariates than units, are named."""
    with pytest.raises(UserError, match="do not fit 3 and 3"):
        cuped(np.zeros(3), np.zeros(3), np.zeros(2), np.zeros(3))
    with pytest.raises(UserError, match="need more units than 3"):
        cuped(np.zeros(3), np.zeros(3), np.zeros((3, 4)), np.zeros((3, 4)))
