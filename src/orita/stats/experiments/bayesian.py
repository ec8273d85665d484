"""How likely is treatment better, and what would a wrong choice cost? Beta-binomial and normal posteriors.

The numbers are of a posterior, not error rates: stopping when the probability is high errs more often than it says
where the prior does not fit (Deng, Lu and Chen, "Continuous monitoring of A/B tests without pain", 2016). To stop at
any look use `orita.stats.sequential`.

Rates: independent Beta posteriors (Gelman et al., "Bayesian Data Analysis", chapter 2); integrals by Gauss-Legendre
quadrature between quantiles of both, exact to about ten digits. Expected loss: Stucchio, "Bayesian A/B testing at VWO"
(2015).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.stats import beta, norm

from orita.core.errors import UserError
from orita.stats.intervals import Interval

__all__ = ["Posterior", "normal_posterior", "rate_posterior"]

_CUTS = np.array([0.0, 1e-14, 1e-8, 1e-4, 0.01, 0.1, 0.5, 0.9, 0.99, 1 - 1e-4, 1 - 1e-8, 1.0])
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(24)

Counts = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Posterior:
    """What is believed of treatment − control.

    Attributes:
        probability_better: that treatment is above control.
        loss_of_treatment: expected loss of choosing treatment, in the metric's unit: how much worse it is where it is.
        loss_of_control: expected loss of staying with control.
        difference: posterior mean with the central credible interval.
    """

    probability_better: float
    loss_of_treatment: float
    loss_of_control: float
    difference: Interval


def rate_posterior(
    control_successes: float,
    control_n: float,
    treatment_successes: float,
    treatment_n: float,
    *,
    prior: Counts = (1.0, 1.0),
    level: float = 0.05,
) -> Posterior:
    """Return what is believed of two rates after their counts.

    Args:
        control_successes, control_n, treatment_successes, treatment_n: outcomes of 1, and all, in each arm.
        prior: of each rate, as pseudo-counts (successes, failures), both above 0; (1, 1) is uniform.
        level: the interval leaves out ``level / 2`` on each side.

    Raises:
        UserError: successes exceed n, or a pseudo-count is not above 0.
    """
    arms = ((control_successes, control_n), (treatment_successes, treatment_n))
    if any(not 0 <= s <= n for s, n in arms) or min(prior) <= 0:
        raise UserError(
            f"counts {arms} with prior {prior} are none; successes lie between 0 and n, pseudo-counts above 0."
        )
    control, treatment = ((prior[0] + s, prior[1] + n - s) for s, n in arms)
    means = [first / (first + second) for first, second in (control, treatment)]
    more_control, more_treatment = ((first + 1, second) for first, second in (control, treatment))
    # E[p; p > q] is E[p] times the chance that p, with one success more, exceeds q.
    loss_of_treatment = means[0] * _exceeds(more_control, treatment) - means[1] * _exceeds(control, more_treatment)
    loss_of_control = means[1] * _exceeds(more_treatment, control) - means[0] * _exceeds(treatment, more_control)
    ends = [
        brentq(lambda d, tail=tail: _exceeds(treatment, control, d) - tail, -1, 1, xtol=1e-12)
        for tail in (1 - level / 2, level / 2)
    ]
    difference = Interval(means[1] - means[0], float(ends[0]), float(ends[1]))
    better = _exceeds(treatment, control)
    return Posterior(better, max(loss_of_treatment, 0.0), max(loss_of_control, 0.0), difference)


def normal_posterior(
    estimate: float, error: float, *, prior_mean: float = 0.0, prior_spread: float = math.inf, level: float = 0.05
) -> Posterior:
    """Return what is believed of a difference after an estimate with its standard error.

    Args:
        estimate: treatment − control, such as `Comparison.estimate`.
        error: its standard error, > 0.
        prior_mean: of the difference.
        prior_spread: standard deviation of the prior, > 0; infinite for a flat one.
        level: the interval leaves out ``level / 2`` on each side.

    Raises:
        UserError: error or prior_spread is not above 0.
    """
    if not (error > 0 and prior_spread > 0):
        raise UserError(f"error is {error} and prior_spread {prior_spread}; both must be above 0.")
    precision = 1 / error**2 + 1 / prior_spread**2
    mean, spread = (estimate / error**2 + prior_mean / prior_spread**2) / precision, 1 / math.sqrt(precision)
    z = mean / spread
    density, better = float(norm.pdf(z)), float(norm.cdf(z))
    gain, loss = spread * density + mean * better, spread * density - mean * float(norm.sf(z))
    reach = float(norm.isf(level / 2)) * spread
    return Posterior(better, max(loss, 0.0), max(gain, 0.0), Interval(mean, mean - reach, mean + reach))


def _exceeds(first: Counts, second: Counts, by: float = 0.0) -> float:
    """Return the chance that a draw of Beta *first* is more than *by* above one of Beta *second*."""
    one, other = beta(*first), beta(*second)
    cuts = np.concatenate([one.ppf(_CUTS), np.clip(other.ppf(_CUTS) + by, 0.0, 1.0)])
    # By chances of the first, not by its values: its density may be infinite at 0 and 1.
    chances = np.unique(one.cdf(cuts))
    half = np.diff(chances)[:, None] / 2
    nodes: npt.NDArray[np.float64] = chances[:-1, None] + half * (1 + _NODES)
    below = other.cdf(one.ppf(nodes) - by)
    return float(min(max((half * _WEIGHTS * below).sum(), 0.0), 1.0))
