"""Propensities are what they say: against SciPy's integrals, closed forms and counted draws."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, special, stats

from orita.delivery.bandits.belief import Belief
from orita.delivery.bandits.joint_normal import JointNormalBelief
from orita.delivery.bandits.posteriors import BetaBelief, NormalBelief, StudentBelief
from orita.delivery.bandits.ranked import RankedBelief

BELIEFS: dict[str, Belief] = {
    "greedy": RankedBelief(np.array([0.2, 0.5, 0.5, 0.1])),
    "epsilon": RankedBelief(np.array([0.2, 0.5, 0.5, np.inf]), 0.3),
    "beta": BetaBelief(np.array([1.0, 3.0, 2.0, 5.0]), np.array([1.0, 2.0, 2.0, 9.0])),
    "normal": NormalBelief(np.array([0.0, 0.5, 0.2, -1.0]), np.array([1.0, 0.3, 0.6, 2.0])),
    "student": StudentBelief(np.array([0.0, 0.5, 0.2, -1.0]), np.array([1.0, 0.3, 0.6, 2.0]), np.array([2.0, 5, 9, 3])),
    "joint": JointNormalBelief(np.array([0.0, 0.5, 0.2, -1]), np.array([[1.0, 0], [0.3, 0.5], [0, 1], [2, 1]]), 20_000),
}


def by_scipy(distributions: list[stats.rv_frozen], arm: int) -> float:
    """Return the integral over the probability of the arm's distribution function, by an adaptive rule."""
    own, others = distributions[arm], distributions[:arm] + distributions[arm + 1 :]

    def others_below(share: float) -> float:
        return float(np.prod([other.cdf(own.ppf(share)) for other in others]))

    found: float = integrate.quad(others_below, 0, 1, limit=500, epsabs=1e-9)[0]
    return found


@pytest.mark.parametrize("name", ["beta", "normal", "student"])
def test_quadrature_agrees_with_scipy(name: str) -> None:
    """The probability of each arm to be best is that of an adaptive integral of SciPy's distributions."""
    belief = BELIEFS[name]
    distributions = {
        BetaBelief: lambda b: [stats.beta(*ab) for ab in zip(b.a_A, b.b_A, strict=True)],
        NormalBelief: lambda b: [stats.norm(*ms) for ms in zip(b.mean_A, b.deviation_A, strict=True)],
        StudentBelief: lambda b: [stats.t(*vms) for vms in zip(b.degrees_A, b.mean_A, b.scale_A, strict=True)],
    }[type(belief)](belief)
    found = belief.probabilities(np.random.default_rng(0))
    for arm in range(4):
        assert found.values[arm] == pytest.approx(by_scipy(distributions, arm), abs=2e-8)
    assert found.errors.max() < 1e-9
    last_two = belief.conditionals([1, 2, 3, 0], np.random.default_rng(0)).values[2]
    assert last_two == pytest.approx(by_scipy([distributions[3], distributions[0]], 0), abs=2e-8)


@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 300), st.integers(1, 300))
@settings(max_examples=30, deadline=None)
def test_two_beta_arms_have_the_closed_form(a1: int, b1: int, a2: int, b2: int) -> None:
    """P(second > first) of Beta posteriors is a finite sum for whole parameters (Miller 2015, Evan's formula)."""
    terms = [
        math.exp(
            special.betaln(a1 + i, b1 + b2) - math.log(b2 + i) - special.betaln(1 + i, b2) - special.betaln(a1, b1)
        )
        for i in range(a2)
    ]
    belief = BetaBelief(np.array([a1, a2], float), np.array([b1, b2], float))
    found = belief.probabilities(np.random.default_rng(0))
    assert found.values[1] == pytest.approx(sum(terms), abs=1e-8)
    assert found.errors[0] < 1e-8


@given(
    st.lists(st.tuples(st.floats(-5, 5), st.floats(1e-4, 30)), min_size=1, max_size=8),
    st.randoms(use_true_random=False),
)
@settings(max_examples=40, deadline=None)
def test_normal_probabilities_add_up_whatever_the_widths(arms: list[tuple[float, float]], random: object) -> None:
    """Probabilities of the arms add up to 1 within the stated error, and two arms have the normal's closed form."""
    mean_A, deviation_A = (np.array(column) for column in zip(*arms, strict=True))
    belief = NormalBelief(mean_A, deviation_A)
    found = belief.probabilities(np.random.default_rng(0))
    assert found.errors[0] < 1e-6
    assert found.values.sum() == pytest.approx(1, abs=1e-9 + found.errors[0])
    order = list(range(len(arms)))
    chances = belief.conditionals(order, np.random.default_rng(0))
    assert chances.values[0] == pytest.approx(found.values[0], abs=1e-7)
    assert chances.values[-1] == 1
    if len(arms) > 1:
        gap = (mean_A[-2] - mean_A[-1]) / math.hypot(*deviation_A[-2:])
        assert chances.values[-2] == pytest.approx(stats.norm.cdf(gap), abs=1e-7)


@pytest.mark.parametrize("name", BELIEFS)
def test_slates_are_drawn_as_often_as_their_propensities_say(name: str) -> None:
    """Of 8,000 slates of two each order comes as often as its propensity says: chi-square, p above 1e-4."""
    belief, rng = BELIEFS[name], np.random.default_rng(7)
    drawn = Counter(tuple(belief.order(2, rng)) for _ in range(8_000))
    orders = list(itertools.permutations(range(4), 2))
    expected = np.array([belief.conditionals(list(order), rng).values.prod() for order in orders])
    assert expected.sum() == pytest.approx(1, abs=0.02 if name == "joint" else 1e-8)
    possible = expected > (1e-4 if name == "joint" else 0)
    found = np.array([drawn[order] for order in orders])
    assert possible.any() and found[expected == 0].sum() == 0
    share = expected[possible] / expected[possible].sum() * found[possible].sum()
    assert len(share) == 1 or stats.chisquare(found[possible], share).pvalue > 1e-4


@pytest.mark.parametrize("name", BELIEFS)
def test_picks_are_drawn_as_often_as_their_probabilities_say(name: str) -> None:
    """Of 8,000 picks, in part drawn ahead, each arm comes as often as its probability says: chi-square, p > 1e-4."""
    belief, rng = BELIEFS[name], np.random.default_rng(8)
    found = np.bincount([belief.pick(rng) for _ in range(8_000)], minlength=4)
    values = belief.probabilities(rng).values
    possible = values > 1e-4
    assert found[~possible].sum() <= 20
    assert stats.chisquare(
        found[possible], values[possible] / values[possible].sum() * found[possible].sum()
    ).pvalue > (1e-4)


def test_a_first_pick_of_a_posterior_is_as_likely_as_a_later_one() -> None:
    """Single draws of a new belief have the same distribution as those drawn in blocks."""
    rng = np.random.default_rng(9)
    a_A, b_A = np.array([1.0, 3.0, 2.0]), np.array([1.0, 2.0, 2.0])
    found = np.bincount([BetaBelief(a_A, b_A).pick(rng) for _ in range(10_000)], minlength=3)
    values = BetaBelief(a_A, b_A).probabilities(rng).values
    assert stats.chisquare(found, values / values.sum() * 10_000).pvalue > 1e-4


def test_monte_carlo_propensities_are_never_zero_and_weigh_without_bias() -> None:
    """The mean of [picked] ÷ estimate is 1 − (1 − p)^(M+1), here within four standard errors of 4,000 runs."""
    belief = JointNormalBelief(np.array([0.0, 2.2]), np.eye(2), 100)
    rng = np.random.default_rng(3)
    weights = np.zeros(4000)
    for run in range(4000):
        order = belief.order(1, rng)
        weights[run] = (order[0] == 0) / belief.conditionals(order, rng).values[0]
    p = stats.norm.cdf(-2.2 / math.sqrt(2))
    assert abs(weights.mean() - (1 - (1 - p) ** 101)) < 4 * weights.std() / math.sqrt(4000)
    rare = JointNormalBelief(np.array([0.0, 60.0]), np.eye(2), 100)
    assert rare.conditionals([0], rng).values[0] == pytest.approx(1 / 101)
    assert rare.conditionals([0], rng).errors[0] > 0
