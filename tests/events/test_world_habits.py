"""People tire of what they see, and come back by how satisfied they were."""

from __future__ import annotations

import numpy as np

from orita.events.world import Fatigue, Habits, Loyalty

_DAY = 86_400_000_000
_TOPIC_I = np.array([0, 0, 0, 1, 1, 1])


def _penalty(fatigue: Fatigue, item: int, at: int, user: int = 0) -> float:
    return float(fatigue.penalty(np.array([user]), np.array([item]), np.array([at]))[0])


def test_a_topic_tires_and_recovers() -> None:
    """What was shown of a topic lowers the odds of the rest of it, less each day, and of no other topic or user."""
    fatigue = Fatigue(Habits(), 2, _TOPIC_I, 2)
    assert _penalty(fatigue, 1, 0) == 0
    fatigue.saw(np.array([0]), np.array([[0]]), np.array([0]))
    at_once, later, long_after = (_penalty(fatigue, 1, days * _DAY) for days in (0, 1, 30))
    assert at_once > later > long_after >= 0
    assert long_after < 1e-6
    assert _penalty(fatigue, 4, 0) == 0
    assert _penalty(fatigue, 1, 0, user=1) == 0


def test_a_topic_is_half_forgotten_after_its_half_life() -> None:
    """The pages that count are halved, not their effect."""
    habits = Habits(topic_fatigue=1.0, item_fatigue=0.0, fatigue_half_life_days=2.0)
    fatigue = Fatigue(habits, 1, _TOPIC_I, 2)
    fatigue.saw(np.array([0]), np.array([[0, 1]]), np.array([0]))
    assert np.isclose(_penalty(fatigue, 2, 2 * _DAY), np.log1p(0.5))


def test_an_item_tires_by_how_often_it_was_seen() -> None:
    """Each time that an item was seen lowers its own odds further, until it is forgotten."""
    fatigue = Fatigue(Habits(topic_fatigue=0.0, items_remembered=4), 1, _TOPIC_I, 2)
    penalties = []
    for _ in range(3):
        penalties.append(_penalty(fatigue, 0, 0))
        fatigue.saw(np.array([0]), np.array([[0]]), np.array([0]))
    assert penalties[0] == 0 < penalties[1] < penalties[2]
    assert _penalty(fatigue, 1, 0) == 0
    fatigue.saw(np.array([0]), np.array([[1, 2, 3, 4]]), np.array([0]))
    assert _penalty(fatigue, 0, 0) == 0


def test_without_its_effects_nobody_tires() -> None:
    """Fatigue is what the habits say it is: with none, odds are those of the world."""
    fatigue = Fatigue(Habits(topic_fatigue=0.0, item_fatigue=0.0), 1, _TOPIC_I, 2)
    fatigue.saw(np.array([0]), np.array([[0, 1, 2]]), np.array([0]))
    assert _penalty(fatigue, 0, 0) == 0


def test_who_is_satisfied_stays_comes_back_and_goes_on() -> None:
    """Of users who click twice the usual fewer leave, and more come and go on, than of those who click nothing."""
    users, rng = 20_000, np.random.default_rng(0)
    loyalty = Loyalty(Habits(leave_a_day=0.3), 0.2, np.ones(users))
    happy = np.arange(users // 2)
    clicked_U = np.where(np.arange(users) < users // 2, 0.4, 0.0)
    left_U = loyalty.ended(rng, np.arange(users), clicked_U)
    assert left_U[happy].mean() < left_U[users // 2 :].mean()
    assert (loyalty.satisfaction_U[happy] > 0).all()
    assert (loyalty.satisfaction_U[users // 2 :] < 0).all()
    loyalty.left_U[:] = False
    coming = np.zeros(users, bool)
    coming[loyalty.coming(rng, 0.5, np.ones(users, bool))] = True
    assert coming[happy].mean() > coming[users // 2 :].mean()
    goes_on = loyalty.goes_on(rng, clicked_U)
    assert goes_on[happy].mean() > goes_on[users // 2 :].mean()


def test_the_hazard_is_one_of_days() -> None:
    """As many users leave in a time, whether they come often or seldom."""
    users, rng = 40_000, np.random.default_rng(1)
    activity_U = np.where(np.arange(users) < users // 2, 1.0, 4.0)
    loyalty = Loyalty(Habits(leave_a_day=0.1, return_slope=0.0, leave_slope=0.0), 0.2, activity_U)
    for _ in range(10 * 24):
        rows = loyalty.coming(rng, 1 / 24, np.ones(users, bool))
        loyalty.ended(rng, rows, np.full(len(rows), 0.2))
    seldom, often = loyalty.left_U[: users // 2].mean(), loyalty.left_U[users // 2 :].mean()
    assert abs(seldom - often) < 0.02
    assert abs(often - (1 - np.exp(-1.0))) < 0.03


def test_who_is_not_there_does_not_come() -> None:
    """Nobody comes before they joined, or after they left."""
    loyalty = Loyalty(Habits(), 0.2, np.ones(1000))
    loyalty.left_U[:500] = True
    present = np.ones(1000, bool)
    present[500:700] = False
    assert loyalty.coming(np.random.default_rng(2), 20.0, present).min() >= 700
