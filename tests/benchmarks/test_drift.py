"""The drift benchmark's worlds and oracles do what their table says."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.drift_changes import SURE, homogeneity_p, oracle_level, oracle_p, power
from benchmarks.drift_report import our_p
from benchmarks.drift_worlds import COLUMNS, INTENSITIES, KINDS, Kind, draw, seasonal_day

from orita.stats.contingency import homogeneity_test


def test_there_are_as_many_as_promised() -> None:
    """Thirty kinds, five intensities, twenty columns, each under a name of its own."""
    assert len({kind.name for kind in KINDS}) == 30
    assert len(INTENSITIES) == 5
    assert len(draw(np.random.default_rng(0), 10)) == len(COLUMNS) == 20


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_each_change_is_one_and_its_oracle_knows_it(kind: Kind) -> None:
    """At full intensity and 6,000 rows oracle and report both find the change; at none the oracle does not."""
    rng = np.random.default_rng(1)
    before = kind.draw(rng, 6_000, 0.0)
    assert oracle_p(kind, before, kind.draw(rng, 6_000, 0.0)) > 1e-4
    now = kind.draw(rng, 6_000, 1.0)
    assert oracle_p(kind, before, now) <= max(oracle_level(kind), 1 / 4000)
    assert our_p(kind, before, now, seed=0) <= 0.01


def test_rare_categories_have_their_chi_square() -> None:
    """The p-value from the moments of χ² is that of relabelled tables, with cells of one row too."""
    rng = np.random.default_rng(3)
    first = np.bincount(np.minimum(rng.geometric(0.03, 150), 200), minlength=201)
    second = np.bincount(np.minimum(rng.geometric(0.036, 220), 200), minlength=201)
    drawn = homogeneity_test(first, second, permutations=4000)
    assert drawn.method == "permutation"
    assert homogeneity_p(first, second) == pytest.approx(drawn.p_value, rel=0.4)


def test_power_is_told_from_a_few_p_values() -> None:
    """Tiny p-values mean a sure oracle, p-values at the level one that is not."""
    assert power(np.full(8, 1e-20), 1e-4) >= SURE
    assert power(np.array([1e-4, 2e-4, 1e-3, 1e-2]), 1e-4) < 0.5


def test_days_of_the_seasonal_world_differ() -> None:
    """Means move with the weekday, by as much as the noise of rows would hardly ever."""
    rng = np.random.default_rng(2)
    monday, thursday = (seasonal_day(rng, 2000, weekday).mean(axis=0) for weekday in (0, 3))
    assert np.abs(monday - thursday).max() > 0.3
