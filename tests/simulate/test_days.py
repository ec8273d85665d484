"""Days of users who react to what they are served."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pytest
from tests.simulate.conftest import Lived, live

from orita.events.world import Habits, World
from orita.simulate.befalling import Befalling
from orita.simulate.days import HOUR
from orita.simulate.life import Life, Pages
from orita.simulate.panel import choose_panel
from orita.simulate.policies import ItemRates, Oracle, Policy, Popularity, Random
from orita.simulate.scenario import Scenario
from orita.simulate.sessions import first_unseen


@pytest.fixture(scope="module")
def ordinary(small_world: World) -> Lived:
    """Some days without anything out of the ordinary."""
    return live(small_world, ("oracle", "random"), days=2, users=160)


def _ctr(lived: Lived, arm: int, days: slice = slice(None)) -> float:
    of = lived.panel.arm_U == arm
    clicks, shown = (lived.tally.counts[name][days][:, of].sum() for name in ("clicks", "shown"))
    return float(clicks / shown)


def test_the_same_seed_gives_the_same_days(small_world: World) -> None:
    """Everything that is drawn is fixed by the seed; another seed gives other days."""
    first, again, other = (live(small_world, ("oracle", "popularity"), days=1, seed=seed) for seed in (1, 1, 2))
    assert first.events.equals(again.events)
    assert not first.events.equals(other.events)


def test_every_shown_item_is_one_event(ordinary: Lived) -> None:
    """Nothing is lost or counted twice between what was shown and what came back."""
    events, counts = ordinary.events, ordinary.tally.counts
    assert len(events) == counts["shown"].sum()
    assert pc.count_distinct(events["interaction_id"]).as_py() == len(events)
    for column, counted in (("click", "clicks"), ("like", "likes"), ("share", "shares")):
        assert pc.sum(events[column]).as_py() == counts[counted].sum()


def test_every_reaction_belongs_to_a_page(ordinary: Lived) -> None:
    """A page has its positions and its items once each, one user, one time; likes and shares come with a click."""
    rows = ordinary.events.to_pylist()
    pages: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        pages.setdefault(row["request_id"], []).append(row)
        assert row["click"] >= max(row["like"], row["share"])
    assert len(pages) == ordinary.tally.counts["pages"].sum()
    for page in pages.values():
        assert sorted(row["position"] for row in page) == list(range(1, 11))
        assert len({row["item_id"] for row in page}) == 10
        assert len({(row["user_id"], row["timestamp"]) for row in page}) == 1


def test_a_session_shows_no_item_twice(ordinary: Lived) -> None:
    """As with a feed's cursor: of a user, within an hour, an item comes once."""
    seen = Counter((row["user_id"], row["timestamp"][:13], row["item_id"]) for row in ordinary.events.to_pylist())
    assert seen.most_common(1)[0][1] == 1


def test_what_was_seen_comes_behind_what_is_new() -> None:
    """As in the feed (``seen: last``), for every policy alike: the order is kept among what is new and what is not."""
    ranked_PC, seen_PC = np.array([[5, 4, 3, 2], [1, 2, 3, 4]]), np.array([[True, False, True, False], [False] * 4])
    assert first_unseen(ranked_PC, seen_PC, 3).tolist() == [[4, 2, 5], [1, 2, 3]]


def test_the_end_of_every_hour_is_told(small_world: World) -> None:
    """In order, none left out, those without a visitor too."""
    ends: list[int] = []
    lived = live(small_world, ("oracle", "random"), days=2, users=4, passed=ends.append)
    assert ends == [lived.start + hour * HOUR for hour in range(1, 49)]


def test_time_goes_on(ordinary: Lived) -> None:
    """Events come in order within the simulated days, and a user's pages one after the other."""
    times = ordinary.events["timestamp"].to_pylist()
    assert times == sorted(times)
    assert times[0] >= "2024-11-15T00:00"
    assert times[-1] < "2024-11-17T00:00"
    pages = Counter((row["user_id"], row["timestamp"]) for row in ordinary.events.to_pylist())
    assert set(pages.values()) == {10}


def test_the_truth_ranks_best(ordinary: Lived) -> None:
    """Who knows every click probability gets more clicks than chance, by far more than luck could give."""
    assert _ctr(ordinary, 0) > 1.3 * _ctr(ordinary, 1)


def test_nobody_ranks_a_page_better_than_the_truth(ordinary: Lived) -> None:
    """On each page the oracle's order gets the most expected clicks, tiredness included: the ceiling of any policy."""
    life, panel, rng = ordinary.life, ordinary.panel, np.random.default_rng(0)
    rows_P = np.arange(100)
    time_P = np.full(100, ordinary.start + 2 * 86_400_000_000)
    candidates_PC = np.argsort(rng.random((100, 500)), axis=1)[:, :30]
    pages = Pages(rows_P, panel.ids_U[rows_P], time_P, np.zeros(100, np.int64), candidates_PC)
    rates = ItemRates(np.ones(500), rng.random(500))
    policies: tuple[Policy, ...] = (Oracle(life), Popularity(rates), Random())
    expected = []
    for policy in policies:
        odds_N = life.odds(pages, policy.rank(rng, pages).items_PC[:, :10]).click_N
        expected.append((1 / (1 + np.exp(-odds_N))).reshape(100, 10).sum(axis=1))
    best_P, *others = expected
    assert all((best_P >= other_P - 1e-4).all() and best_P.sum() > 1.2 * other_P.sum() for other_P in others)


def test_lower_positions_are_clicked_less(ordinary: Lived) -> None:
    """The same item on the same page, seen by the same tired user: what position costs is what the world says."""
    life, panel = ordinary.life, ordinary.panel
    rows_P, items_L = np.arange(20), np.arange(10)
    time_P = np.full(20, ordinary.start + 3 * 86_400_000_000)
    items_PL = np.tile(items_L, (20, 1))
    pages = Pages(rows_P, panel.ids_U[rows_P], time_P, np.zeros(20, np.int64), items_PL)
    there = life.odds(pages, items_PL).click_N.reshape(20, 10)
    reversed_there = life.odds(pages, items_PL[:, ::-1]).click_N.reshape(20, 10)[:, ::-1]
    cost_L = life.world.config.effects.position * (np.log(10 - items_L) - np.log(1 + items_L))
    assert np.allclose(there - reversed_there, cost_L, atol=1e-5)
    assert cost_L[0] > 0.5


def test_who_left_does_not_come_back(small_world: World) -> None:
    """A user who left for good has no session on a later day."""
    lived = live(small_world, ("random", "random"), days=3, users=120, leave_a_day=0.6)
    left_U, sessions_DU = lived.tally.left_U, lived.tally.counts["sessions"]
    gone = np.flatnonzero(left_U >= 0)
    assert len(gone) > 20
    assert all(not sessions_DU[left_U[user] + 1 :, user].any() for user in gone)


@pytest.mark.slow
def test_satisfied_users_stay(small_world: World) -> None:
    """Of those who are served the best items fewer leave; where nobody minds, as many."""
    many: dict[str, Any] = {"days": 8, "users": 380, "leave_a_day": 0.15, "leave_slope": 5.0}
    minding = live(small_world, ("oracle", "random"), **many)
    indifferent = live(small_world, ("oracle", "random"), **{**many, "leave_slope": 0.0})
    gaps = []
    for lived in (minding, indifferent):
        left = [lived.tally.left_U[lived.panel.arm_U == arm] >= 0 for arm in (0, 1)]
        error = np.sqrt(sum(arm.var() / len(arm) for arm in left))
        gaps.append((left[1].mean() - left[0].mean()) / error)
    assert gaps[0] > 3
    assert abs(gaps[1]) < 3


def test_half_of_the_users_get_each_policy(small_world: World) -> None:
    """Users are assigned evenly and for good, by a salt of the seed; all arms have users, and nobody is there twice."""
    chosen: dict[str, Any] = {"users": 300, "start": small_world.rhythm.end}
    two = choose_panel(small_world, arms=("policy", "vs"), seed=0, **chosen)
    again = choose_panel(small_world, arms=("policy", "vs"), seed=0, **chosen)
    assert (two.arm_U == again.arm_U).all()
    assert len(set(two.ids_U.tolist())) == 300
    assert 110 < (two.arm_U == 0).sum() < 190
    three = choose_panel(small_world, arms=("policy", "vs", "ceiling"), seed=0, **chosen)
    assert min(np.bincount(three.arm_U, minlength=3)) > 60
    other = choose_panel(small_world, arms=("policy", "vs"), seed=1, users=400, start=small_world.rhythm.end)
    all_of_them = choose_panel(small_world, arms=("policy", "vs"), seed=0, users=400, start=small_world.rhythm.end)
    assert 0.35 < (other.arm_U == all_of_them.arm_U).mean() < 0.65


def test_a_bad_model_costs_clicks_while_it_lasts(small_world: World) -> None:
    """With the worst first, clicks of that policy fall below those of chance on its days alone."""
    bad = Scenario.model_validate({"happenings": [{"day": 1, "bad_model": {"how": "reversed", "days": 1}}]})
    lived = live(small_world, ("oracle", "random"), days=2, users=160, scenario=bad)
    during, after = slice(0, 1), slice(1, 2)
    assert _ctr(lived, 0, during) < 0.8 * _ctr(lived, 1, during)
    assert _ctr(lived, 0, after) > 1.2 * _ctr(lived, 1, after)


@pytest.mark.parametrize("serves", ["nothing", "list"])
def test_an_outage_meets_its_hours_and_its_arm(small_world: World, serves: str) -> None:
    """In an outage users see nothing, or one list for all; others are served as ever."""
    what = {"hours": 12, "at_hour": 12, "serves": serves, "arm": "policy"}
    out = Scenario.model_validate({"happenings": [{"day": 1, "outage": what}]})
    lived = live(small_world, ("oracle", "random"), days=1, users=100, scenario=out)
    met = set(lived.panel.ids_U[lived.panel.arm_U == 0].tolist())
    failures_U = lived.tally.counts["failures"].sum(axis=0)
    assert failures_U[lived.panel.arm_U == 0].sum() > 10
    assert failures_U[lived.panel.arm_U == 1].sum() == 0
    rows = lived.events.to_pylist()
    before, during = (
        {row["item_id"] for row in rows if row["user_id"] in met and (row["timestamp"] >= "2024-11-15T12") == late}
        for late in (False, True)
    )
    listed = set(lived.life.world.catalogue.alive(lived.start)[:40].tolist())
    assert not before <= listed
    assert during == set() if serves == "nothing" else during and during <= listed
    assert any(row["user_id"] not in met and row["timestamp"] >= "2024-11-15T12" for row in rows)


def test_a_new_audience_comes_on_its_day(small_world: World) -> None:
    """New users have ids that nobody has seen, come from their day on, and like what they are said to like."""
    new = Scenario.model_validate({"happenings": [{"day": 2, "new_audience": {"users": 60, "topics": {1: 3.0}}}]})
    lived = live(small_world, ("random", "random"), days=2, users=20, scenario=new)
    known = small_world.config.num_users
    times = [row["timestamp"] for row in lived.events.to_pylist() if row["user_id"] >= known]
    assert len(times) > 100
    assert min(times) >= "2024-11-16"
    people = lived.life.world.people
    assert people.taste_UK[known:, 1].mean() > people.taste_UK[:known, 1].mean() + 2


def test_a_drift_moves_tastes_from_its_day_on(small_world: World) -> None:
    """Some users take over the tastes of others, and a topic gains with everybody; the world that was given stays."""
    drift = Scenario.model_validate({"happenings": [{"day": 2, "drift": {"redrawn": 0.5, "topics": {0: 1.0}}}]})
    panel = choose_panel(small_world, users=20, arms=("policy", "vs"), start=small_world.rhythm.end, seed=0)
    life = Life(small_world, panel, Habits())
    befalling = Befalling(drift, np.arange(10), seed=0)
    before = small_world.people.taste_UK.copy()
    befalling.dawn(0, life)
    assert (life.world.people.taste_UK == before).all()
    befalling.dawn(1, life)
    after = life.world.people.taste_UK
    assert after[:, 0].mean() == pytest.approx(before[:, 0].mean() + 1, abs=1e-4)
    assert 0.4 < (np.abs(after[:, 1:] - before[:, 1:]) > 1e-6).any(axis=1).mean() < 0.6
    assert (small_world.people.taste_UK == before).all()
