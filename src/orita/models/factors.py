"""Items as vectors, learned so that a person's few known answers say what the others would be.

Legend: P pairs (a person's answer to an item), U people, V items (row 0 is the unknown item), D factors.

An answer is mean + bias of the item + loading of the item · taste of the person + noise. A taste is drawn from N(0, I)
and is never a parameter: learning integrates it out (factor analysis by EM, as in Tipping and Bishop, "Probabilistic
Principal Component Analysis", 1999, with answers missing), so that somebody who was not there in training is no special
case: their taste is the posterior mean given what they have answered by now.

Factor 0 is the level of a person: how high they answer whatever the item. Its loadings are drawn towards one
positive number, all others towards 0; an item that is not known has those.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

__all__ = ["Factors", "learn_factors", "squares"]

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

_LEVEL_LOADING = 0.4  # in standard deviations of the answers
_LEVEL_SHRINKAGE = 4.0  # how much more alike the loadings of the level are than those of tastes
_BIAS_SHRINKAGE = 3.0  # people who gave the mean, beside those who answered
_LEAST_VARIANCE = 1e-3  # of the noise, in variances of the answers


@dataclass(frozen=True, slots=True)
class Factors:
    """What was learned of the items.

    Attributes:
        mean: of all answers.
        low, high: the least and the greatest answer.
        variance: of the noise, > 0.
        bias_V: of each item.
        loading_VD: of each item; row 0 is the unknown item.
    """

    mean: float
    low: float
    high: float
    variance: float
    bias_V: Floats
    loading_VD: Floats


def learn_factors(
    people_P: Rows,
    items_P: Rows,
    answers_P: Floats,
    items: int,
    *,
    factors: int,
    shrinkage: float,
    rounds: int,
    seed: int,
) -> Factors:
    """Return the factors of *items* items, known by some answers.

    Args:
        people_P: numbers of people, from 0.
        items_P: rows of items, 1 … *items*.
        answers_P: at least one.
        items: V − 1.
        factors: D ≥ 1.
        shrinkage: how many people's worth of evidence draws a loading towards where it is drawn; > 0.
        rounds: of EM.
        seed: fixes where the loadings begin.
    """
    mean, spread = float(answers_P.mean()), float(answers_P.std()) or 1.0
    home_D = np.zeros(factors)
    home_D[0] = _LEVEL_LOADING * spread
    loading_VD = home_D + 0.1 * spread * np.random.default_rng(seed).normal(size=(1 + items, factors))
    bias_V, variance = np.zeros(1 + items), spread**2
    shape = int(people_P.max()) + 1, 1 + items
    answered_UV = sparse.csr_matrix((np.ones(len(items_P)), (people_P, items_P)), shape)
    centred_UV = sparse.csr_matrix((answers_P - mean, (people_P, items_P)), shape)
    weight_D = np.full(factors, shrinkage)
    weight_D[0] *= _LEVEL_SHRINKAGE
    prior = np.diag(np.append(weight_D, _BIAS_SHRINKAGE))
    for _ in range(rounds):
        residual_P = answers_P - mean - bias_V[items_P]
        residual_UV = sparse.csr_matrix((residual_P, (people_P, items_P)), shape)
        taste_UD, spread_UDD, variance = _tastes(answered_UV, residual_UV, residual_P, loading_VD, variance)
        loading_VD, bias_V = _loadings(answered_UV, centred_UV, taste_UD, spread_UDD, prior, variance, home_D)
        variance = max(variance, _LEAST_VARIANCE * spread**2)
    return Factors(mean, float(answers_P.min()), float(answers_P.max()), variance, bias_V, loading_VD)


def squares(loading_VD: Floats) -> Floats:
    """Return the outer product of each row with itself, [V, D · D]."""
    items, factors = loading_VD.shape
    return (loading_VD[:, :, None] * loading_VD[:, None, :]).reshape(items, factors * factors)


def _tastes(
    answered_UV: sparse.csr_matrix,
    residual_UV: sparse.csr_matrix,
    residual_P: Floats,
    loading_VD: Floats,
    variance: float,
) -> tuple[Floats, Floats, float]:
    """Return the posterior means and covariances of all tastes, and the variance of the noise given them."""
    factors = loading_VD.shape[1]
    met_UDD = (answered_UV @ squares(loading_VD)).reshape(-1, factors, factors)
    sums_UD = residual_UV @ loading_VD
    spread_UDD = np.linalg.inv(met_UDD / variance + np.eye(factors))
    taste_UD = np.einsum("udk,uk->ud", spread_UDD, sums_UD) / variance
    moment_UDD = spread_UDD + taste_UD[:, :, None] * taste_UD[:, None, :]
    squared = np.square(residual_P).sum() - 2 * (sums_UD * taste_UD).sum() + (met_UDD * moment_UDD).sum()
    return taste_UD, spread_UDD, float(squared) / len(residual_P)


def _loadings(
    answered_UV: sparse.csr_matrix,
    centred_UV: sparse.csr_matrix,
    taste_UD: Floats,
    spread_UDD: Floats,
    prior: Floats,
    variance: float,
    home_D: Floats,
) -> tuple[Floats, Floats]:
    """Return loadings and biases of all items: a ridge regression of an item's answers on the tastes of who gave them.

    The bias is the loading of one factor more, on which everybody's taste is 1 for certain.
    """
    people, factors = taste_UD.shape
    one_U1 = np.ones((people, 1))
    wide_UD = np.hstack([taste_UD, one_U1])
    moment_UDD = wide_UD[:, :, None] * wide_UD[:, None, :]
    moment_UDD[:, :factors, :factors] += spread_UDD
    pull_DD = prior.copy()
    pull_DD[:factors, :factors] *= variance
    met_VDD = (answered_UV.T @ moment_UDD.reshape(people, -1)).reshape(-1, factors + 1, factors + 1)
    sums_VD = centred_UV.T @ wide_UD + pull_DD @ np.append(home_D, 0.0)
    found_VD = np.linalg.solve(met_VDD + pull_DD, sums_VD[:, :, None])[:, :, 0]
    return found_VD[:, :factors], found_VD[:, factors]
