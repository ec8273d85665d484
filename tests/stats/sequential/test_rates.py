"""Rates and comparisons of rates: exact at every look, whatever the batches, and still able to find what is there."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import beta, binom

from orita.core.errors import UserError
from orita.stats.sequential.mixtures import Side
from orita.stats.sequential.rate_comparison import RateComparison
from orita.stats.sequential.rate_evidence import Batch, Kind, NullLines
from orita.stats.sequential.rates import RateTest, rate_interval, rate_log_e, rate_strength


@pytest.mark.parametrize("side", ["both", "greater", "less"])
def test_evidence_of_a_rate_is_the_mixed_likelihood_ratio(side: Side) -> None:
    """The closed form equals the integral of likelihood ratios over a Beta about the null, on the side asked for."""
    n, total, null, strength = 40, 9, 0.15, 20.0
    prior = beta(strength * null, strength * (1 - null))
    low, high = {"both": (0, 1), "greater": (null, 1), "less": (0, null)}[side]

    def part(q: float) -> float:
        return float(prior.pdf(q) * (q / null) ** total * ((1 - q) / (1 - null)) ** (n - total))

    expected = quad(part, low, high)[0] / (prior.cdf(high) - prior.cdf(low))
    assert math.exp(float(rate_log_e(n, total, null, strength=strength, side=side))) == pytest.approx(
        expected, rel=1e-6
    )


@pytest.mark.parametrize("side", ["both", "greater", "less"])
def test_the_mean_evidence_is_one(side: Side) -> None:
    """Under the null evidence has a mean of 1 after any number of outcomes: summed over all counts, not simulated."""
    for n, null in ((1, 0.3), (30, 0.02), (200, 0.6)):
        total = np.arange(n + 1)
        e = np.exp(rate_log_e(n, total, null, strength=25.0, side=side))
        assert float((binom.pmf(total, n, null) * e).sum()) == pytest.approx(1, rel=1e-9)
        if side != "both":
            other = null * 0.8 if side == "greater" else 1 - (1 - null) * 0.8
            assert float((binom.pmf(total, n, other) * e).sum()) <= 1


@given(st.integers(1, 500), st.floats(0, 1), st.floats(2, 200))
@settings(deadline=None, max_examples=60)
def test_a_rate_lies_within_its_interval(n: int, share: float, strength: float) -> None:
    """The interval holds the observed rate, stays within 0 and 1, and its ends are where the test turns."""
    total = round(share * n)
    found = rate_interval(n, total, strength=strength)
    assert 0 <= found.low <= found.value <= found.high <= 1
    for end, inward in ((found.low, 1e-6), (found.high, -1e-6)):
        if 1e-4 < end < 1 - 1e-4 and abs(end - found.value) > 1e-5:
            assert float(rate_log_e(n, total, end - inward, strength=strength)) >= math.log(20) - 1e-3
            assert float(rate_log_e(n, total, end + inward, strength=strength)) <= math.log(20) + 1e-3


def test_a_rate_test_takes_batches_and_survives() -> None:
    """Batches add up, the state survives JSON, and an error rate of 3 % is told from 1 % soon."""
    straight = broken = RateTest(0.01, rate_strength(2000, level=0.01), level=0.01, side="greater")
    for _ in range(6):
        straight = straight.updated(500, 15)
        broken = RateTest.from_dict(json.loads(json.dumps(broken.updated(500, 15).to_dict())))
    assert broken == straight
    assert (straight.n, straight.total) == (3000, 90)
    assert straight.rejected
    assert not RateTest(0.01, 100.0, side="less").updated(3000, 90).rejected


@pytest.mark.parametrize(
    ("kind", "null", "expected"),
    [
        ("difference", -0.05, 0.3),
        ("difference", 0.5, 0.9),
        ("difference", -0.6, 0.2),
        ("ratio", 0.8, 0.3),
        ("ratio", 3.0, 0.7),
    ],
)
def test_no_rates_of_the_null_have_evidence_above_one(kind: Kind, null: float, expected: float) -> None:
    """For all pairs of rates that a null allows, the mean over all pairs of counts of a batch is at most 1, exactly.

    Also where the expected rate has no partner on the null's line within the square.
    """
    lines = NullLines(kind, (null,))
    control_n, treatment_n = 9, 5
    counts = [(c, t) for c in range(control_n + 1) for t in range(treatment_n + 1)]
    tables = [lines.log_e(Batch(control_n, c, treatment_n, t), expected)[:, 0] for c, t in counts]
    e_R2K = np.exp(np.stack(tables))
    for control in (0.01, 0.2, 0.3, 0.7, 0.99):
        line = control + null if kind == "difference" else control * null
        for treatment in np.clip([line - 0.3, line - 0.02, line, line + 0.02, line + 0.3], 0, 1):
            mass_R = np.array(
                [binom.pmf(c, control_n, control) * binom.pmf(t, treatment_n, treatment) for c, t in counts]
            )
            mean_2K = np.einsum("r,rsk->sk", mass_R, e_R2K)
            if treatment >= line:
                assert (mean_2K[0] <= 1 + 1e-9).all()
            if treatment <= line:
                assert (mean_2K[1] <= 1 + 1e-9).all()


def test_comparisons_survive_being_written_down() -> None:
    """State in, state out, by JSON, at every batch: the same evidence, bit for bit."""
    random = np.random.default_rng(1)
    straight = broken = RateComparison.start([-0.01, 0.0, 0.01])
    for _ in range(6):
        n, m = (int(size) for size in random.integers(0, 400, 2))
        batch = n, float(random.binomial(n, 0.1)), m, float(random.binomial(m, 0.2))
        straight = straight.updated(*batch)
        broken = RateComparison.from_dict(json.loads(json.dumps(broken.updated(*batch).to_dict())))
    assert json.dumps(broken.to_dict()) == json.dumps(straight.to_dict())
    assert straight.p_above[1] < 0.01 < straight.p_below[1]


def test_equal_rates_that_move_are_rarely_told_apart() -> None:
    """Of 60 runs of 25 batches, with rates of day and night and a ramp, at most α (+ 3 σ) are ever rejected."""
    random, runs, level = np.random.default_rng(2), 60, 0.05
    wrong = 0
    for _ in range(runs):
        test = RateComparison.start([0.0])
        for batch in range(25):
            rate = 0.1 + 0.05 * math.sin(batch / 4)
            n, m = 1000 - 30 * batch, 20 + 30 * batch
            test = test.updated(n, random.binomial(n, rate), m, random.binomial(m, rate))
        wrong += min(float(test.p_below[0]), float(test.p_above[0])) <= level / 2
    assert wrong <= binom.ppf(0.9987, runs, level)


def test_a_worse_rate_is_found() -> None:
    """CTR 9 % against 10 %, α = 0.01, is found in most of 20 runs by 30,000 impressions an arm; z would then be 4.2."""
    random, found = np.random.default_rng(3), 0
    for _ in range(20):
        test = RateComparison.start([1.0], kind="ratio")
        for _ in range(15):
            test = test.updated(2000, random.binomial(2000, 0.1), 2000, random.binomial(2000, 0.09))
        found += float(test.p_below[0]) <= 0.01
    assert found >= 12


@given(
    st.tuples(st.integers(0, 10**6), st.floats(0, 1)),
    st.tuples(st.integers(0, 10**6), st.floats(0, 1)),
    st.floats(1e-6, 1 - 1e-6),
    st.sampled_from(
        [("difference", -0.99), ("difference", 0.0), ("difference", 0.5), ("ratio", 0.01), ("ratio", 50.0)]
    ),
)
@settings(deadline=None, max_examples=60)
def test_no_counts_break_the_evidence(
    control: tuple[int, float], treatment: tuple[int, float], expected: float, null: tuple[str, float]
) -> None:
    """Whatever comes, rates of 0 and 1 and empty arms included, evidence is a number and p-values lie in [0, 1]."""
    test = RateComparison.start([null[1]], kind=null[0], expected_rate=expected)  # type: ignore[arg-type]
    for _ in range(2):
        test = test.updated(control[0], control[0] * control[1], treatment[0], treatment[0] * treatment[1])
    assert np.isfinite(test.log_e_S).all()
    assert 0 <= test.p_below[0] <= 1
    assert 0 <= test.p_above[0] <= 1


def test_the_grid_gives_an_interval() -> None:
    """The interval is rounded outwards to the grid, holds the estimate, and ends nowhere beyond it."""
    random = np.random.default_rng(4)
    test = RateComparison.start(np.linspace(-0.1, 0.1, 41).tolist())
    for _ in range(20):
        test = test.updated(1000, random.binomial(1000, 0.2), 1000, random.binomial(1000, 0.25))
    found = test.interval()
    assert 0 < found.low < found.value < found.high < 0.1
    assert test.estimate == found.value
    assert RateComparison.start([0.0]).interval().high == math.inf


@pytest.mark.parametrize(
    ("nulls", "kind", "sentence"),
    [([1.5], "difference", "above -1"), ([-0.1], "ratio", "above 0"), ([], "ratio", r"\[\]")],
)
def test_nulls_out_of_range_are_refused(nulls: list[float], kind: str, sentence: str) -> None:
    """A difference lies within ±1, a ratio above 0, and there is one at least."""
    with pytest.raises(UserError, match=sentence):
        RateComparison.start(nulls, kind=kind)  # type: ignore[arg-type]


def test_counts_that_cannot_be_are_refused() -> None:
    """More successes than outcomes are named, with the arm."""
    with pytest.raises(UserError, match="treatment has a total of 3 of 2"):
        RateComparison.start([0.0]).updated(5, 1, 2, 3)
    with pytest.raises(UserError, match="below 0 or above n"):
        rate_log_e(3, 4, 0.5, strength=2.0)
    with pytest.raises(UserError, match="null is 1"):
        RateTest(1.0, 10.0)
