"""How often items were shown and clicked before a simulation began, from the lake.

Legend: I items.
"""

from __future__ import annotations

import numpy as np

from orita.core.home import Home
from orita.core.sql import quoted
from orita.events.engine import open_engine
from orita.events.lake import Lake
from orita.events.world.arrays import Reals
from orita.features.system import System

__all__ = ["item_counts"]


def item_counts(home: Home, system: System, items: int, *, memory_mb: int) -> tuple[Reals, Reals]:
    """Return ``shown_I`` and ``clicks_I`` of the items 0 … *items* − 1.

    Raises:
        NotFound: no events were ingested.
    """
    item, snapshot = quoted(system.item.columns[0]), Lake(home).snapshot(system.source.name)
    query = f"SELECT {item}, count(*), sum(click) FROM {snapshot.sql} WHERE {item} < {items} GROUP BY {item}"
    with open_engine(home.staging, memory_mb) as connection:
        found = connection.execute(query).fetchnumpy()
    ids_N, shown_N, clicks_N = (np.asarray(column) for column in found.values())
    shown_I, clicks_I = np.zeros(items), np.zeros(items)
    shown_I[ids_N.astype(np.int64)], clicks_I[ids_N.astype(np.int64)] = shown_N, clicks_N
    return shown_I, clicks_I
