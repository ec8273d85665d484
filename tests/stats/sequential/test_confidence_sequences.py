"""Sequential comparisons of means: batches equal all at once, state survives, and the level holds at all looks."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from orita.core.errors import UserError
from orita.stats.experiments.cuped import cuped
from orita.stats.sequential.confidence_sequences import SequentialComparison, difference_sequence, mean_sequence
from orita.stats.sequential.mixtures import Mixture
from orita.stats.sequential.moments import Moments

values = st.lists(st.floats(-1e3, 1e3), max_size=30)


@given(values, values)
@settings(deadline=None, max_examples=60)
def test_moments_of_batches_are_those_of_all_rows(first: list[float], second: list[float]) -> None:
    """Merged batches have the count, mean and variance of all rows at once, and survive being written down."""
    merged, whole = Moments.of(first).merged(Moments.of(second)), Moments.of(first + second)
    assert merged.n == whole.n == len(first) + len(second)
    assert merged.mean == pytest.approx(whole.mean, abs=1e-8)
    assert merged.squares == pytest.approx(whole.squares, rel=1e-9, abs=1e-6)
    assert Moments.from_dict(json.loads(json.dumps(merged.to_dict()))) == merged


def test_moments_of_counts_are_those_of_zeros_and_ones() -> None:
    """Counts need no list of outcomes."""
    counts, rows = Moments.of_counts(50, 7), Moments.of([1.0] * 7 + [0.0] * 43)
    assert (counts.n, counts.mean, counts.squares) == pytest.approx((rows.n, rows.mean, rows.squares))
    assert counts.variance == pytest.approx(np.var([1.0] * 7 + [0.0] * 43, ddof=1))
    with pytest.raises(UserError, match="between 0 and n"):
        Moments.of_counts(5, 6)
    with pytest.raises(UserError, match="1 of 2 values are NaN"):
        Moments.of([1.0, math.nan])


def test_a_test_that_is_written_down_goes_on_as_if_it_had_not_been() -> None:
    """State in, state out, by JSON, at every look: the same p-value and interval."""
    random = np.random.default_rng(0)
    straight = broken = SequentialComparison(Mixture.for_effect(0.3), level=0.01, side="less", null=-0.1)
    for _ in range(5):
        batch = Moments.of(random.normal(size=80)), Moments.of(random.normal(-0.5, 1, size=40))
        straight = straight.updated(*batch)
        broken = SequentialComparison.from_dict(json.loads(json.dumps(broken.updated(*batch).to_dict())))
    assert broken == straight
    assert straight.rejected
    assert straight.interval.high < -0.1


def test_a_rejection_stays() -> None:
    """The p-value never rises again, though the interval may hold the null later."""
    test = SequentialComparison(Mixture.for_effect(0.5), least=2)
    test = test.updated(Moments(200, 0, 200), Moments(200, 1, 200))
    assert test.rejected
    p_value = test.p_value
    test = test.updated(Moments(0), Moments(200, -1.0, 200))
    assert test.p_value == p_value
    assert test.interval.value == pytest.approx(0)


def test_adjusted_looks_hold_the_level_and_find_more() -> None:
    """Outcomes adjusted anew at each of 13 looks (CUPED): of 100 A/A runs at most 5 % (+ 3 σ) reject; more lifts do."""
    random, runs = np.random.default_rng(6), 100
    rejected = {(lift, adjust): 0 for lift in (0.0, 0.15) for adjust in (False, True)}
    for lift, adjust in rejected:
        for _ in range(runs if adjust or lift else 0):
            x = random.normal(size=1500)
            treated = random.random(1500) < 0.5
            y = 0.8 * x + 0.6 * random.normal(size=1500) + lift * treated
            test = SequentialComparison(Mixture.for_effect(0.15), least=50)
            for stop in range(300, 1501, 100):
                a, b = ~treated[:stop], treated[:stop]
                arms = y[:stop][a], y[:stop][b]
                if adjust:
                    found = cuped(*arms, x[:stop][a], x[:stop][b])
                    arms = found.control_N, found.treatment_M
                test = test.looked(Moments.of(arms[0]), Moments.of(arms[1]))
            rejected[lift, adjust] += test.rejected
    assert rejected[0.0, True] <= binom.ppf(0.9987, runs, 0.05)
    assert rejected[0.15, True] > rejected[0.15, False] + 15


def test_few_units_tell_nothing() -> None:
    """Below the least number of units an arm the interval is unbounded and p is 1."""
    arms = Moments.of(np.arange(99.0)), Moments.of(np.arange(500.0) + 1000)
    assert SequentialComparison(Mixture.for_effect(1.0)).updated(*arms).p_value == 1
    assert math.isinf(difference_sequence(*arms, Mixture.for_effect(1.0)).high)
    assert difference_sequence(*arms, Mixture.for_effect(1.0), least=50).low > 0
    assert math.isnan(mean_sequence(Moments(), Mixture.for_effect(1.0)).value)


def test_bounds_of_a_side_are_nearer_and_open() -> None:
    """A one-sided sequence has one bound, inside the two-sided interval."""
    sample, mixture = Moments.of(np.random.default_rng(1).normal(2, 1, 400)), Mixture.for_error(0.05)
    both, above = mean_sequence(sample, mixture), mean_sequence(sample, mixture, side="greater")
    below = mean_sequence(sample, mixture, side="less")
    assert both.low < above.low < both.value < below.high < both.high
    assert math.isinf(above.high)
    assert math.isinf(below.low)


def test_the_truth_is_held_at_all_looks_together() -> None:
    """Of 400 A/A runs with skewed outcomes, unequal and changing arms and 60 looks, at most 5 % (+ 3 σ) ever miss 0."""
    random, runs, looks = np.random.default_rng(5), 400, 60
    mixture = Mixture.for_effect(0.12)
    outcomes = random.exponential(size=(runs, looks, 120)) ** 1.5
    share = np.where(np.arange(looks) < 30, 20, 60)  # of 120 units to treatment: a ramp
    treated = np.arange(120) < share[:, None]
    ever = np.zeros(runs, bool)
    sums = np.zeros((3, 2, runs))
    for look in range(looks):
        for arm in (0, 1):
            part = outcomes[:, look, treated[look] == bool(arm)]
            sums[:, arm] += np.stack([np.full(runs, part.shape[1]), part.sum(axis=1), (part**2).sum(axis=1)])
        n = sums[0]
        mean = sums[1] / n
        error = np.sqrt(((sums[2] / n - mean**2) / (n - 1)).sum(axis=0))
        if n.min() >= 100:
            ever |= mixture.log_e(mean[1] - mean[0], error) >= math.log(20)
    assert ever.sum() <= binom.ppf(0.9987, runs, 0.05)
