"""The feature store of one system: read features of the past, read those of now, push events.

store = FeatureStore(home, feed)
store.get_offline_features([{"user_id": 1, "item_id": 7, "timestamp": "2024-11-15T10:30:00Z"}])
store.get_online_features(1, [7, 8], context={"device": "mobile"})
store.push_features([{"interaction_id": "…", "user_id": 1, "item_id": 7, "timestamp": "…", "click": 1}])
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from orita.core.clock import Clock, SystemClock, to_micros
from orita.core.errors import NotFound, UserError, closest
from orita.core.home import Home
from orita.events.arriving import event_table
from orita.events.config import ValidationConfig
from orita.events.engine import open_engine
from orita.events.id_types import logged_id_types, stored_id_types
from orita.events.lake import Lake
from orita.events.log.embedded import EmbeddedLog
from orita.events.log.log import Appended, EventLog
from orita.events.schema import TableSchema
from orita.features.api.asked import asked_rows
from orita.features.api.relations import system_tables
from orita.features.api.undecided_ids import decided_ids
from orita.features.declarations import Source
from orita.features.declaring.parts import context_in
from orita.features.generations.folder import FolderGenerations
from orita.features.generations.generations import Generations
from orita.features.online.following import OnlineFeatures
from orita.features.online.keys import Id
from orita.features.online.reader import OnlineReader
from orita.features.plan import plan_of
from orita.features.schema import FeatureSchema
from orita.features.state.id_kinds import alike_columns
from orita.features.system import System

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

__all__ = ["FeatureStore", "Rows"]

Rows: TypeAlias = pa.Table | Iterable[Mapping[str, object]]
"""An Arrow table, or a row a mapping."""

_PARTITIONS = 4
_MOST_READERS = 64
_MEMORY_MB = 2048


class FeatureStore:
    """The features of one system, offline and online; threads may share it.

    Args:
        home: where tables, log and online state are.
        system: the declarations.
        log: where pushed events go, by default the embedded log of *home*.
        partitions: of a stream that is made.
        generations: of the online state, by default those in *home*; closed with the store.
        online: what reads the online state, where this process has it open already; by default a new one.
        memory_mb: MiB that a request for features of the past may take for tables; the rest goes to disk.
        validation: how strictly pushed events are judged; their times are ISO 8601, however files write theirs.
        clock: tells the present.
    """

    def __init__(
        self,
        home: Home,
        system: System,
        *,
        log: EventLog | None = None,
        partitions: int = _PARTITIONS,
        generations: Generations | None = None,
        online: OnlineFeatures | None = None,
        memory_mb: int = _MEMORY_MB,
        validation: ValidationConfig | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.home, self.system = home, system
        self.log: EventLog = log or EmbeddedLog(home, clock)
        self._clock = clock or SystemClock()
        self._plan = plan_of(system)
        self._online = online or OnlineFeatures(self._plan, generations or FolderGenerations(home.online / system.name))
        self._owns_online = online is None
        self._memory_mb, self._partitions = memory_mb, partitions
        self.validation = (validation or ValidationConfig()).model_copy(update={"timestamps": "iso"})
        self._readers: dict[tuple[str, ...] | None, OnlineReader] = {}
        self._opening = threading.Lock()
        self._sources = {record.source.name: record.source for record in self._plan.records}
        self.alike = alike_columns(self._plan)
        self._sources[system.source.name] = system.source
        self._context = self._context_columns()

    def get_offline_features(
        self,
        rows: Rows,
        features: Sequence[str] | None = None,
        *,
        as_of: Literal["known", "event"] = "known",
        spark: SparkSession | None = None,
    ) -> pa.Table:
        """Return *rows* with the features of each as of its own time; not one row lost or added, in their order.

        Args:
            rows: the columns of the keys, the source's time column, and what requests bring (such as ``device``).
            features: names, by default all.
            as_of: ``known``, from what was known at the row's time; ``event``, from what had happened by then.
            spark: a session whose workers compute them; None: this process does. Both give the same.

        Raises:
            UserError: a row lacks its time, a column has another type than the events have, or the name of a feature.
            NotFound: a feature is not declared.
        """
        schema = self.system.schema(features)
        tables = system_tables(Lake(self.home), self.system)
        asked = asked_rows(self._plan, tables.snapshots, rows)
        taken = [name for name in schema.names if name in asked.column_names and name not in self._plan_columns]
        if taken:
            raise UserError(f"rows have a column {taken[0]!r}, which is the name of a feature: leave it out.")
        if spark is not None:
            from orita.features.spark import features_of_rows  # an optional part

            return features_of_rows(self._plan, spark, tables.snapshots, asked, schema, as_of)
        from orita.features.history import offline_features  # compiles, which the other calls do without

        with open_engine(self.home.staging, self._memory_mb) as connection:
            return offline_features(self._plan, connection, tables.relations, asked, schema, as_of, unique=True)

    def get_online_features(
        self,
        user_id: Id,
        item_ids: Sequence[Id],
        *,
        context: Mapping[str, object] | None = None,
        features: Sequence[str] | None = None,
        at: int | None = None,
    ) -> pa.Table:
        """Return the features of a user and items as of now, a row an item, in the order of *item_ids*.

        Args:
            user_id, item_ids: whom, and of what: whole numbers or texts; of a key of several columns, a tuple or list.
            context: what the request brings, such as ``device``, and the ids of other entities.
            features: names, by default all.
            at: microseconds since the Unix epoch, later than every event seen of the keys; None: now.

        Raises:
            UserError: nothing was published yet, an id is none, or *at* is not later than what was seen.
            NotFound: a feature, or a column of the context, is not declared.
        """
        for name in context or ():
            if name not in self._context:
                raise NotFound(self._not_read(name))
        reader = self._reader(None if features is None else tuple(features))
        at = self.now() if at is None else at
        x_NF = reader.matrix(user_id, item_ids, context or {}, at)
        return pa.table({**self._online.current().item_columns(item_ids), **_feature_columns(reader.schema, x_NF)})

    def push_features(
        self, events: Rows, source: str | None = None, *, id_types: Mapping[str, pa.DataType] | None = None
    ) -> Appended:
        """Append events to the log; they are durable on return, and in the features once the stream has taken them.

        An event that is pushed again, with the same id, counts once.

        Args:
            events: rows of the source.
            source: its name, by default that of the system.
            id_types: by column, int64 or string, the type of ids of which neither the lake nor the log has any yet; by
                default what these events suggest.

        Raises:
            UserError: a row is not sound; nothing was taken.
            NotFound: the system reads no such source.
        """
        stream = self.source(source)
        types = {**(id_types or {}), **self.id_types(stream.schema)}
        rows = event_table(stream.schema, events, types, self.validation, self.now())
        rows = decided_ids(stream.schema, rows, types, self.alike)
        if not len(rows):
            return {}
        self.open_streams()
        return self.log.append(stream.name, rows, key=self._partition_key(stream))

    def source(self, name: str | None = None) -> Source:
        """Return a source of the system, by default the one that it learns from.

        Raises:
            NotFound: the system reads no such source.
        """
        name = name or self.system.source.name
        if name not in self._sources:
            raise NotFound(f"system {self.system.name!r} reads no source {name!r}. {closest(name, self._sources)}")
        return self._sources[name]

    def now(self) -> int:
        """Return the present, in microseconds since the Unix epoch."""
        return to_micros(self._clock.now())

    def id_types(self, schema: TableSchema) -> dict[str, pa.DataType]:
        """Return the type of each id of a table that is decided: the lake's, whatever table has it, else the log's.

        Columns with ids of one kind have one type: a giver's are those of users.
        """
        ids = {column.name for column in schema.columns if column.type == "id"}
        found = stored_id_types(Lake(self.home), ids, first=schema.name)
        if ids <= set(found):
            return found
        found = {**logged_id_types(self.log, ids - set(found)), **found}
        if lacking := {other for name in ids - set(found) for other in self.alike.get(name, ())} - set(found):
            found = {**logged_id_types(self.log, lacking), **stored_id_types(Lake(self.home), lacking), **found}
        typed = {name: next((found[n] for n in (name, *self.alike.get(name, ())) if n in found), None) for name in ids}
        return {name: kind for name, kind in typed.items() if kind is not None}

    def open_streams(self) -> None:
        """Make the streams of the system's sources, where they are not there yet."""
        for name in self._sources:
            if name not in self.log.streams():
                self.log.create(name, self._partitions)

    def close(self) -> None:
        """Let the log go, and the online state unless it was given: a process has it open once."""
        self.log.close()
        self._readers.clear()
        if self._owns_online:
            self._online.close()

    def _not_read(self, name: str) -> str:
        if not self._context:
            return f"context {name!r} is read by no feature: none of {self.system.name!r} reads any; leave it out."
        return f"context {name!r} is read by no feature. {closest(name, self._context)}"

    def _reader(self, names: tuple[str, ...] | None) -> OnlineReader:
        with self._opening:
            self._online.refresh()
            reader = self._readers.get(names)
            if reader is None:
                if len(self._readers) >= _MOST_READERS:
                    del self._readers[next(iter(self._readers))]
                reader = self._readers[names] = self._online.reader(self.system.schema(names))
            return reader

    @property
    def _plan_columns(self) -> set[str]:
        """The columns of rows that are not features, whatever features are called."""
        keys = {column for entity in self._plan.entities for column in entity.columns}
        return {self.system.source.schema.time or "", *keys, *self._context}

    def _context_columns(self) -> frozenset[str]:
        """Return what requests may bring: columns that features read, and the ids of further entities."""
        others = {e for e in self._plan.entities if e not in (self.system.user, self.system.item)}
        read = {name for expression in self.system.kept.values() for name in context_in(expression)}
        return frozenset(read | {column for entity in others for column in entity.columns})

    def _partition_key(self, source: Source) -> tuple[str, ...]:
        for entity in (self.system.user, self.system.item):
            try:
                return source.key_columns(entity)
            except UserError:
                continue
        return (source.schema.key,)


def _feature_columns(schema: FeatureSchema, x_NF: npt.NDArray[np.float32]) -> dict[str, pa.Array]:
    """Return the columns of a matrix in their declared types, null where missing."""
    return {
        column.name: pa.array(x_NF[:, f], from_pandas=True).cast(pa.type_for_alias(column.arrow))
        for f, column in enumerate(schema.columns)
    }
