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
    blended_cascade_dr,
    blended_dr,
    cascade_dm,
    cascade_dr,
    dm,
    dr,
    ips,
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


def drawn_by_the_target(predicted: Floats) -> Floats:
    """Return the mean of predictions over the items that the target policy would put at each position."""
    target, below = given_above(TARGET), np.zeros(predicted.shape)
    for n, slate in enumerate(SLATES):
        for k in range(3):
            same = (SLATES[:, :k] == slate[:k]).all(axis=1)
            _, first = np.unique(SLATES[:, k] + 10 * ~same, return_index=True)
            draws = [m for m in first if same[m]]
            below[n, k] = sum(target[m, k] * predicted[m, k] for m in draws)
    return below


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
    random = np.random.default_rng(0)
    table = {prefix: random.normal() for slate in SLATES for k in range(3) if (prefix := tuple(slate[: k + 1]))}
    predicted = np.array([[table[tuple(slate[: k + 1])] for k in range(3)] for slate in SLATES])
    below = drawn_by_the_target(predicted)
    assert expected("cascade_dr", "cascade", predicted=predicted, below=below) == pytest.approx(value("cascade"))


def test_hand_computed() -> None:
    """Two slates of two positions by hand: weights 2 and 1, then 0.5 and 2 down to the second position."""
    logged = LoggedSlates.of(
        [[1.0, 0.0], [0.0, 1.0]],
        [[0.25, 0.5], [0.4, 0.25]],
        [[0.5, 0.25], [0.2, 1.0]],
        predicted_NK=[[0.75, 0.25], [0.5, 0.5]],
        expected_NK=[[0.5, 0.5], [1.0, 0.25]],
    )
    assert logged.cascade_weights() == pytest.approx(np.array([[2, 1], [0.5, 2]]))
    assert cascade_dm(logged).value == pytest.approx((0.5 + 1) / 2)
    corrections = 2 * (1 + 0.5 - 0.75) + 1 * (0 - 0.25), 0.5 * (0 + 0.25 - 0.5) + 2 * (1 - 0.5)
    assert cascade_dr(logged).value == pytest.approx((0.5 + 1 + sum(corrections)) / 2)
    assert cascade_dm(logged, gain=True).value == pytest.approx(0.75 - 1)
    assert not cascade_dm(logged).covers and cascade_dr(logged).covers


def test_the_direct_method_is_right_where_its_model_is() -> None:
    """The model of one world, from each position on, is that world's value at the top, and not that of another."""
    chance, below = given_above(TARGET).prod(axis=1), np.cumsum(rewards("cascade")[:, ::-1], axis=1)[:, ::-1]
    predicted = np.array(
        [
            [
                np.average(below[:, k], weights=chance * (SLATES[:, : k + 1] == slate[: k + 1]).all(axis=1))
                for k in range(3)
            ]
            for slate in SLATES
        ]
    )
    found = expected("cascade_dm", "cascade", predicted=predicted, below=drawn_by_the_target(predicted))
    assert found == pytest.approx(value("cascade"))
    assert abs(found - value("independent")) > 0.05


@pytest.mark.parametrize(("bias", "value"), [(0.5, 2 - 0.04 / 39 / 0.5), (0.01, 1.99)])
def test_blending_slates_is_between_the_model_and_cascade_dr(bias: float, value: float) -> None:
    """Of corrections of *bias* ± 0.2 nearly all is kept where that is clear, nothing where it is not."""
    ones, sign = np.ones((40, 2)), np.where(np.arange(40) % 2, 1.0, -1.0)[:, None]
    model = np.tile([2.0 - bias, 1.0 - bias], (40, 1))
    logged = LoggedSlates.of(ones + 0.1 * sign, ones, ones, predicted_NK=model, expected_NK=model)
    blended, whole = blended_cascade_dr(logged), cascade_dr(logged)
    assert blended.value == pytest.approx(value)
    assert (blended.low, blended.high, blended.interval) == (whole.low, whole.high, "that of cascade_dr")


def test_slates_of_one_position_are_decisions() -> None:
    """With one position every estimator is that of decisions, ends included."""
    random = np.random.default_rng(1)
    reward, propensity, target = random.random(50), random.uniform(0.2, 1, 50), random.random(50)
    model = {"predicted": random.random(50), "expected": random.random(50)}
    decisions = LoggedDecisions.of(
        reward, propensity, target, **{f"{name}_N": values for name, values in model.items()}
    )
    slates = LoggedSlates.of(
        reward[:, None],
        propensity[:, None],
        target[:, None],
        **{f"{name}_NK": values[:, None] for name, values in model.items()},
    )
    pairs = {"cascade_dm": dm, "cascade_dr": dr, "blended_cascade_dr": blended_dr}
    for name, estimator in SLATE_ESTIMATORS.items():
        if name.startswith("self_normalised"):
            continue
        found, wanted = estimator(slates), pairs.get(name, ips)(decisions)
        assert (found.value, found.low, found.high) == pytest.approx((wanted.value, wanted.low, wanted.high))
        assert found.effective_sample_size == pytest.approx(wanted.effective_sample_size)


def test_short_slates_earn_nothing_more() -> None:
    """Positions that a slate does not have, filled with chances of 1 and no reward, change no estimate."""
    random = np.random.default_rng(2)
    given = [random.random((40, 2)), random.uniform(0.2, 1, (40, 2)), random.random((40, 2))]
    wider = [np.hstack([each, np.full((40, 1), filling)]) for each, filling in zip(given, (0, 1, 1), strict=True)]
    models = random.random((2, 40, 2))
    predicted, expected_ = models
    short = LoggedSlates.of(*given, predicted_NK=predicted, expected_NK=expected_)
    predicted, expected_ = (np.hstack([each, np.zeros((40, 1))]) for each in models)
    long = LoggedSlates.of(*wider, predicted_NK=predicted, expected_NK=expected_)
    for estimator in SLATE_ESTIMATORS.values():
        assert estimator(short).value == pytest.approx(estimator(long).value)


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
    for estimator in (cascade_dm, cascade_dr, blended_cascade_dr):
        with pytest.raises(UserError, match=f"{estimator.__name__} needs a reward model"):
            estimator(never)
    with pytest.raises(UserError, match="all weights are 0"):
        slate_ips(never, self_normalised=True)
