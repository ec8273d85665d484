"""What is shown: items with a topic, a birthday, a quality and a pull.

Legend: I items, S styles, K topics.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from orita.events.world.arrays import Floats, Integers, Reals, Stream, random_stream
from orita.events.world.config import WorldConfig
from orita.events.world.timestrings import iso_strings

__all__ = ["Catalogue", "make_catalogue"]

_DAY = 86_400_000_000
_BORN_BEFORE_DAYS = 240
_PULL_OF_QUALITY = 0.4


@dataclass(frozen=True, eq=False, slots=True)
class Catalogue:
    """The items of a world, by item id, and the order in which exposure walks through them.

    Attributes:
        topic_I: 0 … K − 1.
        created_I: microseconds since the Unix epoch; an item is never shown before.
        quality_I: appeal to everyone, standard deviation 1. Hidden.
        style_IS: position in the hidden styles. Hidden.
        pull_I: log of how often the recommender shows a new item. Hidden.
        shelf_I: item ids ordered by topic, then creation.
        shelf_created_I, shelf_pull_I: creation and exp(pull) in that order.
        first_K: where each topic starts in that order (K + 1 values).
        by_birth_I: item ids ordered by creation.
    """

    topic_I: Integers
    created_I: Integers
    quality_I: Floats
    style_IS: Floats
    pull_I: Floats
    shelf_I: Integers
    shelf_created_I: Integers
    shelf_pull_I: Reals
    first_K: Integers
    by_birth_I: Integers

    def alive(self, at_micros: int) -> Integers:
        """Return the ids of the items that exist at *at_micros*, oldest first."""
        return self.by_birth_I[: np.searchsorted(self.created_I[self.by_birth_I], at_micros, side="right")]

    def table(self) -> pa.Table:
        """Return what models may see of the items: ``item_id``, ``created_at`` (ISO 8601), ``topic``."""
        return pa.table(
            {
                "item_id": np.arange(len(self.topic_I), dtype=np.int64),
                "created_at": iso_strings(self.created_I),
                "topic": self.topic_I,
            }
        )


def make_catalogue(config: WorldConfig) -> Catalogue:
    """Return the items that *config* and its seed describe."""
    rng = random_stream(config.seed, Stream.CATALOGUE)
    items = config.num_items
    sizes_K = rng.dirichlet(np.full(config.topics, 8.0))
    topic_I = np.searchsorted(np.cumsum(sizes_K)[:-1], rng.random(items), side="right").astype(np.int64)
    quality_I = rng.standard_normal(items)
    pull_I = config.popularity_spread * rng.standard_normal(items) + _PULL_OF_QUALITY * quality_I
    created_I = _created(config, rng)
    shelf_I = np.lexsort((created_I, topic_I))
    return Catalogue(
        topic_I=topic_I,
        created_I=created_I,
        quality_I=quality_I.astype(np.float32),
        style_IS=rng.standard_normal((items, config.styles)).astype(np.float32),
        pull_I=pull_I.astype(np.float32),
        shelf_I=shelf_I,
        shelf_created_I=created_I[shelf_I],
        shelf_pull_I=np.exp(pull_I[shelf_I]),
        first_K=np.searchsorted(topic_I[shelf_I], np.arange(config.topics + 1)),
        by_birth_I=np.argsort(created_I, kind="stable"),
    )


def _created(config: WorldConfig, rng: np.random.Generator) -> Integers:
    start, end = config.date_range.start_micros, config.date_range.end_micros
    born = int(config.num_items * config.born_share)
    created_I = rng.integers(start - _BORN_BEFORE_DAYS * _DAY, start, config.num_items)
    created_I[rng.permutation(config.num_items)[:born]] = rng.integers(start, end, born)
    return created_I // 1000 * 1000
