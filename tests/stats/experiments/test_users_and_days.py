"""One outcome a user, counted once; effects by day; and what goes wrong without."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binom

from orita.core.errors import UserError
from orita.stats.experiments.closed_outcomes import closed_outcomes, retained
from orita.stats.experiments.day_effects import day_effects
from orita.stats.experiments.means import compare_means
from orita.stats.sequential.mixtures import Mixture

USERS = np.array(["c", "a", "b"])
EXPOSED = np.array([5.0, 0.0, 1.0])
EVENT_USERS = np.array(["a", "a", "a", "b", "x", "c", "b", "a"])
EVENT_TIMES = np.array([0.0, 6.9, 7.0, 0.5, 2.0, 6.0, 3.0, 1.0])
VALUES = np.array([1.0, 2, 4, 8, 16, 32, 64, 128])


def test_outcomes_count_within_the_window_and_once() -> None:
    """From the exposure on, until before the window's end, of exposed users only; in the order of closing."""
    found = closed_outcomes(USERS, EXPOSED, EVENT_USERS, EVENT_TIMES, VALUES, window=7, now=100)
    assert USERS[found.index_U].tolist() == ["a", "b", "c"]
    assert found.values_U.tolist() == [1 + 2 + 128, 64, 32]
    assert found.closed_U.tolist() == [7, 8, 12]
    batch = found.between(7, 8)
    assert batch.values_U.tolist() == [64]


def test_open_windows_do_not_count() -> None:
    """Users count from the moment their window closes, later where outcomes may come late."""
    for now, late, count in ((6.9, 0, 0), (7.0, 0, 1), (7.0, 1, 0), (9.0, 1, 2)):
        found = closed_outcomes(USERS, EXPOSED, EVENT_USERS, EVENT_TIMES, VALUES, window=7, now=now, late=late)
        assert len(found.values_U) == count
    empty = np.empty(0)
    assert len(closed_outcomes(empty, empty, EVENT_USERS[:0], empty, empty, window=1, now=1).values_U) == 0


def test_looks_together_are_all_at_once() -> None:
    """Batches of looks are disjoint and together all closed users, whenever one looks."""
    random = np.random.default_rng(0)
    users, exposed = random.permutation(300), random.random(300) * 20
    events = random.integers(0, 400, 5000)
    arguments = users, exposed, events, random.random(5000) * 30, np.ones(5000)
    whole = closed_outcomes(*arguments, window=7, now=30)
    parts, before = [], -math.inf
    for now in np.arange(0, 31, 1.5):
        parts.append(closed_outcomes(*arguments, window=7, now=now).between(before, now).index_U)
        before = now
    assert np.concatenate(parts).tolist() == whole.index_U.tolist()


def test_retention_is_a_return_on_the_day() -> None:
    """A user who comes on day 7 is retained on day 7, one who comes on day 6 or 8 is not."""
    users, exposed = np.array([10, 20, 30]), np.array([0.0, 2.0, 0.5])
    found = retained(users, exposed, np.array([10, 20, 30, 99]), np.array([7.5, 8.9, 8.5, 7.0]), after=7, until=8)
    assert found.tolist() == [True, False, False]


def test_running_totals_of_returning_users_are_no_martingale() -> None:
    """As many new users each look as returning ones add noise: running totals reject more than α, closed outcomes less.

    2,000 A/A experiments of 400 looks, 20 new users an arm a look, each changing by N(0, 1) at every later look; errors
    by user, the true ones. With one outcome a user, N(0, 1), the same test keeps its level.
    """
    random, runs, looks = np.random.default_rng(1), 2000, 400
    users_L = 20.0 * np.arange(1, looks + 1)
    steps = random.normal(size=(runs, looks))
    running = (steps * np.sqrt(2 * users_L)).cumsum(axis=1) / users_L
    running_error = np.sqrt(2 * users_L.cumsum()) / users_L
    closed, closed_error = (steps * math.sqrt(2 * 20)).cumsum(axis=1) / users_L, np.sqrt(2 / users_L)
    ever = []
    for estimate, error in ((running, running_error), (closed, closed_error)):
        evidence = Mixture.for_error(float(error[-1])).log_e(estimate, np.broadcast_to(error, estimate.shape))
        ever.append(int((evidence[:, 4:] >= math.log(20)).any(axis=1).sum()))
    assert ever[0] > binom.ppf(0.9999, runs, 0.05)
    assert ever[1] <= binom.ppf(0.9987, runs, 0.05)


def test_a_user_who_is_exposed_twice_is_refused() -> None:
    """First exposures are one a user; a window has a length."""
    with pytest.raises(UserError, match="exposed twice"):
        closed_outcomes(USERS[[0, 0]], EXPOSED[:2], EVENT_USERS, EVENT_TIMES, VALUES, window=7, now=9)
    with pytest.raises(UserError, match="window is 0"):
        closed_outcomes(USERS, EXPOSED, EVENT_USERS, EVENT_TIMES, VALUES, window=0, now=9)


def by_day(random: np.random.Generator, effect_D: list[float], users: int = 500) -> np.ndarray:
    """Return users by days, each user with a level of their own, a third of the days missing."""
    values = random.normal(size=(users, 1)) + random.normal(size=(users, len(effect_D))) + effect_D
    return np.where(random.random(values.shape) < 1 / 3, np.nan, values)


def test_effects_of_days_are_those_of_each_day() -> None:
    """Each day's effect is the difference of means of those seen, its error Welch's."""
    random = np.random.default_rng(2)
    control, treatment = by_day(random, [0.0] * 5), by_day(random, [0.3] * 5)
    found = day_effects(control, treatment)
    for day in range(5):
        first, second = (part[~np.isnan(part[:, day]), day] for part in (control, treatment))
        known = compare_means(first, second)
        assert found.effect_D[day] == pytest.approx(known.estimate)
        assert found.errors[day] == pytest.approx(known.error, rel=0.01)
    assert found.covariance_DD[0, 1] > 0.2 * found.covariance_DD[0, 0]


def test_novelty_and_sundays_are_found_and_not_invented() -> None:
    """A fading effect has a slope, one odd day is heterogeneous; of 300 steady effects 5 % (± 3 σ) are accused."""
    random = np.random.default_rng(3)
    fading = day_effects(by_day(random, [0.0] * 7), by_day(random, [0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0]))
    slope, p_value = fading.trend()
    assert slope.low < -0.1 < slope.high < 0
    assert p_value < 0.001
    sunday = day_effects(by_day(random, [0.0] * 7), by_day(random, [0.2] * 6 + [0.8]))
    assert sunday.heterogeneity() < 0.001
    accused = np.zeros(2)
    for _ in range(300):
        steady = day_effects(by_day(random, [0.0] * 7), by_day(random, [0.2] * 7))
        accused += steady.trend()[1] <= 0.05, steady.heterogeneity() <= 0.05
    assert (accused >= binom.ppf(0.0013, 300, 0.05)).all()
    assert (accused <= binom.ppf(0.9987, 300, 0.06)).all()


def test_days_that_nobody_saw_are_refused() -> None:
    """A day without users in an arm, and one day alone, are named."""
    values = np.ones((5, 3))
    with pytest.raises(UserError, match="day 1 has 1 users"):
        day_effects(values, np.where(np.array([[1, 0, 1]] * 4 + [[1, 1, 1]]), values, np.nan))
    with pytest.raises(UserError, match="two days"):
        day_effects(values[:, :1], values[:, :1])
