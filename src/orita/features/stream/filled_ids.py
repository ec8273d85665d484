"""Which event ids the tables had of late when state was filled from them: pushed again, such an event is no new one.

An event that came by a file has no offset in the log. It is taken to lie where the log was, in every partition, when
state was filled, and is forgotten once the log has moved on by the horizon. Legend: N events.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

import duckdb
import numpy as np
import numpy.typing as npt

from orita.core.sql import quoted
from orita.features.batch import identities
from orita.features.declarations import Source
from orita.features.state.layout import RESERVED
from orita.features.stores.store import Change, OnlineStore

__all__ = ["FilledIds", "filled_ids"]

Integers = npt.NDArray[np.int64]

_IDS, _ENDS = b"ids", b"ends"


def filled_ids(
    source: Source, connection: duckdb.DuckDBPyConnection, relation: str, ends: Mapping[str, int], most: int
) -> list[Change]:
    """Return what a store must change to know the ids of the *most* events of a table that became known last.

    Args:
        source: whose table it is.
        connection: where *relation* can be read.
        relation: SQL that can stand behind FROM.
        ends: by name of a partition, up to where the table holds the log; partitions that are not named: nothing.
        most: how many.
    """
    there = connection.sql(f"SELECT * FROM {relation} LIMIT 0").columns
    schema, time = source.schema, f"epoch_us({quoted(source.schema.time or '')})"
    if schema.key not in there:
        return []
    known = f"{time} + {source.delay_micros}"
    if schema.ingested is not None and schema.ingested in there:
        known = f"greatest({time}, coalesce(epoch_us({quoted(schema.ingested)}), {known}))"
    key = quoted(schema.key)
    query = f"SELECT {key} FROM {relation} WHERE {key} IS NOT NULL ORDER BY {known} DESC LIMIT {most}"
    id_N, _ = identities(connection.sql(query).to_arrow_table()[schema.key])
    if not len(id_N):
        return []
    return [(_key(source, _IDS), np.unique(id_N).tobytes()), (_key(source, _ENDS), json.dumps(dict(ends)).encode())]


class FilledIds:
    """The ids that a store was filled with, of one source.

    Args:
        store: that store.
        source: whose events.
        horizon: so many offsets after the filling an id counts as new again.
    """

    def __init__(self, store: OnlineStore, source: Source, horizon: int) -> None:
        self._source, self._horizon = source, horizon
        ids, ends = store.get_many([_key(source, _IDS), _key(source, _ENDS)])
        self._ids = np.frombuffer(ids or b"", np.int64)
        self._ends: dict[str, int] = json.loads(ends or b"{}")

    def repeated(self, name: str, id_N: Integers, offset_N: Integers) -> npt.NDArray[np.bool_]:
        """Return which events of the partition *name* the store was filled with."""
        if not len(self._ids):
            return np.zeros(len(id_N), np.bool_)
        place_N = np.minimum(np.searchsorted(self._ids, id_N), len(self._ids) - 1)
        return np.asarray((self._ids[place_N] == id_N) & (offset_N < self._until(name)))

    def is_stale(self, positions: Mapping[str, int], others: Callable[[], Mapping[str, int]]) -> bool:
        """Tell whether all partitions are past the horizon; *others*, which may be slow, tells where all stand."""
        if not len(self._ids) or any(at < self._until(name) for name, at in positions.items()):
            return False
        return all(at >= self._until(name) for name, at in {**others(), **positions}.items())

    def forgotten(self) -> list[Change]:
        """Return what the store must change to forget them."""
        return [(_key(self._source, _IDS), None), (_key(self._source, _ENDS), None)]

    def forget(self) -> None:
        """Forget them in memory, once the store has."""
        self._ids = self._ids[:0]

    def _until(self, name: str) -> int:
        return self._ends.get(name, 0) + self._horizon


def _key(source: Source, part: bytes) -> bytes:
    return RESERVED + b"l" + source.name.encode() + b"\0" + part
