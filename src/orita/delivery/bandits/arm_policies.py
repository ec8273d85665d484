"""Policies without features, as declarations: which belief follows from the rewards of each arm.

Legend: A arms that may be picked.
"""

from __future__ import annotations

import math

import msgspec
import numpy as np
import numpy.typing as npt

from orita.core.errors import UserError
from orita.delivery.bandits.arm_statistics import ArmStatistics
from orita.delivery.bandits.posteriors import BetaBelief, NormalBelief, StudentBelief
from orita.delivery.bandits.ranked import RankedBelief

__all__ = ["UCB1", "BernoulliThompson", "EpsilonGreedy", "GaussianThompson", "StudentThompson"]

Indices = npt.NDArray[np.int64]


class EpsilonGreedy(msgspec.Struct, frozen=True, tag="epsilon_greedy", forbid_unknown_fields=True):
    """The arm with the highest mean, and with probability *epsilon* any, at each position.

    Attributes:
        epsilon: 0 … 1.
        initial: what is taken for the mean of an arm without feedback. +∞ tries it at once; where feedback comes late
            that sends it all traffic but ε until the first comes.

    Source: Sutton and Barto (2018), Reinforcement learning, 2.2.
    """

    epsilon: float = 0.1
    initial: float = 0.0
    rewards = (-math.inf, math.inf)

    def __post_init__(self) -> None:
        if not 0 <= self.epsilon <= 1:
            raise UserError(f"epsilon {self.epsilon}: must be 0 to 1; it is the share of picks that explore")

    def statistics(self, arms: int) -> ArmStatistics:
        """Return empty sums."""
        return ArmStatistics(arms)

    def belief(self, seen: ArmStatistics, arms_A: Indices) -> RankedBelief:
        """Return the belief about some arms."""
        weight_A = seen.weight_A[arms_A]
        known_A = weight_A > 0
        mean_A = np.where(known_A, seen.sum_A[arms_A] / np.where(known_A, weight_A, 1), self.initial)
        return RankedBelief(mean_A, self.epsilon)


class UCB1(msgspec.Struct, frozen=True, tag="ucb1", forbid_unknown_fields=True):
    """The arm with the highest mean + alpha · √(2 ln n ÷ n_a); arms without feedback come first.

    n is the weight of all feedback, n_a the arm's. Deterministic but for ties: until feedback comes each pick is the
    same, so where it comes late Thompson sampling learns faster.

    Attributes:
        alpha: ≥ 0; 1 is the bound of the paper, for rewards in [0, 1].

    Source: Auer, Cesa-Bianchi and Fischer (2002), Finite-time analysis of the multiarmed bandit problem, figure 1.
    """

    alpha: float = 1.0
    rewards = (-math.inf, math.inf)

    def __post_init__(self) -> None:
        _at_least("alpha", self.alpha, 0.0)

    def statistics(self, arms: int) -> ArmStatistics:
        """Return empty sums."""
        return ArmStatistics(arms)

    def belief(self, seen: ArmStatistics, arms_A: Indices) -> RankedBelief:
        """Return the belief about some arms."""
        weight_A = seen.weight_A[arms_A]
        known_A = weight_A > 0
        divisor_A = np.where(known_A, weight_A, 1.0)
        spread = 2 * math.log(max(float(weight_A.sum()), 1.0))
        bound_A = seen.sum_A[arms_A] / divisor_A + self.alpha * np.sqrt(spread / divisor_A)
        return RankedBelief(np.where(known_A, bound_A, np.inf))


class BernoulliThompson(msgspec.Struct, frozen=True, tag="bernoulli_thompson", forbid_unknown_fields=True):
    """Thompson sampling of rates: rewards in [0, 1], an arm's rate has a Beta(successes, failures) prior.

    Attributes:
        successes: ≥ 0.1, what is taken to have been seen of each arm beforehand.
        failures: ≥ 0.1, likewise; 1 and 1 is the uniform prior. A prior near the rates learns sooner.

    Source: Chapelle and Li (2011), An empirical evaluation of Thompson sampling, algorithm 2.
    """

    successes: float = 1.0
    failures: float = 1.0
    rewards = (0.0, 1.0)

    def __post_init__(self) -> None:
        _at_least("successes", self.successes, 0.1)
        _at_least("failures", self.failures, 0.1)

    def statistics(self, arms: int) -> ArmStatistics:
        """Return empty sums."""
        return ArmStatistics(arms)

    def belief(self, seen: ArmStatistics, arms_A: Indices) -> BetaBelief:
        """Return the belief about some arms."""
        weight_A = seen.weight_A[arms_A]
        sum_A = np.maximum(np.minimum(seen.sum_A[arms_A], weight_A), 0.0)  # a merger may leave rounding errors
        return BetaBelief(self.successes + sum_A, self.failures + weight_A - sum_A)


class GaussianThompson(msgspec.Struct, frozen=True, tag="gaussian_thompson", forbid_unknown_fields=True):
    """Thompson sampling of means of normal rewards whose standard deviation is known.

    Attributes:
        noise: > 0, the standard deviation of one reward.
        mean: of the normal prior of an arm's mean.
        deviation: > 0, of that prior.

    Source: Russo, Van Roy, Kazerouni, Osband and Wen (2018), A tutorial on Thompson sampling, 4.2; Murphy (2007),
    Conjugate Bayesian analysis of the Gaussian distribution, 2.
    """

    noise: float = 1.0
    mean: float = 0.0
    deviation: float = 1.0
    rewards = (-math.inf, math.inf)

    def __post_init__(self) -> None:
        _at_least("noise", self.noise, 1e-9)
        _at_least("deviation", self.deviation, 1e-9)

    def statistics(self, arms: int) -> ArmStatistics:
        """Return empty sums."""
        return ArmStatistics(arms, self.mean)

    def belief(self, seen: ArmStatistics, arms_A: Indices) -> NormalBelief:
        """Return the belief about some arms."""
        precision_A = self.deviation**-2 + seen.weight_A[arms_A] / self.noise**2
        return NormalBelief(self.mean + seen.sum_A[arms_A] / self.noise**2 / precision_A, precision_A**-0.5)


class StudentThompson(msgspec.Struct, frozen=True, tag="student_thompson", forbid_unknown_fields=True):
    """Thompson sampling of means of normal rewards whose variance is not known, and may differ from arm to arm.

    The prior is normal-inverse-gamma: a guess of mean and variance, and how many rewards each guess is worth. The mean
    then has a Student t posterior.

    Attributes:
        mean: guess of an arm's mean.
        mean_weight: > 0, how many rewards it is worth.
        variance: > 0, guess of the variance of one reward.
        variance_weight: ≥ 1, how many rewards it is worth: the degrees of freedom at the start.

    Source: Murphy (2007), Conjugate Bayesian analysis of the Gaussian distribution, 6; Honda and Takemura (2014),
    Optimality of Thompson sampling for Gaussian bandits depends on priors.
    """

    mean: float = 0.0
    mean_weight: float = 1.0
    variance: float = 1.0
    variance_weight: float = 2.0
    rewards = (-math.inf, math.inf)

    def __post_init__(self) -> None:
        _at_least("mean_weight", self.mean_weight, 1e-9)
        _at_least("variance", self.variance, 1e-18)
        _at_least("variance_weight", self.variance_weight, 1.0)

    def statistics(self, arms: int) -> ArmStatistics:
        """Return empty sums."""
        return ArmStatistics(arms, self.mean)

    def belief(self, seen: ArmStatistics, arms_A: Indices) -> StudentBelief:
        """Return the belief about some arms."""
        weight_A, sum_A = seen.weight_A[arms_A], seen.sum_A[arms_A]
        strength_A, degrees_A = self.mean_weight + weight_A, self.variance_weight + weight_A
        shift_A = sum_A / strength_A
        # Squares about the posterior's mean, the guess among them: Murphy's β_n times 2.
        squares_A = np.maximum(seen.squares_A[arms_A] - strength_A * shift_A**2, 0.0)
        variance_A = (self.variance_weight * self.variance + squares_A) / degrees_A
        return StudentBelief(self.mean + shift_A, np.sqrt(variance_A / strength_A), degrees_A)


def _at_least(field: str, value: float, least: float) -> None:
    if not least <= value < math.inf:
        raise UserError(f"{field} {value}: must be a finite number of {least:g} or more")
