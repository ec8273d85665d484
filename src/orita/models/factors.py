"""Items as vectors, learned so that a person's few known answers say what the others would be.

Legend: P pairs (a person's answer to an item), U people, V items (row 0 is the unknown item), D factors, W = D + 1,
C ranges of traits.

An answer is mean + bias of the item + loading of the item · taste of the person + noise. A taste is drawn from
N(what the person's traits lean to, I) and is never a parameter: learning integrates it out (factor analysis with
answers missing, as in Tipping and Bishop, "Probabilistic Principal Component Analysis", 1999), so that somebody who was
not there in training is no special case: their taste is the posterior mean given what they have answered by now.

Loadings and biases are uncertain too. What is kept of an item is the mean and the covariance of both together
(variational Bayes, Bishop, "Variational Principal Components", 1999), so that an answer to an item that few answered
tells less. Their prior is a regression on the items' traits, and its precisions are learned with it; an item that
nobody answered has what its traits lean to.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

__all__ = ["Answers", "Factors", "learn_factors", "moments"]

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

_LEVEL_LOADING = 0.4  # of factor 0 in the beginning, in standard deviations of the answers: how high a person answers
_BIAS_SHRINKAGE = 3.0  # people who gave the mean, beside those who answered, in the beginning
_ITEMS_OF_PRIOR = 20  # items' worth of evidence that precisions are as configured
_KIND_SHRINKAGE = 10.0  # items without a lean, beside those of a range
_HABIT_SHRINKAGE = 30.0  # people without a lean, beside those of a range
_FIRST_ROUNDS = 2  # before priors are learned
_LEAST_VARIANCE = 1e-3  # of the noise, in variances of the answers


@dataclass(frozen=True, slots=True)
class Answers:
    """What people answered, and in which ranges of their traits people and items are.

    Attributes:
        people_P: numbers of people, 0 … U − 1.
        items_P: rows of items, 1 … V − 1.
        values_P: at least one.
        people_UC, items_VC: 0 or 1; row 0 of the items is the unknown one.
    """

    people_P: Rows
    items_P: Rows
    values_P: Floats
    people_UC: Floats
    items_VC: Floats


@dataclass(frozen=True, slots=True)
class Factors:
    """What was learned.

    Attributes:
        mean: of all answers.
        low, high: the least and the greatest answer.
        variance: of the noise, > 0.
        item_VW: of each item the loading and, last, the bias; of the unknown item without what its traits lean to.
        spread_VWW: their covariance.
        habit_CD: what the ranges of a person's traits lean to.
        kind_CW: what those of an item's traits lean to.
    """

    mean: float
    low: float
    high: float
    variance: float
    item_VW: Floats
    spread_VWW: Floats
    habit_CD: Floats
    kind_CW: Floats


def learn_factors(answers: Answers, *, factors: int, shrinkage: float, rounds: int, seed: int) -> Factors:
    """Return factors of the items.

    Args:
        answers: from which.
        factors: D ≥ 1.
        shrinkage: how many people's worth of evidence keeps a loading small, unless the items themselves tell; > 0.
        rounds: of learning tastes from items and items from tastes, ≥ 1.
        seed: fixes where the loadings begin.
    """
    mean, spread = float(answers.values_P.mean()), float(answers.values_P.std()) or 1.0
    shape = len(answers.people_UC), len(answers.items_VC)
    pairs = answers.people_P, answers.items_P
    answered_UV = sparse.csr_matrix((np.ones(len(answers.values_P)), pairs), shape)
    centred_UV = sparse.csr_matrix((answers.values_P - mean, pairs), shape)
    squared = float(np.square(answers.values_P - mean).sum())
    prior = _Prior.at_first(answers, factors, shrinkage, spread)
    random_VD = 0.1 * spread * np.random.default_rng(seed).normal(size=(shape[1], factors))
    item_VW = prior.item_VW + np.pad(random_VD, ((0, 0), (0, 1)))
    spread_VWW, variance = np.zeros((shape[1], factors + 1, factors + 1)), spread**2
    for done in range(rounds):
        taste_UW, moment_UWW = _tastes(answered_UV, centred_UV, item_VW, spread_VWW, variance, prior.taste_UD)
        met_VWW = (answered_UV.T @ _flat(moment_UWW)).reshape(spread_VWW.shape)
        sums_VW = centred_UV.T @ taste_UW
        spread_VWW = np.linalg.inv(met_VWW / variance + np.diag(prior.precision_W))
        item_VW = np.einsum("vab,vb->va", spread_VWW, sums_VW / variance + prior.item_VW * prior.precision_W)
        noise = squared - 2 * (sums_VW * item_VW).sum() + (met_VWW * moments(item_VW, spread_VWW)).sum()
        variance = max(float(noise) / len(answers.values_P), _LEAST_VARIANCE * spread**2)
        if done >= _FIRST_ROUNDS:
            prior = prior.learned(answers, taste_UW[:, :-1], item_VW, spread_VWW)
    item_VW[0] = prior.usual_W
    low, high = float(answers.values_P.min()), float(answers.values_P.max())
    return Factors(mean, low, high, variance, item_VW, spread_VWW, prior.habit_CD, prior.kind_CW)


def moments(mean_VW: Floats, spread_VWW: Floats) -> Floats:
    """Return the expected outer product of each row with itself, [V, W, W]."""
    return mean_VW[:, :, None] * mean_VW[:, None, :] + spread_VWW


@dataclass(frozen=True, slots=True)
class _Prior:
    """What is expected of tastes and items before any answer to them."""

    taste_UD: Floats
    habit_CD: Floats
    item_VW: Floats
    kind_CW: Floats
    usual_W: Floats
    precision_W: Floats
    configured_W: Floats

    @classmethod
    def at_first(cls, answers: Answers, factors: int, shrinkage: float, spread: float) -> _Prior:
        usual_W = np.zeros(factors + 1)
        usual_W[0] = _LEVEL_LOADING * spread
        precision_W = np.append(np.full(factors, shrinkage), _BIAS_SHRINKAGE) / spread**2
        return cls(
            np.zeros((len(answers.people_UC), factors)),
            np.zeros((answers.people_UC.shape[1], factors)),
            np.tile(usual_W, (len(answers.items_VC), 1)),
            np.zeros((answers.items_VC.shape[1], factors + 1)),
            usual_W,
            precision_W,
            precision_W,
        )

    def learned(self, answers: Answers, taste_UD: Floats, item_VW: Floats, spread_VWW: Floats) -> _Prior:
        """Regress tastes and items of which there are answers on their traits."""
        people_U, items_V = np.unique(answers.people_P), np.unique(answers.items_P)
        habit_CD = _ridge(answers.people_UC[people_U], taste_UD[people_U], _HABIT_SHRINKAGE)
        mean_W, flags_C = item_VW[items_V].mean(0), answers.items_VC[items_V].mean(0)
        kind_CW = _ridge(answers.items_VC[items_V] - flags_C, item_VW[items_V] - mean_W, _KIND_SHRINKAGE)
        usual_W = mean_W - flags_C @ kind_CW
        expected_VW = usual_W + answers.items_VC @ kind_CW
        off_W = np.square(item_VW - expected_VW)[items_V].sum(0) + np.einsum("vaa->va", spread_VWW)[items_V].sum(0)
        precision_W = (len(items_V) + _ITEMS_OF_PRIOR) / (off_W + _ITEMS_OF_PRIOR / self.configured_W)
        taste_UD = answers.people_UC @ habit_CD
        return _Prior(taste_UD, habit_CD, expected_VW, kind_CW, usual_W, precision_W, self.configured_W)


def _tastes(
    answered_UV: sparse.csr_matrix,
    centred_UV: sparse.csr_matrix,
    item_VW: Floats,
    spread_VWW: Floats,
    variance: float,
    prior_UD: Floats,
) -> tuple[Floats, Floats]:
    """Return the posterior means of all tastes, and expected outer products; the bias is one taste more, always 1."""
    people, factors = prior_UD.shape
    moment_VWW = moments(item_VW, spread_VWW)
    met_UDD = (answered_UV @ _flat(moment_VWW[:, :-1, :-1])).reshape(people, factors, factors)
    sums_UD = centred_UV @ item_VW[:, :-1] - answered_UV @ moment_VWW[:, :-1, -1]
    spread_UDD = np.linalg.inv(met_UDD / variance + np.eye(factors))
    taste_UD = np.einsum("uab,ub->ua", spread_UDD, sums_UD / variance + prior_UD)
    taste_UW = np.hstack([taste_UD, np.ones((people, 1))])
    moment_UWW = moments(taste_UW, np.pad(spread_UDD, ((0, 0), (0, 1), (0, 1))))
    return taste_UW, moment_UWW


def _flat(matrices: Floats) -> Floats:
    return matrices.reshape(len(matrices), -1)


def _ridge(flags_NC: Floats, value_ND: Floats, shrinkage: float) -> Floats:
    wide_CC = flags_NC.T @ flags_NC + shrinkage * np.eye(flags_NC.shape[1])
    return np.linalg.solve(wide_CC, flags_NC.T @ value_ND).astype(np.float64)
