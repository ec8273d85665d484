"""Who visits: users with tastes, activity and the day they joined.

Legend: U users, K topics, S styles.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from orita.events.world.arrays import Floats, Integers, Reals, Stream, random_stream, standardised
from orita.events.world.config import WorldConfig
from orita.events.world.timestrings import iso_strings

__all__ = ["REGIONS", "People", "make_people"]

REGIONS = ("north", "east", "south", "west", "islands")
_DAY = 86_400_000_000
_SHARED_DIMENSIONS = 4
_SHARED = 0.6  # share of a taste's variance that users of one kind have in common: what ids alone can learn
_REGION = 0.3
_JOINED_BEFORE_DAYS = 700


@dataclass(frozen=True, eq=False, slots=True)
class People:
    """The users of a world, by user id.

    Attributes:
        taste_UK: interest in each topic, standard deviation 1. Hidden.
        style_US: interest in each hidden style. Hidden.
        leaning_U: readiness to click, standard deviation 1. Hidden.
        region_U: index into `REGIONS`; users of a region are a little alike.
        joined_U: microseconds since the Unix epoch; nobody visits before.
        by_join_U: user ids in the order they joined.
        activity_U: running sum of visits by that order; its last value is the sum over all users.
    """

    taste_UK: Floats
    style_US: Floats
    leaning_U: Floats
    region_U: Integers
    joined_U: Integers
    by_join_U: Integers
    activity_U: Reals

    def draw(self, rng: np.random.Generator, time_P: Integers) -> Integers:
        """Return ``users_P``: who visits at each time, in proportion to activity among those who had joined."""
        joined_P = np.searchsorted(self.joined_U[self.by_join_U], time_P, side="right")
        total_P = self.activity_U[np.maximum(joined_P, 1) - 1]
        place_P = np.searchsorted(self.activity_U, rng.random(len(time_P)) * total_P, side="right")
        users_P: Integers = self.by_join_U[np.minimum(place_P, len(self.by_join_U) - 1)]
        return users_P

    def table(self) -> pa.Table:
        """Return what models may see of the users: ``user_id``, ``joined_at`` (ISO 8601), ``region``."""
        return pa.table(
            {
                "user_id": np.arange(len(self.joined_U), dtype=np.int64),
                "joined_at": iso_strings(self.joined_U),
                "region": pa.DictionaryArray.from_arrays(self.region_U, REGIONS).dictionary_decode(),
            }
        )


def make_people(config: WorldConfig) -> People:
    """Return the users that *config* and its seed describe."""
    rng = random_stream(config.seed, Stream.PEOPLE)
    users, topics = config.num_users, config.topics
    region_U = rng.integers(0, len(REGIONS), users)
    region_means = rng.standard_normal((len(REGIONS), _SHARED_DIMENSIONS))
    kind = rng.standard_normal((users, _SHARED_DIMENSIONS)) * np.sqrt(1 - _REGION**2) + _REGION * region_means[region_U]
    loadings = rng.standard_normal((_SHARED_DIMENSIONS, topics)) / np.sqrt(_SHARED_DIMENSIONS)
    # einsum, not BLAS: the same sum order, hence the same bytes, whatever the number of cores.
    shared_UK = np.einsum("uq,qk->uk", kind, loadings)
    own_UK = rng.standard_normal((users, topics))
    joined_U = _joined(config, rng)
    by_join_U = np.argsort(joined_U, kind="stable")
    activity_U = np.exp(config.activity_spread * rng.standard_normal(users))
    return People(
        taste_UK=standardised(np.sqrt(_SHARED) * shared_UK + np.sqrt(1 - _SHARED) * own_UK),
        style_US=(rng.standard_normal((users, config.styles)) / np.sqrt(config.styles)).astype(np.float32),
        leaning_U=rng.standard_normal(users).astype(np.float32),
        region_U=region_U,
        joined_U=joined_U,
        by_join_U=by_join_U,
        activity_U=np.cumsum(activity_U[by_join_U]),
    )


def _joined(config: WorldConfig, rng: np.random.Generator) -> Integers:
    start, end = config.date_range.start_micros, config.date_range.end_micros
    late = int(config.num_users * config.joined_share)
    joined_U = rng.integers(start - _JOINED_BEFORE_DAYS * _DAY, start, config.num_users)
    joined_U[rng.permutation(config.num_users)[:late]] = rng.integers(start, end, late)
    return joined_U // 1000 * 1000
