"""The world has what a ranking model should learn, and what should stay hard."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import rankdata

from orita.events.world import World, WorldConfig
from orita.events.world.history import blocks

Reals = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
_DAY = 86_400_000_000


@dataclass(frozen=True)
class _History:
    world: World
    users: Integers
    items: Integers
    time: Integers
    devices: Integers
    positions: Integers
    click: Reals
    dwell: Reals
    p: Reals


@pytest.fixture(scope="module")
def history() -> _History:
    """A middling world and its history, as arrays."""
    world = World.build(WorldConfig(num_users=3_000, num_items=8_000, num_interactions=240_000, seed=1))
    made = list(blocks(world))

    def column(name: str) -> Integers:
        return np.concatenate([block.table[name].to_numpy() for block in made])

    stamps = column("timestamp").astype("U24")
    time = np.array([text[:-1] for text in stamps], "datetime64[us]").astype(np.int64)
    devices = np.searchsorted(["desktop", "mobile", "tablet"], column("device").astype(str))
    return _History(
        world,
        column("user_id"),
        column("item_id"),
        time,
        np.array([1, 0, 2])[devices],
        column("position").astype(np.int64),
        column("click").astype(np.float64),
        column("dwell_time").astype(np.float64),
        np.concatenate([block.p_N for block in made]).astype(np.float64),
    )


def _auc(y_N: Reals, scores_N: Reals) -> float:
    ranks_N, positives = rankdata(scores_N), y_N.sum()
    return float((ranks_N[y_N > 0].sum() - positives * (positives + 1) / 2) / (positives * (len(y_N) - positives)))


def _log_loss(y_N: Reals, p_N: Reals) -> float:
    return float(-(y_N * np.log(p_N) + (1 - y_N) * np.log(1 - p_N)).mean())


def test_clicks_follow_the_probability(history: _History) -> None:
    """Among rows of about the same true probability, the share of clicks is that probability, within chance."""
    order = np.argsort(history.p)
    for rows in np.array_split(order, 20):
        expected, variance = history.p[rows].sum(), (history.p[rows] * (1 - history.p[rows])).sum()
        assert abs(history.click[rows].sum() - expected) < 4.5 * np.sqrt(variance)


def test_the_click_rate_is_the_configured_one(history: _History) -> None:
    """The click rate lies near the configured one, and a constant prediction loses what such a rate costs."""
    rate = history.click.mean()
    assert rate == pytest.approx(history.world.config.click_rate, abs=0.03)
    assert 0.44 < _log_loss(history.click, np.full(len(history.click), rate)) < 0.55


def test_there_is_much_to_learn_and_popularity_is_not_it(history: _History) -> None:
    """The truth ranks well; an item's past click rate alone reaches at most half of its lift on later rows."""
    cut = int(len(history.click) * 0.85)
    shown_I = np.bincount(history.items[:cut], minlength=8_000)
    clicks_I = np.bincount(history.items[:cut], weights=history.click[:cut], minlength=8_000)
    rate_I = (clicks_I + 20 * 0.2) / (shown_I + 20)
    oracle = _auc(history.click[cut:], history.p[cut:]) - 0.5
    assert 0.28 < oracle < 0.38
    assert 0.02 < _auc(history.click[cut:], rate_I[history.items[cut:]]) - 0.5 <= oracle / 2
    assert _log_loss(history.click[cut:], history.p[cut:]) < 0.42


def test_users_are_shown_and_click_what_they_like(history: _History) -> None:
    """Tastes drive clicks strongly, and the recommender shows people more of what they like."""
    world = history.world
    taste_N = world.people.taste_UK[history.users, world.catalogue.topic_I[history.items]]
    assert taste_N.mean() > 0.3
    liked, disliked = history.click[taste_N > 1].mean(), history.click[taste_N < -0.5].mean()
    assert liked > 2.5 * disliked


def test_the_top_position_is_clicked_more(history: _History) -> None:
    """The same items would be clicked more at the top: position bias, not only better items first."""
    world = history.world
    first = slice(0, 20_000)
    args = history.users[first], history.items[first], history.time[first], history.devices[first]
    top_N = world.click_probability(*args, np.full(20_000, 1))
    low_N = world.click_probability(*args, np.full(20_000, 20))
    assert (top_N > low_N).all()
    assert top_N.mean() > 1.4 * low_N.mean()


def test_tails_are_heavy(history: _History) -> None:
    """A few users and a few items make up much of the traffic."""
    for ids, size in ((history.users, 3_000), (history.items, 8_000)):
        counts = np.sort(np.bincount(ids, minlength=size))[::-1]
        assert counts[: size // 100].sum() > 0.07 * counts.sum()
        assert counts[: size // 10].sum() > 0.35 * counts.sum()


def test_popularity_shifts(history: _History) -> None:
    """New items get far more of the traffic than their number, and topics gain and lose from month to month."""
    world = history.world
    age_N = (history.time - world.catalogue.created_I[history.items]) / _DAY
    middle = np.int64((world.rhythm.start + world.rhythm.end) // 2)
    age_I = (middle - world.catalogue.created_I[world.catalogue.alive(int(middle))]) / _DAY
    assert (age_N < 14).mean() > 2 * (age_I < 14).mean()
    month_N = (history.time - world.rhythm.start) // (30 * _DAY)
    topic_N = world.catalogue.topic_I[history.items]
    share_MK = np.stack([np.bincount(topic_N[month_N == m], minlength=16) for m in range(10)]).astype(float)
    share_MK /= share_MK.sum(axis=1, keepdims=True)
    assert (share_MK.max(axis=0) / share_MK.min(axis=0)).mean() > 1.5


def test_hours_have_their_devices_and_topics(history: _History) -> None:
    """Desktops are used in working hours, nights are quiet, and a topic's clicks depend on the hour."""
    hour_N = history.time // 3_600_000_000 % 24
    desktop = [(history.devices[(hour_N >= a) & (hour_N < b)] == 1).mean() for a, b in ((11, 16), (20, 24))]
    assert desktop[0] > 1.8 * desktop[1]
    visits_H = np.bincount(hour_N, minlength=24)
    assert visits_H[19:22].mean() > 5 * visits_H[2:5].mean()
    world, rows = history.world, 5_000
    by_hour = [
        world.click_probability(
            history.users[:rows], history.items[:rows], np.full(rows, world.rhythm.start + hour * 3_600_000_000),
            history.devices[:rows], history.positions[:rows],
        )
        for hour in (8, 20)
    ]  # fmt: skip
    topic_N = world.catalogue.topic_I[history.items[:rows]]
    ratio_K = np.array([by_hour[0][topic_N == k].mean() / by_hour[1][topic_N == k].mean() for k in range(16)])
    assert ratio_K.max() > 1.15 * ratio_K.min()


def test_dwell_grows_with_clicks_and_interest(history: _History) -> None:
    """People stay longer with what they clicked, and among clicked items with what suits them."""
    clicked = history.click > 0
    assert np.median(history.dwell[clicked]) > 5 * np.median(history.dwell[~clicked])
    likely, unlikely = clicked & (history.p > 0.5), clicked & (history.p < 0.1)
    assert np.median(history.dwell[likely]) > 1.3 * np.median(history.dwell[unlikely])


def test_candidates_are_distinct_alive_and_fit_the_user(history: _History) -> None:
    """Candidates exist at the time asked for, also after the range, are distinct, and suit the user."""
    world, rng = history.world, np.random.default_rng(0)
    catalogue = world.catalogue
    fits = []
    for user in range(40):
        for at in (world.rhythm.start + _DAY, world.rhythm.end + 20 * _DAY):
            items = world.candidates(rng, user, at, 100)
            assert len(set(items.tolist())) == 100
            assert (catalogue.created_I[items] <= at).all()
            fits.append(world.people.taste_UK[user, catalogue.topic_I[items]].mean())
    assert np.mean(fits) > 0.3
    assert len(world.candidates(rng, 0, world.rhythm.end, 10**6)) == 8_000


def test_visitors_come_by_activity(history: _History) -> None:
    """A visit at one moment brings a known user with a device; the active come more often."""
    world, rng = history.world, np.random.default_rng(0)
    visits = [world.visit(rng, world.rhythm.end + _DAY) for _ in range(400)]
    assert {device for _, device in visits} <= {0, 1, 2}
    activity_U = np.empty(3_000)
    activity_U[world.people.by_join_U] = np.diff(world.people.activity_U, prepend=0.0)
    assert np.median(activity_U[[user for user, _ in visits]]) > 1.5 * np.median(activity_U)
