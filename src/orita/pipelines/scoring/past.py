"""Features of many rows of the past, a block at a time: events are read once, and every block asks them.

Legend: N rows of a block, F features.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from orita.events.engine import open_engine
from orita.events.lake import Snapshot
from orita.features.batch import Floats, times_of
from orita.features.declarations import Aggregate, Entity, Source
from orita.features.frame import attribute_tables, grouping_attributes, load_events, with_attributes
from orita.features.history import History, feature_values, residual_values
from orita.features.history.asking import asking_rows
from orita.features.history.keyed import AsOf, aggregate_values, batch_of
from orita.features.plan import Plan
from orita.features.schema import FeatureSchema

__all__ = ["Past"]


class Past:
    """What is known of the past, for rows that ask as of their own times.

    `orita.features.history.offline_features` reads all events at each call; here blocks of rows share them, and what
    one block takes is free before the next.

    Args:
        plan: of what is asked for.
        schema: which features, named as *plan* names them.
        snapshots: of the lake tables, by name.
        folder: where tables that are too large for memory spill.
        memory_mb: MiB that reading them may take.
        as_of: whether rows see what was known by their time, or all that had happened.

    Raises:
        UserError: a table has no time, or is not there.
    """

    def __init__(
        self,
        plan: Plan,
        schema: FeatureSchema,
        snapshots: Mapping[str, Snapshot],
        folder: Path,
        memory_mb: int,
        as_of: AsOf,
    ) -> None:
        self._plan, self._schema, self._as_of = plan, schema, as_of
        relations = {name: snapshot.sql for name, snapshot in snapshots.items()}
        self._wanted: dict[Source, list[Aggregate]] = {}
        for aggregate in plan.aggregates:
            self._wanted.setdefault(aggregate.source, []).append(aggregate)
        events: dict[str, pa.Table] = {}
        with open_engine(folder, memory_mb) as connection:
            self._known = attribute_tables(plan, connection, relations)
            for source in self._wanted:
                attributes = grouping_attributes(plan, source)
                key_of = {a.entity: source.key_columns(a.entity)[0] for a in attributes}
                table = load_events(plan, source, connection, relations, unique=True)
                events[source.name] = with_attributes(table, attributes, key_of, self._known)
        self._residuals = residual_values(plan, events, as_of)
        self._batches = {source: batch_of(plan, source, events[source.name]) for source in self._wanted}
        self._begun = self._first_times(events)

    def matrix(self, rows: pa.Table) -> npt.NDArray[np.float32]:
        """Return ``x_NF`` of rows with ids, times and what requests bring, NaN where a value is missing."""
        plan, time = self._plan, self._plan.system.source.schema.time or ""
        key_of = {attribute.entity: attribute.entity.columns[0] for attribute in plan.attributes}
        held = with_attributes(rows, plan.attributes, key_of, self._known)
        asking = asking_rows(held, time, [*plan.entities, *key_of], plan.attributes)
        values: dict[Aggregate, Floats] = {}
        for source, aggregates in self._wanted.items():
            batch = self._batches[source]
            values.update(aggregate_values(aggregates, batch, self._residuals, asking, self._as_of))
        columns = feature_values(plan, History(asking, values), self._schema)
        x_NF = np.empty((len(rows), len(self._schema)), np.float32)
        for position, name in enumerate(self._schema.names):
            x_NF[:, position] = columns[name]
        return x_NF

    def without_events(self, rows: pa.Table) -> dict[str, int]:
        """Return how many *rows* are of a user, and of an item, of whom nothing had happened before the row's time."""
        at_N = times_of(rows, self._plan.system.source.schema.time or "")
        found = {}
        for what, (column, ids, first_V) in self._begun.items():
            place = pc.index_in(rows[column].cast(ids.type), value_set=ids)
            known_N = np.asarray(pc.is_valid(place).to_numpy())
            first_N = first_V[np.asarray(pc.fill_null(place, 0).to_numpy())] if len(first_V) else at_N
            found[what] = int(len(rows) - np.count_nonzero(known_N & (first_N < at_N)))
        return found

    def _first_times(self, events: Mapping[str, pa.Table]) -> dict[str, tuple[str, pa.Array, npt.NDArray[np.int64]]]:
        """Return of users and items, whose key is one column, the first event: column of rows, ids, their times."""
        system, source = self._plan.system, self._plan.system.source
        table, found = events.get(source.name), {}
        whom: dict[str, Entity] = {"users": system.user, "items": system.item}
        for what, entity in whom.items():
            if table is None or len(entity.columns) > 1 or not len(table):
                continue
            key = source.key_columns(entity)[0]
            told = pa.table({"id": table[key], "at": times_of(table, source.schema.time or "")})
            first = told.group_by("id").aggregate([("at", "min")])
            first = first.filter(pc.is_valid(first["id"]))
            found[what] = (entity.columns[0], first["id"].combine_chunks(), first["at_min"].to_numpy())
        return found
