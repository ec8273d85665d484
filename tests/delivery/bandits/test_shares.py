"""Shares for a split follow the probability of being the best arm, keep the floor, and add up."""

from __future__ import annotations

import doctest
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orita.core.errors import UserError
from orita.delivery.assignment import Split
from orita.delivery.bandits import ArmRewards, BernoulliThompson, GaussianThompson, StudentThompson, arm_shares, shares
from orita.delivery.bandits.shares import SharePolicy, best_arm

POLICIES: dict[str, SharePolicy] = {
    "bernoulli": BernoulliThompson(),
    "gaussian": GaussianThompson(noise=0.4, mean=0.2),
    "student": StudentThompson(mean=0.2),
}
every_policy = pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
REWARDS = {
    "a": ArmRewards(200, 0.30, 0.21),
    "b": ArmRewards(150, 0.34, 0.2244),
    "c": ArmRewards(20, 0.25, 0.1875),
    "new": ArmRewards(0),
}


def drawn(policy: SharePolicy, count: int) -> np.ndarray:
    """Return by simulation, with posteriors written out by hand, how often each arm has the largest mean."""
    rng = np.random.default_rng(11)
    columns = []
    for known in REWARDS.values():
        n, mean, variance = known.count, known.mean if known.count else 0.2, known.variance or 0.0
        if isinstance(policy, BernoulliThompson):
            columns.append(rng.beta(1 + n * mean, 1 + n * (1 - mean), count))
        elif isinstance(policy, GaussianThompson):
            precision = 1 + n / 0.16
            columns.append((0.2 + n * mean / 0.16) / precision + rng.standard_normal(count) / math.sqrt(precision))
        else:
            squares = 2.0 + n * variance + n / (1 + n) * (mean - 0.2) ** 2
            scale = math.sqrt(squares / (2 + n) / (1 + n))
            columns.append((0.2 + n * mean) / (1 + n) + scale * rng.standard_t(2 + n, count))
    best = np.stack(columns, axis=1).argmax(axis=1)
    return np.bincount(best, minlength=len(REWARDS)) / count


@every_policy
def test_the_probability_of_the_best_arm_is_that_of_drawn_posteriors(policy: SharePolicy) -> None:
    """Quadrature agrees with 200,000 draws of posteriors written by hand, within five of their standard errors."""
    found, expected = best_arm(REWARDS, policy), drawn(policy, 200_000)
    tolerance = 5 * np.sqrt(expected * (1 - expected) / 200_000) + 1e-4
    assert (np.abs(found.values - expected) < tolerance).all()
    assert found.values.sum() == pytest.approx(1, abs=1e-6)
    assert (found.errors < 1e-6).all()


@every_policy
def test_shares_have_their_floor_and_follow_the_probabilities(policy: SharePolicy) -> None:
    """Each arm gets the floor and its part of the rest, to the fourth decimal."""
    found, best = arm_shares(REWARDS, policy=policy, floor=5), best_arm(REWARDS, policy).values
    assert list(found) == list(REWARDS)
    np.testing.assert_allclose(list(found.values()), 5 + 80 * best, atol=1e-4)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 10**7), st.floats(0, 1)), min_size=1, max_size=8),
    st.sampled_from([0.0, 0.0001, 1.0, 12.5]),
)
def test_shares_are_weights_of_a_split(known: list[tuple[int, float]], floor: float) -> None:
    """Whatever the rewards, shares have four decimals, sum to 100 and are at least the floor: a split takes them."""
    found = arm_shares({str(n): ArmRewards(*each) for n, each in enumerate(known)}, floor=floor)
    assert Split.of(found).weights == found
    assert min(found.values()) >= floor


def test_arms_nobody_knows_share_alike() -> None:
    """Without rewards all arms have the same share; what does not divide goes to the first."""
    assert arm_shares(dict.fromkeys("abc", ArmRewards(0))) == {"a": 33.3334, "b": 33.3333, "c": 33.3333}


def test_a_better_arm_gets_nearly_all_but_the_floor() -> None:
    """With much evidence the worse arm is left with its floor."""
    assert arm_shares({"a": ArmRewards(1e6, 0.1), "b": ArmRewards(1e6, 0.2)}) == {"a": 1.0, "b": 99.0}


@pytest.mark.parametrize(
    ("rewards", "policy", "floor", "sentence"),
    [
        ({}, None, 1, "no arm is given"),
        ({"a": ArmRewards(-1)}, None, 1, "count -1"),
        ({"a": ArmRewards(math.nan)}, None, 1, "count nan"),
        ({"a": ArmRewards(1, 1.5)}, None, 1, "from 0 to 1"),
        ({"a": ArmRewards(1, math.inf)}, GaussianThompson(), 1, "must be finite"),
        ({"a": ArmRewards(1, 0.5)}, StudentThompson(), 1, "no variance"),
        ({"a": ArmRewards(1, 0.5, -1)}, StudentThompson(), 1, "variance -1"),
        (dict.fromkeys("abc", ArmRewards(0)), None, 34, "more than 100 %"),
        ({"a": ArmRewards(0)}, None, 0.00001, "up to four decimals"),
    ],
)
def test_what_is_not_possible_is_refused(
    rewards: dict[str, ArmRewards], policy: SharePolicy | None, floor: float, sentence: str
) -> None:
    """The sentence says what is wrong and what is allowed."""
    with pytest.raises(UserError, match=sentence):
        arm_shares(rewards, policy=policy, floor=floor)


def test_the_example_is_true() -> None:
    """What the docstring shows is what comes out."""
    assert doctest.testmod(shares).failed == 0
