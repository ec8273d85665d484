"""What people do with what they see: the true probability of a click, and what follows from it.

Legend: N rows, U users, I items, K topics, S styles, H hours, D devices, W weeks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from orita.events.world.arrays import Bools, Floats, Integers, Reals
from orita.events.world.catalogue import Catalogue
from orita.events.world.config import WorldConfig
from orita.events.world.people import People
from orita.events.world.rhythm import SATURDAY, Rhythm, hour_of, weekday_of

__all__ = ["Impressions", "Odds", "Reactions", "Response"]

_DAY = 86_400_000_000
_AGE_UNIT_DAYS = 3.0
_MAX_DWELL = 300.0
_GLANCE_SECONDS, _READ_SECONDS, _DWELL_SPREAD = 2.0, 30.0, 0.8
_LIKE, _SHARE = -2.0, -3.4


@dataclass(frozen=True, eq=False, slots=True)
class Impressions:
    """Items as they were shown.

    Attributes:
        users_N, items_N: ids.
        time_N: microseconds since the Unix epoch.
        devices_N: index into `DEVICES`.
        positions_N: 1 is the top.
    """

    users_N: Integers
    items_N: Integers
    time_N: Integers
    devices_N: Integers
    positions_N: Integers

    def __len__(self) -> int:
        return len(self.users_N)


@dataclass(frozen=True, eq=False, slots=True)
class Odds:
    """Per row: the log-odds of a click, and the part of it that is the user's interest in the item."""

    click_N: Floats
    interest_N: Floats


@dataclass(frozen=True, eq=False, slots=True)
class Reactions:
    """What happened: ``like`` and ``share`` only with a click; ``dwell`` in seconds, 0 … 300, whole hundredths."""

    click: Bools
    like: Bools
    share: Bools
    dwell: Reals


@dataclass(frozen=True, eq=False, slots=True)
class Response:
    """How the users of a world respond."""

    config: WorldConfig
    people: People
    catalogue: Catalogue
    rhythm: Rhythm

    def odds(self, shown: Impressions, base: float) -> Odds:
        """Return the log-odds of a click on each row, where *base* is the intercept."""
        effects, people, items, rhythm = self.config.effects, self.people, self.catalogue, self.rhythm
        topic_N = items.topic_I[shown.items_N]
        hour_N, weekday_N = hour_of(shown.time_N), weekday_of(shown.time_N)
        taste_N = people.taste_UK[shown.users_N, topic_N] * rhythm.focus_D[shown.devices_N]
        style_N = np.einsum("ns,ns->n", people.style_US[shown.users_N], items.style_IS[shown.items_N])
        interest_N = np.float32(effects.taste) * taste_N + np.float32(effects.style) * style_N
        interest_N += np.float32(effects.quality) * items.quality_I[shown.items_N]
        age_N = np.maximum(shown.time_N - items.created_I[shown.items_N], 0).astype(np.float32)
        click_N = interest_N + np.float32(base)
        click_N += np.float32(effects.leaning) * people.leaning_U[shown.users_N]
        click_N += np.float32(effects.trend) * rhythm.trend_WK[rhythm.week_of(shown.time_N), topic_N]
        click_N += np.float32(effects.hour_topic) * rhythm.hour_topic_HK[hour_N, topic_N]
        click_N += np.float32(effects.weekend_topic) * rhythm.weekend_topic_K[topic_N] * (weekday_N >= SATURDAY)
        click_N -= np.float32(effects.age) * np.log1p(age_N / np.float32(_AGE_UNIT_DAYS * _DAY))
        click_N -= np.float32(effects.position) * np.log(shown.positions_N.astype(np.float32))
        click_N += rhythm.device_D[shown.devices_N] + rhythm.moment_HW7[hour_N, weekday_N]
        return Odds(click_N, interest_N)

    def react(self, rng: np.random.Generator, odds: Odds) -> Reactions:
        """Draw what happens on each row."""
        rows, interest_N = len(odds.click_N), odds.interest_N
        click_N = rng.random(rows, dtype=np.float32) < chance(odds.click_N)
        like_N = click_N & (rng.random(rows, dtype=np.float32) < chance(interest_N + np.float32(_LIKE)))
        share_N = click_N & (rng.random(rows, dtype=np.float32) < chance(interest_N + np.float32(_SHARE)))
        level_N = np.where(click_N, np.float32(np.log(_READ_SECONDS)), np.float32(np.log(_GLANCE_SECONDS)))
        level_N += np.where(click_N, np.float32(0.35), np.float32(0.2)) * interest_N
        level_N += np.float32(_DWELL_SPREAD) * rng.standard_normal(rows, dtype=np.float32)
        dwell_N = np.rint(np.minimum(np.exp(level_N), _MAX_DWELL).astype(np.float64) * 100) / 100
        return Reactions(click_N, like_N, share_N, dwell_N)


def chance(odds_N: Floats) -> Floats:
    """Return the probability, in (0, 1), of log-odds."""
    probability_N: Floats = np.float32(1) / (np.float32(1) + np.exp(-odds_N))
    return probability_N
