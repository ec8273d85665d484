"""Which events a feature was made of: those of its keys, in its window, that were known when it was computed.

The boundary of each window is asked of `orita.features.kernel.ranges`, by which the features are computed too.

Legend: E events of one key, by time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from orita.core.clock import from_micros
from orita.core.errors import UserError
from orita.core.sql import literal, quoted
from orita.core.whole_ids import whole_id
from orita.features.api.relations import Tables
from orita.features.batch import known_times, times_of
from orita.features.declarations import Aggregate, Attribute, Entity
from orita.features.declaring.conditions import columns_of
from orita.features.declaring.lineage import lineage_of
from orita.features.frame import attribute_sql
from orita.features.kernel.ranges import Timeline, find_ranges
from orita.features.masks import condition_mask

__all__ = ["Behind", "EventsBehind"]


@dataclass(frozen=True, slots=True)
class Behind:
    """The events that an aggregate saw.

    Attributes:
        source: the table they are in.
        by: the keys, by column; of an attribute, by ``entity.attribute``.
        window, filter: which of the events of these keys, in words; empty: all of them.
        count: how many there are.
        first, last: times of the earliest and the latest, ISO 8601; empty without events.
        latest: the latest few, with the columns that the aggregate reads.
    """

    source: str
    by: Mapping[str, str]
    window: str
    filter: str
    count: int
    first: str = ""
    last: str = ""
    latest: tuple[Mapping[str, Any], ...] = ()


@dataclass(slots=True)
class EventsBehind:
    """Finds events for one user, one item and one time; what several aggregates read is read once.

    Attributes:
        connection: reads the tables.
        tables: of the lake, as they are now.
        ids: the id of each entity that the log knows, as text.
        at: the time the features were computed for, microseconds since the Unix epoch.
        few: how many of the latest events are told.
    """

    connection: duckdb.DuckDBPyConnection
    tables: Tables
    ids: Mapping[Entity, str]
    at: int
    few: int = 3
    _read: dict[str, pa.Table] = field(default_factory=dict)
    _values: dict[Attribute, Any] = field(default_factory=dict)

    def for_row(self, ids: Mapping[Entity, str]) -> EventsBehind:
        """Return what finds events for other ids at the same time; events that were read are shared."""
        return EventsBehind(self.connection, self.tables, ids, self.at, self.few, self._read)

    def of(self, aggregate: Aggregate) -> Behind:
        """Return the events that *aggregate* saw.

        Raises:
            UserError: it is keyed by an entity that the log does not name, or its table is gone.
        """
        rows = self._events(aggregate)
        if aggregate.condition is not None:
            rows = rows.filter(pa.array(condition_mask(aggregate.condition, _columns(rows))))
        time_E = times_of(rows, aggregate.source.schema.time or "")
        ends = (np.array([0, len(rows)]), np.array([self.at]), np.array([0, 1]))
        seen = find_ranges(Timeline(time_E, *ends), aggregate.window)
        low, high = int(seen.low_Q[0]), int(seen.high_Q[0])
        told = lineage_of(aggregate)
        named = (self.tables.snapshots[aggregate.source.name].name, self._by(aggregate), told.window, told.filter)
        if low == high:
            return Behind(*named, 0)
        latest = rows.slice(max(low, high - self.few), min(self.few, high - low)).to_pylist()[::-1]
        first, last = (from_micros(int(time_E[position])).isoformat() for position in (low, high - 1))
        return Behind(*named, high - low, first, last, tuple(map(_plain, latest)))

    def value(self, attribute: Attribute) -> Any:
        """Return what the lake has now of an entity's attribute, as features use it; None where it is unknown."""
        if attribute not in self._values:
            self._values[attribute] = self._attribute(attribute, attribute_sql(attribute))
        return self._values[attribute]

    def shown(self, attribute: Attribute) -> Any:
        """Return the attribute as it is written in its table; None where it is unknown."""
        return _text(self._attribute(attribute, quoted(attribute.column.name)))

    def _attribute(self, attribute: Attribute, expression: str) -> Any:
        entity = attribute.entity
        snapshot = self.tables.snapshots.get(entity.table or "")
        if snapshot is None or attribute.column.name not in snapshot.schema.names:
            return None
        key = self._condition(entity.table_column, self._id(entity), snapshot.schema)
        query = f"SELECT {expression} AS value FROM {snapshot.sql} WHERE {key} LIMIT 1"
        found = self.connection.sql(query).to_arrow_table()["value"].to_pylist()
        return found[0] if found else None

    def _events(self, aggregate: Aggregate) -> pa.Table:
        """Return the events of the aggregate's keys that lie before `at` and were known by then, by time."""
        source = aggregate.source
        snapshot = self.tables.snapshots.get(source.name)
        if snapshot is None:
            raise UserError(f"the lake has no table {source.name!r} any more.")
        there = [name.rpartition(".")[2] for name in lineage_of(aggregate).columns]
        wanted = dict.fromkeys([*there, *columns_of(aggregate.condition)])
        named = ", ".join(quoted(name) for name in wanted if name in snapshot.schema.names)
        time = source.schema.time or ""
        before = f"epoch_us({quoted(time)}) < {self.at}"
        query = f"SELECT {named} FROM {snapshot.sql} WHERE {' AND '.join([before, *self._keys(aggregate)])}"
        if query not in self._read:
            rows = self.connection.sql(query).to_arrow_table()
            rows = rows.filter(pa.array(known_times(rows, source) <= self.at))
            order = np.argsort(times_of(rows, time), kind="stable")
            self._read[query] = rows.take(pa.array(order))
        return self._read[query]

    def _keys(self, aggregate: Aggregate) -> list[str]:
        """Return SQL conditions that an event has the aggregate's keys."""
        source = aggregate.source
        schema = self.tables.snapshots[source.name].schema
        found = []
        for entity, looked_up in zip(aggregate.entities, aggregate.looked_up, strict=True):
            if len(entity.columns) > 1:
                raise UserError(f"the log has the key {', '.join(entity.columns)} as one text, which no event has.")
            found.append(self._condition(source.key_columns(entity)[0], self._id(looked_up), schema))
        if aggregate.attribute is not None:
            found.append(self._alike(aggregate, aggregate.attribute))
        return found

    def _alike(self, aggregate: Aggregate, attribute: Attribute) -> str:
        """Return the condition that an event's entity has the row's value of *attribute*, or one of its values."""
        value, entity = self.value(attribute), attribute.entity
        if value is None or value == []:
            return "false"
        mine, theirs = repr(value), attribute_sql(attribute)
        same = f"list_has_any({theirs}, {mine})" if attribute.many else f"{theirs} = {mine}"
        relation = self.tables.relations[entity.table or ""]
        alike = f"SELECT {quoted(entity.table_column)} FROM {relation} WHERE {same}"
        return f"{quoted(aggregate.source.key_columns(entity)[0])} IN ({alike})"

    def _by(self, aggregate: Aggregate) -> dict[str, str]:
        found = {e.columns[0]: self._id(e) for e in aggregate.looked_up}
        if aggregate.attribute is not None:
            of = aggregate.attribute
            found[f"{of.entity.name}.{of.column.name}"] = str(self.shown(of))
        return found

    def _id(self, entity: Entity) -> str:
        if entity not in self.ids:
            raise UserError(f"it is keyed by {', '.join(entity.columns)} of the request, which is not logged.")
        return self.ids[entity]

    def _condition(self, column: str, identity: str, schema: pa.Schema) -> str:
        """Return the condition that *column* holds the id, which the log has as text and the table in its own type."""
        if column not in schema.names:
            return "false"
        if not pa.types.is_integer(schema.field(column).type):
            return f"{quoted(column)} = {literal(identity)}"
        number = whole_id(identity)
        return "false" if number is None else f"{quoted(column)} = {number}"


def _columns(rows: pa.Table) -> dict[str, pa.ChunkedArray]:
    return {name: rows[name] for name in rows.column_names}


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _text(value) for name, value in row.items() if value is not None}


def _text(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value
