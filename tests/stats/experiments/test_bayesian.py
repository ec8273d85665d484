"""Posteriors: against closed forms, integration and draws."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import betaln
from scipy.stats import norm

from orita.core.errors import UserError
from orita.stats.experiments.bayesian import normal_posterior, rate_posterior


def closed_form(a: int, b: int, c: int, d: int) -> float:
    """Return P(Beta(c, d) > Beta(a, b)) by the finite sum for integers (Cook 2005, Miller 2015)."""
    terms = [betaln(a + i, b + d) - math.log(d + i) - betaln(1 + i, d) - betaln(a, b) for i in range(c)]
    return float(np.exp(terms).sum())


@pytest.mark.parametrize("counts", [(3, 10, 6, 12), (0, 5, 5, 5), (100, 1000, 130, 1000), (2, 4000, 9, 4000)])
def test_the_chance_to_be_better_is_the_closed_form(counts: tuple[int, int, int, int]) -> None:
    """Quadrature agrees with the finite sum of whole pseudo-counts to ten digits."""
    s, n, t, m = counts
    found = rate_posterior(s, n, t, m)
    assert found.probability_better == pytest.approx(closed_form(1 + s, 1 + n - s, 1 + t, 1 + m - t), abs=1e-10)


def test_losses_and_intervals_are_those_of_draws() -> None:
    """Expected losses and the credible interval agree with 400,000 draws, priors near 0 included."""
    random = np.random.default_rng(0)
    found = rate_posterior(4, 90, 9, 100, prior=(0.4, 3.0))
    control = random.beta(4.4, 89, 400_000)
    treatment = random.beta(9.4, 94, 400_000)
    gap = treatment - control
    assert found.loss_of_treatment == pytest.approx(np.maximum(-gap, 0).mean(), rel=0.03)
    assert found.loss_of_control == pytest.approx(np.maximum(gap, 0).mean(), rel=0.01)
    assert found.loss_of_control - found.loss_of_treatment == pytest.approx(found.difference.value, abs=1e-10)
    assert (found.difference.low, found.difference.high) == pytest.approx(
        tuple(np.quantile(gap, [0.025, 0.975])), abs=6e-4
    )


def test_millions_of_outcomes_are_normal() -> None:
    """With many outcomes the posterior of rates is the normal one with a flat prior."""
    found = rate_posterior(100_000, 1_000_000, 100_500, 1_000_000)
    error = math.sqrt(0.09e-6 + 0.1005 * 0.8995e-6)
    known = normal_posterior(0.0005, error)
    assert found.probability_better == pytest.approx(known.probability_better, abs=1e-4)
    assert found.loss_of_treatment == pytest.approx(known.loss_of_treatment, rel=1e-2)


def test_a_normal_prior_shrinks() -> None:
    """Posterior mean and interval by the conjugate formulas; a flat prior gives the plain interval."""
    found = normal_posterior(2.0, 1.0, prior_spread=1.0)
    assert found.difference.value == pytest.approx(1.0)
    assert found.difference.high - 1.0 == pytest.approx(float(norm.isf(0.025)) * math.sqrt(0.5))
    assert found.probability_better == pytest.approx(float(norm.cdf(math.sqrt(2))))
    flat = normal_posterior(2.0, 1.0)
    assert flat.loss_of_control - flat.loss_of_treatment == pytest.approx(2.0)
    draws = np.random.default_rng(1).normal(2, 1, 400_000)
    assert flat.loss_of_treatment == pytest.approx(np.maximum(-draws, 0).mean(), rel=0.05)


def test_what_is_no_posterior_is_refused() -> None:
    """More successes than outcomes, a prior of 0 and an error of 0 are named."""
    with pytest.raises(UserError, match="between 0 and n"):
        rate_posterior(3, 2, 0, 2)
    with pytest.raises(UserError, match="pseudo-counts above 0"):
        rate_posterior(1, 2, 0, 2, prior=(0, 1))
    with pytest.raises(UserError, match="above 0"):
        normal_posterior(1.0, 0.0)
