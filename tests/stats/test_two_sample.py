"""Two-sample tests: right statistics, p-values that hold their level, and no sample that breaks them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import binom, ks_2samp, rankdata

from orita.stats.clusters import clustered_rate, design_effect
from orita.stats.contingency import homogeneity_test, paired_counts, total_variation
from orita.stats.multiplicity import bonferroni, holm
from orita.stats.psi import bin_counts, psi, psi_of_counts, quantile_edges
from orita.stats.two_sample import ks_statistic, ks_test

_LEVEL = 0.05
_ROUNDS = 150
# A correct test rejects more often than this with a chance below 1 in 10,000.
_MOST = int(binom.ppf(1 - 1e-4, _ROUNDS, _LEVEL))

values = hnp.arrays(
    np.float64,
    st.integers(0, 40),
    elements=st.one_of(st.floats(-5, 5), st.sampled_from([0.0, 1.0, np.nan, np.inf, -np.inf, 1e6])),
)


@given(values, values)
@settings(deadline=None, max_examples=60)
def test_every_sample_gets_an_answer_in_range(first: np.ndarray, second: np.ndarray) -> None:
    """NaN, infinities, ties, constants and empty samples give a statistic in range and a p-value in [0, 1]."""
    ks = ks_test(first, second)
    assert 0 <= ks.p_value <= 1
    assert np.isnan(ks.statistic) == (ks.n == 0 or ks.m == 0)
    assert np.isnan(ks.statistic) or 0 <= ks.statistic <= 1
    index = psi(first, second)
    assert np.isnan(index) == (len(first) == 0 or len(second) == 0)
    assert np.isnan(index) or index >= 0
    shares = homogeneity_test(*paired_counts(first, second), permutations=50)
    assert 0 <= shares.p_value <= 1


def test_ks_agrees_with_scipy() -> None:
    """Statistic and exact p-value are those of scipy where no value is missing."""
    rng = np.random.default_rng(0)
    for n, m in ((7, 6), (60, 90), (500, 300)):
        first, second = rng.normal(size=n), rng.normal(3, 1.3, size=m)
        ours, theirs = ks_test(first, second), ks_2samp(first, second, method="exact")
        assert ours.statistic == pytest.approx(theirs.statistic)
        assert ours.p_value == pytest.approx(theirs.pvalue)


def test_ks_tells_which_sample_is_larger() -> None:
    """The direction of the largest distance names the larger sample."""
    low, high = np.arange(50.0), np.arange(50.0) + 9
    assert ks_test(low, high).second_is_larger
    assert not ks_test(high, low).second_is_larger


def test_one_outlier_hides_nothing() -> None:
    """A single value of 1e6 neither raises an alarm nor hides a shift of one standard deviation."""
    rng = np.random.default_rng(1)
    first, second = rng.normal(size=2000), rng.normal(size=2000)
    wild = np.append(second, 1e6)
    assert abs(ks_statistic(first, wild) - ks_statistic(first, second)) < 1 / 1000
    assert abs(psi(first, wild) - psi(first, second)) < 0.01
    wild_reference = np.append(first, 1e6)
    assert ks_test(wild_reference, second + 1).p_value < 1e-9
    assert psi(wild_reference, second + 1) > 0.5


@pytest.mark.parametrize(("n", "m"), [(20, 20), (50, 200), (1000, 1000), (1500, 40)])
def test_p_values_hold_their_level(n: int, m: int) -> None:
    """On unchanged data KS and the test of shares reject at most at the level, at small and unequal sizes."""
    rng = np.random.default_rng(n + m)
    rejected = np.zeros(2)
    for r in range(_ROUNDS):
        first, second = rng.normal(size=n), rng.normal(size=m)
        counts = rng.multinomial(n, [0.9, 0.06, 0.03, 0.01]), rng.multinomial(m, [0.9, 0.06, 0.03, 0.01])
        p = (
            ks_test(first, second).p_value,
            homogeneity_test(*counts, permutations=200, seed=r).p_value,
        )
        rejected += np.array(p) <= _LEVEL
    assert (rejected <= _MOST).all(), rejected


def test_small_samples_still_find_large_shifts() -> None:
    """Fifty rows suffice for a shift of two standard deviations, in every test, at a level of 0.001."""
    rng = np.random.default_rng(5)
    first, second = rng.normal(size=50), rng.normal(2, 1, size=50)
    assert ks_test(first, second).p_value < 0.001
    assert homogeneity_test(np.array([45, 5, 0]), np.array([5, 5, 40])).p_value < 0.001


def test_psi_counts_missing_and_open_tails() -> None:
    """Missing values have a bin of their own and no value falls outside: every row is counted once."""
    reference = np.array([1.0, 2, 3, 4, 5, 6, 7, 8, 9, np.nan])
    edges = quantile_edges(reference, 3)
    recent = np.array([-1e9, 1e9, np.inf, np.nan, np.nan, 5.0])
    assert bin_counts(recent, edges).tolist() == [2, 1, 1, 2]
    assert psi(np.array([1.0, 2, 3]), np.array([np.nan, np.nan])) > 1


def test_psi_is_the_textbook_sum() -> None:
    """Without empty bins the index is the sum of (q − p) ln(q / p), and 0 for equal shares."""
    p, q = np.array([10, 40, 50]), np.array([30, 30, 40])
    assert psi_of_counts(p, q) == pytest.approx(sum((b - a) / 100 * np.log(b / a) for a, b in zip(p, q, strict=True)))
    assert psi_of_counts(p, 7 * p) == pytest.approx(0)
    assert np.isfinite(psi_of_counts(np.array([0, 10]), np.array([10, 0])))


def test_an_unseen_category_is_counted() -> None:
    """A value that the reference never held is a category of its own, and so is a missing one."""
    first, second = paired_counts(np.array([0.0, 0, 1]), np.array([0.0, 7, np.nan, np.nan]))
    assert first.tolist() == [2, 1, 0, 0]
    assert second.tolist() == [1, 0, 1, 2]
    assert total_variation(first, second) == pytest.approx(0.75)


def _rank_design_effect(first: np.ndarray, second: np.ndarray, a: np.ndarray, b: np.ndarray) -> float:
    ranks = rankdata(np.concatenate([first, second]))[:, None]
    return design_effect(ranks[: len(first)], ranks[len(first) :], a, b)


def test_clustered_rows_do_not_count_as_independent() -> None:
    """With ten rows a cluster of equal values, the corrected KS test holds its level; the plain one does not."""
    rng = np.random.default_rng(8)
    plain = corrected = 0
    for _ in range(200):
        first, second = rng.normal(size=60).repeat(10), rng.normal(size=60).repeat(10)
        clusters = np.arange(60).repeat(10), np.arange(60, 120).repeat(10)
        effect = _rank_design_effect(first, second, *clusters)
        plain += ks_test(first, second).p_value <= _LEVEL
        corrected += ks_test(first, second, design_effect=effect).p_value <= _LEVEL
    assert corrected <= binom.ppf(1 - 1e-4, 200, _LEVEL)
    assert plain > 60


def test_a_stable_population_costs_no_power() -> None:
    """Users drawn anew for each request from one population are no clusters: the effect is near 1."""
    rng = np.random.default_rng(9)
    worth = rng.normal(size=100)
    a, b = rng.integers(0, 100, 5000), rng.integers(0, 100, 5000)
    assert _rank_design_effect(worth[a], worth[b], a, b) < 1.5
    # The same rows, as if each sample had users of its own, are the clusters they then are.
    assert _rank_design_effect(worth[a], worth[b], a, b + 100) > 20


def test_distinct_clusters_have_no_design_effect() -> None:
    """Rows that share nothing count in full."""
    rng = np.random.default_rng(2)
    first, second = rng.normal(size=(300, 1)), rng.normal(size=(200, 1))
    assert design_effect(first, second, np.arange(300), np.arange(300, 500)) == pytest.approx(1, abs=0.01)


def test_holm_matches_its_definition() -> None:
    """Holm's adjustment is the stepped maximum in the order given, and never above Bonferroni's."""
    p = np.array([0.04, 0.01, 0.03, 0.005])
    assert holm(p) == pytest.approx([0.06, 0.03, 0.06, 0.02])
    assert (holm(p) <= bonferroni(p)).all()
    assert len(holm(np.array([]))) == 0


def test_a_rate_of_clustered_rows_is_covered() -> None:
    """The interval of a rate holds the true rate at its level where labels of a cluster rise and fall together."""
    rng = np.random.default_rng(4)
    covered = naive = 0
    for _ in range(300):
        labels = (rng.random(600) < np.where(rng.random(60) < 0.5, 0.1, 0.7).repeat(10)).astype(float)
        interval = clustered_rate(labels, np.arange(60).repeat(10), tail=0.05)
        alone = clustered_rate(labels, np.arange(600), tail=0.05)
        covered += interval.low <= 0.4 <= interval.high
        naive += alone.low <= 0.4 <= alone.high
    assert covered >= binom.ppf(1e-4, 300, 0.9)
    assert naive < 210


def test_a_rate_of_one_cluster_has_no_interval() -> None:
    """One user's clicks say nothing of other users, and those of two little."""
    labels = np.array([0.0, 1.0, 1.0, 1.0])
    alone = clustered_rate(labels, np.zeros(4, np.int64), tail=0.05)
    assert alone.value == 0.75
    assert np.isnan([alone.low, alone.high]).all()
    two = clustered_rate(labels, np.array([0, 0, 1, 1]), tail=0.05)
    assert (two.low, two.high) == (0.0, 1.0)
