"""Mixtures: known boundaries, intervals that invert the test, and a level that holds at all looks."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm

from orita.core.errors import UserError
from orita.stats.sequential.crossing import crossing_chance, sequential_power
from orita.stats.sequential.mixtures import Mixture, Side, best_information_ratio

numbers = st.floats(-4, 4)


def integral(mixture: Mixture, estimate: float, error: float, side: Side) -> float:
    """Return the mixed likelihood ratio by numerical integration over the effect."""
    information = 1 / error**2
    score = estimate * information

    def part(effect: float) -> float:
        density = norm.pdf(effect, mixture.center, mixture.width)
        if side == "both":
            density = (density + norm.pdf(effect, -mixture.center, mixture.width)) / 2
        return float(density * math.exp(effect * score - effect**2 * information / 2))

    if side == "both":
        return float(quad(part, -20, 20, limit=400, points=[-mixture.center, 0, mixture.center])[0])
    sign = 1 if side == "greater" else -1
    score *= sign
    mass = norm.sf(0, mixture.center, mixture.width)
    return float(quad(part, 0, 20, limit=400, points=[mixture.center])[0] / mass)


@pytest.mark.parametrize("center", [0.0, 0.7])
@pytest.mark.parametrize("side", ["both", "greater", "less"])
@pytest.mark.parametrize("estimate", [-1.2, 0.0, 0.4, 1.5])
def test_evidence_is_the_integral_it_stands_for(center: float, side: Side, estimate: float) -> None:
    """The closed form equals the numerical integral of likelihood ratios over the mixture."""
    mixture = Mixture(center, 0.5)
    found = math.exp(float(mixture.log_e(estimate, 0.6, side=side)))
    assert found == pytest.approx(integral(mixture, estimate, 0.6, side), rel=1e-6)


def test_the_radius_is_that_of_the_paper() -> None:
    """With center 0 the radius is that of Waudby-Smith et al., theorem 2.2, and the tuned width minimises it."""
    n, spread, level = 400.0, 2.0, 0.05
    rho = math.sqrt(best_information_ratio(level) / n)
    paper = spread * math.sqrt(2 * (n * rho**2 + 1) / (n * rho) ** 2 * math.log(math.sqrt(n * rho**2 + 1) / level))
    error = spread / math.sqrt(n)
    best = Mixture.for_error(error, level=level)
    assert float(best.radius(error, level)) == pytest.approx(paper, rel=1e-12)
    for factor in (0.8, 1.25):
        assert float(Mixture(0, best.width * factor).radius(error, level)) > float(best.radius(error, level))


@given(numbers, numbers, st.floats(0.05, 3), st.floats(0, 2), st.floats(0.05, 2), st.sampled_from(["both", "greater"]))
@settings(deadline=None, max_examples=80)
def test_the_interval_holds_what_the_test_does_not_reject(
    estimate: float, null: float, error: float, center: float, width: float, side: Side
) -> None:
    """A null lies within the radius exactly where its evidence is below 1 / level."""
    mixture = Mixture(center, width)
    radius = float(mixture.radius(error, 0.05, side=side))
    distance = estimate - null if side == "greater" else abs(estimate - null)
    if abs(distance - radius) < 1e-6:
        return
    evidence = float(mixture.log_e(estimate, error, null=null, side=side))
    assert (evidence >= math.log(20)) == (distance > radius)


def test_sides_mirror_each_other() -> None:
    """What is greater of an estimate is less of its negative."""
    mixture = Mixture(0.3, 0.2)
    estimate = np.linspace(-2, 2, 9)
    assert np.allclose(mixture.log_e(estimate, 0.5, side="greater"), mixture.log_e(-estimate, 0.5, side="less"))
    assert np.allclose(mixture.log_e(estimate, 0.5), mixture.log_e(-estimate, 0.5))


def test_no_information_is_no_evidence() -> None:
    """An unknown, zero or infinite error gives evidence of 1 and an unbounded interval."""
    errors = np.array([np.nan, 0.0, np.inf])
    for side in ("both", "greater", "less"):
        assert (Mixture(0.5, 0.1).log_e(3.0, errors, side=side) == 0).all()
    assert np.isinf(Mixture(0.0, 1.0).radius(errors, 0.05)).all()


def test_crossing_chances_are_those_of_the_tables() -> None:
    """Repeated tests at 1.96 reject as often as Armitage, McPherson and Rowe (1969) tell: 5, 8.3, 14.2, 19.3 %."""
    for looks, known in ((1, 0.05), (2, 0.083), (5, 0.142), (10, 0.193), (20, 0.248)):
        information = np.arange(1, looks + 1) / looks
        bound = 1.959964 * np.sqrt(information)
        assert crossing_chance(-bound, bound, information, 0.0) == pytest.approx(known, abs=6e-4)


@pytest.mark.parametrize("side", ["both", "greater"])
@pytest.mark.parametrize("drift", [0.0, 2.8016])
def test_crossing_chances_agree_with_simulation(side: Side, drift: float) -> None:
    """The integrated chance lies within 4 Monte Carlo errors of 20,000 simulated paths, and under the null below α."""
    looks, runs, level = 50, 20_000, 0.05
    mixture = Mixture.for_effect(2.8016)
    information = np.arange(1, looks + 1) / looks
    bound = mixture.radius(1 / np.sqrt(information), level, side=side) * information
    low = -bound if side == "both" else np.full(looks, -np.inf)
    found = crossing_chance(low, bound, information, drift)
    steps = np.random.default_rng(3).normal(drift / looks, 1 / math.sqrt(looks), (runs, looks))
    score = steps.cumsum(axis=1)
    crossed = ((score >= bound) | (score <= low)).any(axis=1).mean()
    assert crossed == pytest.approx(found, abs=4 * math.sqrt(found * (1 - found) / runs))
    assert drift > 0 or found <= level


def test_a_planned_mixture_finds_more_than_a_plain_one() -> None:
    """At 80 % power of a fixed test the planned mixture rejects over 60 % by its end, the plain one some 52 %."""
    information = np.arange(1, 101) / 100
    plain = Mixture.for_error(1.0).radius(1 / np.sqrt(information), 0.05) * information
    plain_power = crossing_chance(-plain, plain, information, 2.8016)
    assert sequential_power(2.8016) > 0.6 > 0.54 > plain_power > 0.5


@pytest.mark.parametrize(("center", "width"), [(-1, 1), (0, 0), (0, math.nan), (math.inf, 1)])
def test_a_mixture_of_nothing_is_refused(center: float, width: float) -> None:
    """A negative center, and a width of 0, NaN or infinity, are named."""
    with pytest.raises(UserError, match="width above 0"):
        Mixture(center, width)


@pytest.mark.parametrize("looks", [1, 30, 1000])
def test_a_drift_however_great_is_found(looks: int) -> None:
    """Where the drift leaves nothing inside the bounds the chance is 1, and never more."""
    for drift in (12.0, 15.0, 40.0, 1e6):
        assert 1 - 1e-9 < sequential_power(drift, looks=looks) <= 1
