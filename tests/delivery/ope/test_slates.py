"""Estimators of slates are unbiased where their assumption holds: by all slates there are."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import numpy.typing as npt
import pytest

from orita.core.errors import UserError
from orita.delivery.ope import (
    SLATE_ESTIMATORS,
    LoggedDecisions,
    LoggedSlates,
    cascade_dr,
    independent_ips,
    ips,
    reward_interaction_ips,
    slate_ips,
)

Floats = npt.NDArray[np.float64]

SLATES = np.array(list(permutations(range(4), 3)))
LOGGING, TARGET = np.array([4.0, 3.0, 2.0, 1.0]), np.array([1.0, 1.0, 2.0, 5.0])


def given_above(strength: Floats) -> Floats:
    """Return the probability of each position's item among those that are left, for every slate."""
    return np.array(
        [
            [strength[slate[k]] / (strength.sum() - strength[list(slate[:k])].sum()) for k in range(3)]
            for slate in SLATES
        ]
    )


def by_itself(conditional: Floats) -> Floats:
    """Return the probability of each position's item whatever is above it, for every slate."""
    chance = conditional.prod(axis=1)
    return np.array([[chance[SLATES[:, k] == slate[k]].sum() for k in range(3)] for slate in SLATES])


def rewards(world: str) -> Floats:
    """Return what each position of every slate earns: by its item, by the items above as well, or by the whole."""
    reward: Floats = SLATES * np.array([1.0, 0.5, 0.25])
    if world == "cascade":
        reward[:, 1:] *= np.where(SLATES[:, 1:] > SLATES[:, :-1], 2.0, -1.0)
    if world == "whole":
        reward = reward * (1 + SLATES[:, ::-1])
    return reward


def expected(estimator: str, world: str, *, predicted: Floats | None = None, below: Floats | None = None) -> float:
    """Return the estimator's mean over all slates, weighed by the chance that logging draws them."""
    logging, target = given_above(LOGGING), given_above(TARGET)
    own_logging, own_target = by_itself(logging), by_itself(target)
    mean = 0.0
    for n, chance in enumerate(logging.prod(axis=1)):
        one = slice(n, n + 1)
        logged = LoggedSlates.of(
            rewards(world)[one],
            logging[one],
            target[one],
            position_propensity_NK=own_logging[one],
            position_target_NK=own_target[one],
            predicted_NK=None if predicted is None else predicted[one],
            expected_NK=None if below is None else below[one],
        )
        mean += float(chance) * SLATE_ESTIMATORS[estimator](logged).value
    return mean


def value(world: str) -> float:
    """Return what the target policy earns a slate."""
    return float(given_above(TARGET).prod(axis=1) @ rewards(world).sum(axis=1))


@pytest.mark.parametrize(
    ("estimator", "world", "unbiased"),
    [
        ("slate_ips", "independent", True),
        ("slate_ips", "cascade", True),
        ("slate_ips", "whole", True),
        ("reward_interaction_ips", "independent", True),
        ("reward_interaction_ips", "cascade", True),
        ("reward_interaction_ips", "whole", False),
        ("independent_ips", "independent", True),
        ("independent_ips", "cascade", False),
    ],
)
def test_each_estimator_is_right_where_it_says(estimator: str, world: str, unbiased: bool) -> None:
    """The mean over all slates is the value exactly where the assumption holds, and is off where it does not."""
    off = expected(estimator, world) - value(world)
    assert abs(off) < 1e-12 if unbiased else abs(off) > 0.05


def test_cascade_dr_is_right_with_any_model() -> None:
    """A model of made-up numbers, averaged over the target's draws, leaves cascade-DR unbiased."""
    random, target = np.random.default_rng(0), given_above(TARGET)
    table = {prefix: random.normal() for slate in SLATES for k in range(3) if (prefix := tuple(slate[: k + 1]))}
    predicted = np.array([[table[tuple(slate[: k + 1])] for k in range(3)] for slate in SLATES])
    below = np.zeros(predicted.shape)
    for n, slate in enumerate(SLATES):
        for k in range(3):
            same = (SLATES[:, :k] == slate[:k]).all(axis=1)
            _, first = np.unique(SLATES[:, k] + 10 * ~same, return_index=True)
            draws = [m for m in first if same[m]]
            below[n, k] = sum(target[m, k] * predicted[m, k] for m in draws)
    assert expected("cascade_dr", "cascade", predicted=predicted, below=below) == pytest.approx(value("cascade"))


def test_slates_of_one_position_are_decisions() -> None:
    """With one position every weighted estimator is IPS of decisions, ends included."""
    random = np.random.default_rng(1)
    reward, propensity, target = random.random(50), random.uniform(0.2, 1, 50), random.random(50)
    wanted = ips(LoggedDecisions.of(reward, propensity, target))
    logged = LoggedSlates.of(reward[:, None], propensity[:, None], target[:, None])
    for estimator in (slate_ips, independent_ips, reward_interaction_ips):
        found = estimator(logged)
        assert (found.value, found.low, found.high) == pytest.approx((wanted.value, wanted.low, wanted.high))
        assert found.effective_sample_size == pytest.approx(wanted.effective_sample_size)


def test_short_slates_earn_nothing_more() -> None:
    """Positions that a slate does not have, filled with chances of 1 and no reward, change no estimate."""
    random = np.random.default_rng(2)
    given = [random.random((40, 2)), random.uniform(0.2, 1, (40, 2)), random.random((40, 2))]
    wider = [np.hstack([each, np.full((40, 1), filling)]) for each, filling in zip(given, (0, 1, 1), strict=True)]
    for estimator in SLATE_ESTIMATORS.values():
        if estimator is not cascade_dr:
            assert estimator(LoggedSlates.of(*given)).value == pytest.approx(estimator(LoggedSlates.of(*wider)).value)


def test_self_normalised_slates_stay_within_the_rewards() -> None:
    """A constant reward a position is found exactly, whatever the weights; the gain over it is 0."""
    random = np.random.default_rng(3)
    logged = LoggedSlates.of(np.full((30, 2), 0.7), random.uniform(0.1, 1, (30, 2)), random.random((30, 2)))
    for name, estimator in SLATE_ESTIMATORS.items():
        if name.startswith("self_normalised"):
            assert estimator(logged).value == pytest.approx(1.4)
            assert estimator(logged, gain=True).value == pytest.approx(0.0, abs=1e-12)
            assert estimator(logged).estimator == name


def test_wrong_slates_are_refused() -> None:
    """A vector, half a pair, no model, and a policy that shows none of the slates are told."""
    with pytest.raises(UserError, match="are not slates"):
        LoggedSlates.of([1.0], [0.5], [0.5])
    with pytest.raises(UserError, match="position_propensity and position_target go together"):
        LoggedSlates.of([[1.0]], [[0.5]], [[0.5]], position_target_NK=[[0.5]])
    never = LoggedSlates.of([[1.0, 0.0]], [[0.5, 0.5]], [[0.5, 0.0]])
    with pytest.raises(UserError, match="cascade_dr needs a reward model"):
        cascade_dr(never)
    with pytest.raises(UserError, match="all weights are 0"):
        slate_ips(never, self_normalised=True)
