"""Intervals rest on leaving units out, are corrected for skew, and hold the truth as often as they say."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm, t

from orita.delivery.ope import LoggedDecisions, clipped_ips, dr, ips, snips
from orita.delivery.ope.estimate import Ratios, effective_sample_size, leave_one_out
from orita.delivery.ope.skewed_interval import skewed_interval

Floats = npt.NDArray[np.float64]


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.booleans())
def test_influence_is_what_leaving_a_unit_out_changes(seed: int, ratio: bool) -> None:
    """The closed form equals computing the sums of ratios again without each unit."""
    random = np.random.default_rng(seed)
    rows, terms, units = 30, 3, 8
    unit = np.r_[np.arange(units), random.integers(units, size=rows - units)]
    a, b = random.normal(size=(rows, terms)), random.random((rows, terms)) + 0.1
    value, influence = leave_one_out(Ratios(a, b if ratio else None, unit))
    below = b if ratio else np.ones_like(a)

    def computed(kept: npt.NDArray[np.bool_]) -> float:
        return float((a[kept].sum(axis=0) / below[kept].sum(axis=0)).sum())

    assert value == pytest.approx(computed(np.ones(rows, bool)))
    again = [(units - 1) * (value - computed(unit != left)) for left in range(units)]
    assert influence == pytest.approx(again)


def test_a_mean_of_independent_rows_has_the_textbook_error() -> None:
    """Each row a unit of its own, or none named: the standard error is that of a mean."""
    values = np.random.default_rng(0).exponential(size=50)
    for unit in (None, np.arange(50)):
        found = Ratios.mean(values, unit).estimate("mean", 0.95, effective=50)
        assert found.standard_error == pytest.approx(values.std(ddof=1) / np.sqrt(50))


def test_symmetric_rows_have_student_s_interval() -> None:
    """Rows without skewness, of two values, have Student's interval of G − 1 degrees of freedom."""
    influence = np.tile([-1.0, 1.0], 10)
    found = skewed_interval(3.0, influence, 0.9)
    reach = t.isf(0.05, 19) * np.sqrt(20 / 19) / np.sqrt(20)
    assert (found.low, found.high) == pytest.approx((3 - reach, 3 + reach))


def test_the_ends_solve_hall_s_cubic() -> None:
    """The studentised ends, put into Hall's cubic, give the quantiles: t + a γ t² ÷ 3 … as printed in his paper."""
    values = np.random.default_rng(1).exponential(size=40)
    influence = values - values.mean()
    found = skewed_interval(0.0, influence, 0.95)
    scaled = influence / np.sqrt((influence**2).mean())
    skew, kurtosis = (scaled**3).mean(), (scaled**4).mean()
    quantile = t.isf(0.025, min(39, 80 / (kurtosis - 1)))
    root = np.sqrt(40)
    for end, wanted in ((found.low, quantile), (found.high, -quantile)):
        studentised = -end / found.standard_error
        cubic = studentised + skew * studentised**2 / (3 * root) + skew**2 * studentised**3 / (27 * 40)
        assert cubic + skew / (6 * root) == pytest.approx(wanted)


def test_where_nothing_varies_nothing_is_known() -> None:
    """One unit, rows that are all equal, or a unit with all the weight have no interval; no end is made up."""
    one = ips(LoggedDecisions.of([1.0, 0.0], [0.5, 0.5], [0.5, 0.4], unit_N=np.array(["u", "u"])))
    assert np.isnan([one.low, one.high, one.standard_error]).all() and one.units == 1
    still = ips(LoggedDecisions.of(np.zeros(50), np.full(50, 0.5), np.full(50, 0.5)))
    assert np.isnan([still.low, still.high]).all()
    alone = snips(LoggedDecisions.of([1.0, 0.0, 1.0], [0.5, 0.5, 0.5], [0.5, 0.0, 0.0]))
    assert np.isnan([alone.low, alone.high]).all()
    assert alone.to_dict()["low"] is None


def test_effective_sample_size() -> None:
    """Equal weights are worth their number, one weight is worth one row, none is worth none."""
    assert effective_sample_size(np.full(7, 3.0)) == pytest.approx(7)
    assert effective_sample_size(np.array([0.0, 5.0, 0.0])) == pytest.approx(1)
    assert effective_sample_size(np.zeros(3)) == 0


def test_skewed_means_are_held_where_the_normal_interval_fails() -> None:
    """1,000 samples of 40 squared exponentials: 95 % intervals hold at least 5 points more than normal ones.

    The Monte Carlo error of either share is under 1.3 points, and both are of the same samples.
    """
    random, held, plain = np.random.default_rng(0), 0, 0
    for _ in range(1000):
        values = random.exponential(size=40) ** 2
        found = skewed_interval(float(values.mean()), values - values.mean(), 0.95)
        held += found.low <= 2 <= found.high
        plain += abs(values.mean() - 2) <= norm.isf(0.025) * found.standard_error
    assert held - plain > 50
    assert 880 < held < 980


def coverage(runs: int, rows: int, seed: int, *, clustered: bool) -> dict[str, float]:
    """Return how often 95 % intervals hold the value in a world of three actions; users favour rewards if *clustered*.

    With *clustered* a user has 10 rows, and the shares are of intervals by user (``ips``) and by row (``by row``).
    """
    logging, target, chance = np.array([0.7, 0.2, 0.1]), np.array([0.1, 0.2, 0.7]), np.array([0.2, 0.4, 0.5])
    value = float(target @ chance)
    held: dict[str, int] = {}
    for run in range(runs):
        random = np.random.default_rng([seed, run])
        action = random.choice(3, rows, p=logging)
        user = np.arange(rows) // 10
        lean = random.choice([-0.15, 0.15], rows)[user] if clustered else 0.0
        reward = (random.random(rows) < chance[action] + lean).astype(np.float64)
        logged = LoggedDecisions.of(
            reward,
            logging[action],
            target[action],
            predicted_N=np.full(rows, 0.4),
            expected_N=np.full(rows, 0.4),
            unit_N=user if clustered else None,
        )
        found = {"ips": ips(logged), "snips": snips(logged), "dr": dr(logged)}
        if clustered:
            found["by row"] = dr(LoggedDecisions(reward, logged.propensity_N, logged.target_N, *_model(rows)))
        for name, each in found.items():
            held[name] = held.get(name, 0) + (each.low <= value <= each.high)
    return {name: count / runs for name, count in held.items()}


def _model(rows: int) -> tuple[Floats, Floats]:
    return np.full(rows, 0.4), np.full(rows, 0.4)


def test_intervals_cover() -> None:
    """300 logs of 600 rows, weights up to 7: every interval of 95 % holds 92 … 98 %; its Monte Carlo error is 1.3 %."""
    for name, share in coverage(300, 600, 1, clustered=False).items():
        assert 0.92 <= share <= 0.98, name


def test_clustered_rows_need_their_units() -> None:
    """Users whose rows lean one way together: intervals by user hold 92 … 98 %, by row fewer."""
    shares = coverage(250, 1000, 2, clustered=True)
    for name in ("ips", "snips", "dr"):
        assert 0.92 <= shares[name] <= 0.98, name
    assert shares["by row"] < shares["dr"]


def test_clipped_intervals_hold_what_clipping_took() -> None:
    """300 logs with a quarter of the weight cut: the interval holds 95 % at least, value ± 1.96 errors under 60 %."""
    held = plain = 0
    for run in range(300):
        random = np.random.default_rng([4, run])
        shown = random.random(400) < 0.1
        reward = (random.random(400) < np.where(shown, 0.6, 0.2)).astype(np.float64)
        logged = LoggedDecisions.of(reward, np.where(shown, 0.1, 0.9), np.where(shown, 0.5, 0.5))
        found = clipped_ips(logged, clip=2.5)
        held += found.low <= 0.4 <= found.high
        plain += abs(found.value - 0.4) <= 1.96 * found.standard_error
    assert held >= 285
    assert plain < 180


@pytest.mark.slow
def test_intervals_cover_closely() -> None:
    """4,000 logs: every interval of 95 % holds 94 … 96 %; its Monte Carlo error is 0.35 %."""
    for name, share in coverage(4000, 1500, 3, clustered=False).items():
        assert 0.94 <= share <= 0.96, name
