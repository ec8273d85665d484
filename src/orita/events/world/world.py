"""The synthetic world: one that a generator writes down and a simulator lives in.

Legend: N rows, P page views, K topics.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from orita.events.world.arrays import Floats, Integers, Stream, random_stream
from orita.events.world.catalogue import Catalogue, make_catalogue
from orita.events.world.config import WorldConfig
from orita.events.world.exposure import Exposure
from orita.events.world.people import People, make_people
from orita.events.world.response import Impressions, Reactions, Response, chance
from orita.events.world.rhythm import Rhythm, make_rhythm

__all__ = ["World"]

_DAY = 86_400_000_000
_PILOT_PAGES, _PILOT_DAYS = 2_000, 24


@dataclass(frozen=True, eq=False, slots=True)
class World:
    """Users, items, their history and how users react.

    Attributes:
        people, catalogue, rhythm: who, what, when; much of it hidden from models.
        base: intercept of the log-odds of a click, set so that the expected click rate is ``config.click_rate``.
    """

    config: WorldConfig
    people: People
    catalogue: Catalogue
    rhythm: Rhythm
    base: float

    @classmethod
    def build(cls, config: WorldConfig) -> World:
        """Return the world of *config*: the same for the same configuration."""
        world = cls(config, make_people(config), make_catalogue(config), make_rhythm(config), 0.0)
        return cls(config, world.people, world.catalogue, world.rhythm, _calibrated(world))

    @property
    def page_length(self) -> int:
        """Items on a generated page: ``config.page_length``, less where few items exist."""
        return max(1, min(self.config.page_length, len(self.catalogue.alive(self.rhythm.start)) // 2))

    @property
    def exposure(self) -> Exposure:
        """The recommender that chose what was shown."""
        return Exposure(self.config, self.people, self.catalogue, self.rhythm)

    @property
    def response(self) -> Response:
        """How users respond to what is shown."""
        return Response(self.config, self.people, self.catalogue, self.rhythm)

    def users(self) -> pa.Table:
        """Return what models may see of users: ``user_id``, ``joined_at``, ``region``."""
        return self.people.table()

    def items(self) -> pa.Table:
        """Return what models may see of items: ``item_id``, ``created_at``, ``topic``."""
        return self.catalogue.table()

    def click_probability(
        self,
        users_N: Integers,
        items_N: Integers,
        time_N: Integers,
        devices_N: Integers,
        positions_N: Integers,
    ) -> Floats:
        """Return ``p_N``: the true probability of a click on each row.

        Args:
            users_N, items_N: ids.
            time_N: microseconds since the Unix epoch.
            devices_N: index into `DEVICES`.
            positions_N: 1 is the top.
        """
        shown = Impressions(users_N, items_N, time_N, devices_N, positions_N)
        return chance(self.response.odds(shown, self.base).click_N)

    def react(self, rng: np.random.Generator, shown: Impressions) -> Reactions:
        """Draw what the users do with the items that they are shown."""
        return self.response.react(rng, self.response.odds(shown, self.base))

    def candidates(self, rng: np.random.Generator, user: int, at_micros: int, n: int) -> Integers:
        """Return *n* distinct items (fewer where fewer exist) that *user* could be shown at *at_micros*."""
        alive = self.catalogue.alive(at_micros)
        if 2 * n > len(alive):
            few: Integers = rng.permutation(alive)[:n]
            return few
        user_P, time_P = np.array([user]), np.array([at_micros])
        items_L: Integers = self.exposure.pages(rng, user_P, time_P, n)[0]
        return items_L

    def visit(self, rng: np.random.Generator, at_micros: int) -> tuple[int, int]:
        """Return who comes at *at_micros*, by activity, and on which device (an index into `DEVICES`)."""
        time_P = np.array([at_micros])
        return int(self.people.draw(rng, time_P)[0]), int(self.rhythm.devices(rng, time_P)[0])


def _calibrated(world: World) -> float:
    """Return the intercept at which the expected click rate of a pilot sample is the configured one."""
    rng = random_stream(world.config.seed, Stream.PILOT)
    length = world.page_length
    time_P = _pilot_times(world, rng)
    users_P = world.people.draw(rng, time_P)
    devices_P = world.rhythm.devices(rng, time_P)
    items_PL = world.exposure.pages(rng, users_P, time_P, length)
    shown = Impressions(
        np.repeat(users_P, length),
        items_PL.ravel(),
        np.repeat(time_P, length),
        np.repeat(devices_P, length),
        np.tile(np.arange(1, length + 1), len(time_P)),
    )
    odds_N = world.response.odds(shown, 0.0).click_N.astype(np.float64)
    low, high = -20.0, 20.0
    for _ in range(60):
        middle = (low + high) / 2
        rate = float((1 / (1 + np.exp(-(odds_N + middle)))).mean())
        low, high = (middle, high) if rate < world.config.click_rate else (low, middle)
    return (low + high) / 2


def _pilot_times(world: World, rng: np.random.Generator) -> Integers:
    """Return times on a few days spread over the range: exposure costs by the day."""
    rhythm = world.rhythm
    stride = max(1, (rhythm.end - rhythm.start) // _DAY // _PILOT_DAYS)
    time_P = rhythm.times(rng, _PILOT_PAGES * stride, rhythm.start, rhythm.end)
    some_P: Integers = time_P[(time_P - rhythm.start) // _DAY % stride == stride // 2]
    return some_P
