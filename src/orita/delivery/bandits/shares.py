"""How much traffic is each arm worth? Shares for a split, by the probability that an arm is the best.

Legend: A arms.

A bandit that answers each request anew moves a user from arm to arm. Where arms are versions of a model that is not
wanted: shares are computed now and then, and a split gives each user one arm. The share of an arm is then what Thompson
sampling would pick of it: the probability that its mean is the largest, given the rewards so far. A floor keeps every
arm in the data, so that one that was unlucky early, or becomes better, is found out.

Source: Scott (2010), A modern Bayesian look at the multi-armed bandit, 3 (randomised probability matching).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from orita.core.errors import UserError
from orita.delivery.assignment.split import POINTS, points_of
from orita.delivery.bandits.arm_policies import BernoulliThompson, GaussianThompson, StudentThompson
from orita.delivery.bandits.belief import Propensities

__all__ = ["ArmRewards", "SharePolicy", "arm_shares", "best_arm"]

SharePolicy = BernoulliThompson | GaussianThompson | StudentThompson
"""Policies with a posterior of each arm's mean; Bernoulli for rewards in [0, 1], Student where nothing is known."""


@dataclass(frozen=True, slots=True)
class ArmRewards:
    """What is known of the rewards of one arm.

    Attributes:
        count: ≥ 0, how many there are; the sum of their weights where they are weighed.
        mean: of them; any number where there are none.
        variance: of them, with the divisor *count*, ≥ 0; only `StudentThompson` asks for it.
    """

    count: float
    mean: float = 0.0
    variance: float | None = None


def best_arm(rewards: Mapping[str, ArmRewards], policy: SharePolicy | None = None) -> Propensities:
    """Return the probability of each arm to have the largest mean, [A], with the error of its quadrature.

    Args:
        rewards: by arm, one or more arms; the order is that of the answer.
        policy: prior and kind of reward; None: `BernoulliThompson`, a uniform prior of a rate.

    Raises:
        UserError: a count, mean or variance is not possible.
    """
    policy = policy or BernoulliThompson()
    if not rewards:
        raise UserError("rewards: no arm is given; give one or more")
    for arm, known in rewards.items():
        _check(arm, known, policy)
    origin = getattr(policy, "mean", 0.0)
    weight_A = np.array([known.count for known in rewards.values()], np.float64)
    mean_A = np.array([known.mean - origin if known.count else 0.0 for known in rewards.values()])
    variance_A = np.array([known.variance or 0.0 for known in rewards.values()])
    seen = policy.statistics(len(rewards))
    seen.load({"weight": weight_A, "sum": weight_A * mean_A, "squares": weight_A * (variance_A + mean_A**2)})
    return policy.belief(seen, np.arange(len(rewards))).probabilities(np.random.default_rng(0))


def arm_shares(
    rewards: Mapping[str, ArmRewards], *, policy: SharePolicy | None = None, floor: float = 1.0
) -> dict[str, float]:
    """Return percent by arm, with four decimals and a sum of 100, as `Split.of` and `Split.reweighted` take them.

    An arm's share is *floor*, and of what the floors leave the part that is the probability of being the best arm.

    >>> arm_shares({"old": ArmRewards(1000, 0.10), "new": ArmRewards(1000, 0.13)}, floor=5)
    {'old': 6.6051, 'new': 93.3949}

    Args:
        rewards: by arm, as of `best_arm`.
        policy: likewise.
        floor: percent that every arm gets at least, with up to four decimals.

    Raises:
        UserError: as `best_arm`, or the floors of all arms are more than 100.
    """
    floor_points = points_of("floor", floor)
    free = POINTS - floor_points * len(rewards)
    if free < 0:
        raise UserError(f"floor {floor:g}: {len(rewards)} arms with {floor:g} % each are more than 100 %; lower it")
    values_A = best_arm(rewards, policy).values
    wanted_A = free * values_A / values_A.sum()
    points_A = np.floor(wanted_A).astype(np.int64)
    # What rounding down leaves goes to who lost most by it; of equals, to the first.
    left = free - int(points_A.sum())
    points_A[np.argsort(points_A - wanted_A, kind="stable")[:left]] += 1
    return {arm: (points + floor_points) * 100 / POINTS for arm, points in zip(rewards, points_A.tolist(), strict=True)}


def _check(arm: str, known: ArmRewards, policy: SharePolicy) -> None:
    if not 0 <= known.count < math.inf:
        raise UserError(f"rewards of {arm!r}: count {known.count}, must be a finite number of 0 or more")
    low, high = policy.rewards
    if known.count and not (low <= known.mean <= high and math.isfinite(known.mean)):
        raise UserError(f"rewards of {arm!r}: mean {known.mean}, must be finite and from {low:g} to {high:g}")
    if known.count and known.variance is None and isinstance(policy, StudentThompson):
        raise UserError(f"rewards of {arm!r}: no variance, and StudentThompson learns it; give it or GaussianThompson")
    if known.variance is not None and not 0 <= known.variance < math.inf:
        raise UserError(f"rewards of {arm!r}: variance {known.variance}, must be a finite number of 0 or more")
