"""Quantiles from counts by bin, and shares of arms, at every look."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from scipy.stats import binom, chisquare

from orita.core.errors import UserError
from orita.stats.sequential.quantile_sequences import (
    counts_by_bin,
    growing_edges,
    quantile_difference_sequence,
    quantile_sequence,
)
from orita.stats.sequential.rates import rate_strength
from orita.stats.sequential.sample_ratio import SampleRatioTest, sample_ratio_log_e, sample_ratio_p

EDGES = growing_edges(1.0, 5000.0)


def test_every_value_has_a_bin() -> None:
    """Bin b holds edges[b − 1] ≤ x < edges[b], the first and the last are open, and counts of parts add up."""
    edges = np.array([1.0, 2.0, 4.0])
    assert counts_by_bin([0.5, 1.0, 1.9, 2.0, 4.0, 1e9], edges).tolist() == [1, 2, 1, 2]
    assert EDGES[0] == 1
    assert EDGES[-1] >= 5000
    assert np.allclose(EDGES[1:] / EDGES[:-1], 1.02)


def test_a_quantile_is_held_at_all_looks_together() -> None:
    """Of 40 runs of 20 looks at a p90, at most 5 % (+ 3 σ) ever exclude the truth."""
    random, runs = np.random.default_rng(0), 40
    truth, strength = math.exp(3 + 1.2815516), rate_strength(2000)
    wrong = 0
    for _ in range(runs):
        counts, missed = np.zeros(len(EDGES) + 1, np.int64), False
        for _ in range(20):
            counts += counts_by_bin(random.lognormal(3, 1, 100), EDGES)
            found = quantile_sequence(counts, EDGES, 0.9, strength=strength)
            missed |= not found.low <= truth <= found.high
        wrong += missed
    assert wrong <= binom.ppf(0.9987, runs, 0.05)


def test_a_quantile_is_found_within_a_bin() -> None:
    """With many values the interval is narrow and holds the sample's quantile, up to a bin."""
    values = np.random.default_rng(1).lognormal(3, 1, 200_000)
    found = quantile_sequence(counts_by_bin(values, EDGES), EDGES, 0.99, strength=rate_strength(200_000))
    sample = float(np.quantile(values, 0.99))
    assert sample <= found.value <= sample * 1.02
    assert 0.93 * sample < found.low < found.value < found.high < 1.07 * sample


def test_equal_values_are_their_own_quantile() -> None:
    """A constant, which has no density, is held by the bin it is in."""
    counts = counts_by_bin(np.full(5000, 100.0), EDGES)
    found = quantile_sequence(counts, EDGES, 0.5, strength=100.0)
    assert found.low <= 100 < found.high == found.value
    assert found.high / found.low == pytest.approx(1.02)


def test_a_slower_arm_is_told() -> None:
    """50 ms more are found in the p99 of 5,000 requests an arm; of equal arms, and of none, nothing is said."""
    random = np.random.default_rng(2)
    first, second = (counts_by_bin(random.lognormal(3, 0.5, 5000), EDGES) for _ in range(2))
    slow = counts_by_bin(random.lognormal(3, 0.5, 5000) + 50, EDGES)
    strength = rate_strength(5000, level=0.01)
    worse = quantile_difference_sequence(first, slow, EDGES, 0.99, strength=strength, level=0.01)
    same = quantile_difference_sequence(first, second, EDGES, 0.99, strength=strength, level=0.01)
    assert worse.low > 0
    assert same.low < 0 < same.high
    nothing = quantile_difference_sequence(first * 0, slow, EDGES, 0.99, strength=strength)
    assert math.isnan(nothing.value)
    assert nothing.low == -math.inf


@pytest.mark.parametrize("quantile", [0.0, 1.0])
def test_no_quantile_is_refused(quantile: float) -> None:
    """The ends are no quantiles, and bins must fit their limits."""
    with pytest.raises(UserError, match="between 0 and 1"):
        quantile_sequence(np.zeros(4, np.int64), np.arange(1.0, 4), quantile, strength=10.0)
    with pytest.raises(UserError, match="growth above 1"):
        growing_edges(1.0, 2.0, 1.0)


def test_the_fixed_test_of_shares_is_the_textbooks() -> None:
    """Large counts: Pearson's χ² as SciPy has it; small ones of two arms: the exact binomial test."""
    counts, shares = [5050, 4890, 10_300], [1.0, 1.0, 2.0]
    expected = np.array(shares) / 4 * sum(counts)
    assert sample_ratio_p(counts, shares) == pytest.approx(chisquare(counts, expected).pvalue, rel=1e-10)
    assert sample_ratio_p([9, 1], [1, 1]) == pytest.approx(22 / 1024)
    assert sample_ratio_p([0, 0], [1, 1]) == 1


def test_evidence_against_shares_has_a_mean_of_one() -> None:
    """Summed over all counts of 60 units, not simulated; and it is that of a Beta mixture for two arms."""
    first = np.arange(61)
    counts = np.stack([first, 60 - first], axis=1)
    e = np.exp(sample_ratio_log_e(counts, (0.3, 0.7), strength=40.0))
    assert float((binom.pmf(first, 60, 0.3) * e).sum()) == pytest.approx(1, rel=1e-9)


def test_a_mismatch_is_found_and_equal_arms_are_not_accused() -> None:
    """51/49 of 100,000 is found as it grows in most runs; 50/50 in none of 200; the state survives JSON."""
    random = np.random.default_rng(3)
    for share, least, most in ((0.51, 180, 200), (0.5, 0, 3)):
        first = random.binomial(1000, share, (200, 100)).cumsum(axis=1)
        counts = np.stack([first, np.arange(1, 101) * 1000 - first], axis=-1)
        found = (sample_ratio_log_e(counts, (0.5, 0.5)) >= math.log(1000)).any(axis=1).sum()
        assert least <= found <= most
    straight = broken = SampleRatioTest.start([1, 1, 2])
    for _ in range(5):
        batch = random.multinomial(4000, [0.3, 0.2, 0.5]).tolist()
        straight = straight.updated(batch)
        broken = SampleRatioTest.from_dict(json.loads(json.dumps(broken.updated(batch).to_dict())))
    assert broken == straight
    assert straight.rejected
    assert sum(straight.counts) == 20_000


@pytest.mark.parametrize(("counts", "shares"), [([1], [1]), ([1, 2], [1, 0]), ([1, -2], [1, 1]), ([1, 2], [1, 1, 1])])
def test_shares_that_cannot_be_are_refused(counts: list[float], shares: list[float]) -> None:
    """One arm, a share of 0, a negative count and unequal lengths are named."""
    with pytest.raises(UserError, match="two arms or more"):
        sample_ratio_p(counts, shares)
