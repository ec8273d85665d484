"""Estimators of single decisions equal their definitions, and are unbiased where they say so: by all logs there are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orita.core.errors import UserError
from orita.delivery.ope import (
    ESTIMATORS,
    LoggedDecisions,
    blended_dr,
    clipped_ips,
    dm,
    dr,
    ips,
    snips,
    switch_dr,
    switch_threshold,
)

Floats = npt.NDArray[np.float64]

LOGGING = np.array([[0.5, 0.3, 0.2], [0.1, 0.6, 0.3]])
TARGET = np.array([[0.1, 0.1, 0.8], [0.7, 0.0, 0.3]])
REWARD = np.array([[1.0, 3.0, -2.0], [0.5, 0.0, 4.0]])
MODEL = np.array([[0.0, 1.0, 1.0], [2.0, -1.0, 0.0]])
VALUE = float((TARGET * REWARD).sum(axis=1).mean())


def drawn(seed: int, rows: int = 400) -> LoggedDecisions:
    """Return a log of a made-up world, with a model that is a little wrong and some users."""
    random = np.random.default_rng(seed)
    logging, target = random.dirichlet(np.ones(4), rows), random.dirichlet(np.ones(4), rows)
    logging = 0.7 * logging + 0.3 / 4
    action = (random.random((rows, 1)) > np.cumsum(logging, axis=1)).sum(axis=1).clip(0, 3)
    chance = random.random((rows, 4))
    reward = (random.random(rows) < chance[np.arange(rows), action]).astype(np.float64)
    model = np.clip(chance + random.normal(size=chance.shape) * 0.3, 0, 1)
    return LoggedDecisions.of_matrices(
        reward, action, logging, target, predicted_NA=model, unit_N=random.integers(60, size=rows)
    )


@pytest.mark.parametrize("estimator", [ips, dr], ids=["ips", "dr"])
def test_the_mean_over_all_logs_is_the_value(estimator: Callable[[LoggedDecisions], object]) -> None:
    """Over every log that two decisions can leave, weighed by its chance, IPS and DR are the target's value exactly."""
    mean = 0.0
    for actions in product(range(3), repeat=2):
        rows, action = np.arange(2), np.array(actions)
        logged = LoggedDecisions.of_matrices(REWARD[rows, action], action, LOGGING, TARGET, predicted_NA=MODEL)
        mean += float(LOGGING[rows, action].prod()) * estimator(logged).value  # type: ignore[attr-defined]
    assert mean == pytest.approx(VALUE, abs=1e-12)


def test_hand_computed() -> None:
    """Three rows by hand: weights 2, 0.5 and 4."""
    logged = LoggedDecisions.of(
        [1.0, 0.0, 1.0], [0.25, 0.8, 0.1], [0.5, 0.4, 0.4], predicted_N=[0.5, 0.25, 0.5], expected_N=[0.25, 0.5, 0.75]
    )
    assert logged.weights() == pytest.approx([2, 0.5, 4])
    assert ips(logged).value == pytest.approx((2 + 4) / 3)
    assert snips(logged).value == pytest.approx(6 / 6.5)
    assert clipped_ips(logged, clip=2.5).value == pytest.approx((2 + 2.5) / 3)
    assert clipped_ips(logged, clip=2.5).clipped_share == pytest.approx(1.5 / 6.5)
    assert dm(logged).value == pytest.approx(0.5)
    assert dr(logged).value == pytest.approx(0.5 + (2 * 0.5 - 0.5 * 0.25 + 4 * 0.5) / 3)
    assert switch_dr(logged, threshold=2.0).value == pytest.approx(0.5 + (2 * 0.5 - 0.5 * 0.25) / 3)
    assert ips(logged).effective_sample_size == pytest.approx(6.5**2 / (4 + 0.25 + 16))


@settings(max_examples=25)
@given(st.integers(0, 10_000))
def test_estimators_meet_at_their_ends(seed: int) -> None:
    """DR without a model is IPS; switching never is DR, always is DM; clipping nothing is IPS."""
    logged = drawn(seed, rows=60)
    bare = LoggedDecisions.of(
        logged.reward_N, logged.propensity_N, logged.target_N, predicted_N=np.zeros(60), expected_N=np.zeros(60)
    )
    assert dr(bare).value == pytest.approx(ips(bare).value)
    assert switch_dr(logged, threshold=np.inf).value == pytest.approx(dr(logged).value)
    assert switch_dr(logged, threshold=0.0).value == pytest.approx(dm(logged).value)
    clipped, plain = clipped_ips(logged, clip=1e9), ips(logged)
    assert (clipped.value, clipped.low, clipped.high) == (plain.value, plain.low, plain.high)


@settings(max_examples=25)
@given(st.integers(0, 10_000))
def test_a_policy_judged_by_its_own_log(seed: int) -> None:
    """The logged policy itself is worth the mean reward, by IPS and SNIPS, and gains exactly nothing."""
    logged = drawn(seed, rows=60)
    own = LoggedDecisions.of(logged.reward_N, logged.propensity_N, logged.propensity_N)
    for estimator in (ips, snips):
        assert estimator(own).value == pytest.approx(float(logged.reward_N.mean()))
        gain = estimator(own, gain=True)
        assert gain.value == pytest.approx(0.0, abs=1e-12)
        assert gain.standard_error == pytest.approx(0.0, abs=1e-9)


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.floats(0.1, 50), st.floats(-20, 20))
def test_units_of_the_reward_do_not_matter(seed: int, scale: float, shift: float) -> None:
    """SNIPS of rewards in other units, from another zero, is the same in those units, ends included."""
    logged = drawn(seed, rows=80)
    other = LoggedDecisions.of(logged.reward_N * scale + shift, logged.propensity_N, logged.target_N)
    there, here = snips(other), snips(LoggedDecisions.of(logged.reward_N, logged.propensity_N, logged.target_N))
    for one, two in ((there.value, here.value), (there.low, here.low), (there.high, here.high)):
        assert one == pytest.approx(two * scale + shift, rel=1e-6, abs=1e-6)


@settings(max_examples=25)
@given(st.integers(0, 10_000))
def test_the_order_of_rows_does_not_matter(seed: int) -> None:
    """Every estimator gives the same of shuffled rows and renamed units."""
    logged, random = drawn(seed, rows=80), np.random.default_rng(seed)
    order = random.permutation(80)
    assert logged.unit_N is not None and logged.predicted_N is not None and logged.expected_N is not None
    shuffled = LoggedDecisions.of(
        logged.reward_N[order],
        logged.propensity_N[order],
        logged.target_N[order],
        predicted_N=logged.predicted_N[order],
        expected_N=logged.expected_N[order],
        unit_N=np.array([f"user {1000 - unit}" for unit in logged.unit_N[order]]),
    )
    for estimator in ESTIMATORS.values():
        one, two = estimator(logged), estimator(shuffled)
        assert (one.value, one.low, one.high) == pytest.approx((two.value, two.low, two.high), nan_ok=True)


def test_a_gain_is_the_value_less_what_was_earned() -> None:
    """Each estimator's gain is its value less the mean reward, with an interval of its own."""
    logged = drawn(3)
    for estimator in ESTIMATORS.values():
        value, gain = estimator(logged), estimator(logged, gain=True)
        assert gain.value == pytest.approx(value.value - float(logged.reward_N.mean()))
        assert gain.low < gain.value < gain.high


def test_clipping_allows_for_what_it_took() -> None:
    """The interval of clipped IPS spans the worst and the best that clipped decisions may earn."""
    logged = drawn(4)
    clipped = clipped_ips(logged, clip=1.0)
    assert clipped.clipped_share > 0.2
    worst = np.minimum(logged.weights(), 1.0) * logged.reward_N
    best = worst + 1 - np.minimum(logged.weights(), 1.0)
    assert clipped.low < worst.mean() and clipped.high > best.mean()
    wider = clipped_ips(logged, clip=1.0, reward_range=(-1.0, 2.0))
    assert wider.low < clipped.low and wider.high > clipped.high


def test_switching_leaves_out_what_a_right_model_explains() -> None:
    """With an exact model and one huge weight the threshold is below it; a useless model keeps its correction."""
    weight = np.where(np.arange(2000) % 50 == 0, 40.0, 0.2)
    reward = (np.arange(2000) // 50 % 2).astype(np.float64)
    exact = LoggedDecisions.of(
        reward, 0.01 * np.ones(2000), 0.01 * weight, predicted_N=np.full(2000, 0.5), expected_N=np.full(2000, 0.5)
    )
    assert switch_threshold(exact) < 40
    wrong = LoggedDecisions.of(
        reward, 0.01 * np.ones(2000), 0.01 * weight, predicted_N=np.full(2000, 5.0), expected_N=np.full(2000, 5.0)
    )
    assert switch_threshold(wrong) == 40
    found = switch_dr(exact)
    assert (found.low, found.high) == (dr(exact).low, dr(exact).high)


def test_blending_by_hand() -> None:
    """Corrections of 1 and 3 are 2 on average, with a standard error of 1: a quarter of them is doubted."""
    ones = np.ones(2)
    logged = LoggedDecisions.of([1.0, 3.0], ones, ones, predicted_N=0 * ones, expected_N=0.5 * ones)
    found = blended_dr(logged)
    assert dm(logged).value == pytest.approx(0.5) and dr(logged).value == pytest.approx(2.5)
    assert found.value == pytest.approx(2.5 - 2 / 4)
    assert found.clipped_share == pytest.approx(1 / 4)
    assert (found.low, found.high, found.interval) == (dr(logged).low, dr(logged).high, "that of dr")


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.floats(-1, 1))
def test_blending_is_within_a_standard_error_of_dr(seed: int, bias: float) -> None:
    """Between the model's value and DR's, and never further from the latter than one standard error by users."""
    logged = drawn(seed, rows=80)
    assert logged.predicted_N is not None and logged.expected_N is not None
    logged = replace(logged, predicted_N=logged.predicted_N + bias, expected_N=logged.expected_N + bias)
    low, high = sorted((dm(logged).value, dr(logged).value))
    found = blended_dr(logged)
    assert low - 1e-12 <= found.value <= high + 1e-12
    assert logged.predicted_N is not None
    correction = logged.weights() * (logged.reward_N - logged.predicted_N)
    spread = ips(replace(logged, propensity_N=np.ones(80), target_N=np.ones(80), reward_N=correction)).standard_error
    assert abs(found.value - dr(logged).value) <= spread + 1e-12


def test_blending_one_unit_is_dr() -> None:
    """Where nothing is known of the spread of corrections, nothing is taken off them; where there are none, nothing."""
    logged = replace(drawn(6, rows=20), unit_N=np.zeros(20, np.int64))
    assert blended_dr(logged).value == dr(logged).value
    exact = LoggedDecisions.of([1.0, 0.0], [0.5, 0.5], [0.5, 0.5], predicted_N=[1.0, 0.0], expected_N=[0.5, 0.5])
    assert blended_dr(exact).value == dr(exact).value == 0.5


@pytest.mark.parametrize(
    ("given_", "sentence"),
    [
        (([1.0], [0.0], [0.5]), "1 of 1 values of propensity are no probabilities, such as 0: allowed is above 0"),
        (([1.0], [0.5], [1.5]), "1 of 1 values of target are no probabilities, such as 1.5"),
        (([1.0, 2.0], [0.5], [0.5]), r"propensity has shape \(1,\)"),
        (([np.nan], [0.5], [0.5]), "1 of 1 values of reward are not finite"),
        (([], [], []), "at least one"),
    ],
)
def test_wrong_logs_are_refused(given_: tuple[list[float], list[float], list[float]], sentence: str) -> None:
    """What is no log is named: the array, the value, what is allowed."""
    with pytest.raises(UserError, match=sentence):
        LoggedDecisions.of(*given_)


def test_wrong_questions_are_refused() -> None:
    """A model that is not there, a clip of 0, rewards outside their range, and no weight at all are told."""
    bare = LoggedDecisions.of([1.0, 0.0], [0.5, 0.5], [0.0, 0.0])
    for estimator in (dm, dr, switch_dr, blended_dr):
        with pytest.raises(UserError, match="needs a reward model"):
            estimator(bare)
    with pytest.raises(UserError, match=r"clip 0 is not above 0"):
        clipped_ips(bare, clip=0)
    with pytest.raises(UserError, match="outside the reward range"):
        clipped_ips(bare, reward_range=(0.5, 1.0))
    with pytest.raises(UserError, match="all weights are 0"):
        snips(bare)
    with pytest.raises(UserError, match="confidence 95 is not a share"):
        ips(bare, confidence=95)
    with pytest.raises(UserError, match="go together"):
        LoggedDecisions.of([1.0], [0.5], [0.5], predicted_N=[0.5])
    with pytest.raises(UserError, match=r"add up to 0\.9"):
        LoggedDecisions.of_matrices([1.0], np.array([0]), [[0.5, 0.4]], [[0.5, 0.5]])
    with pytest.raises(UserError, match="do not fit logging"):
        LoggedDecisions.of_matrices([1.0], np.array([2]), [[0.5, 0.5]], [[0.5, 0.5]])
