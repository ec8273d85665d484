"""The stream engine: takes events from the log, in turns with other workers, and counts each once in the online store.

What it read, what it remembers and how far it came are changed in one transaction of the store, which begins where the
store says it stands: a worker that was killed goes on there, and one that was taken for dead changes nothing. Workers
of different partitions share keys (items, in a log parted by user), so they take turns by an offset of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from orita.core.clock import Clock, SystemClock, to_micros
from orita.core.errors import UserError
from orita.events.log.columns import united
from orita.events.log.log import Batch, Consumer, EventLog, Position
from orita.features.arriving import arrived
from orita.features.batch import event_batch, identities
from orita.features.declarations import Residual, Source
from orita.features.frame import grouping_attributes
from orita.features.plan import Plan
from orita.features.state.attributes import with_attributes
from orita.features.state.layout import RESERVED
from orita.features.state.update import state_changes
from orita.features.stores.store import Change, OnlineStore
from orita.features.stream.held import HeldEvents
from orita.features.stream.recent_ids import RecentIds

__all__ = ["DEDUPLICATED", "Progressed", "StreamWorker", "offset_name", "refuse_batch_only"]

Integers = npt.NDArray[np.int64]

DEDUPLICATED = 100_000
"""Offsets of a partition within which the same event id counts once."""

_TURN = "turn"
_IDS, _HELD = RESERVED + b"i", RESERVED + b"h"


@dataclass(frozen=True, slots=True)
class Progressed:
    """What one step did.

    Attributes:
        counted: events that are in the state now.
        duplicates: events passed over, as one of their id came before.
        unsound: events passed over, as a value breaks a rule; the lake's sink keeps them in quarantine.
        held: events from the future that wait.
    """

    counted: int = 0
    duplicates: int = 0
    unsound: int = 0
    held: int = 0


@dataclass(frozen=True, slots=True)
class _Partition:
    """New rows of one partition, with what it remembers; *sound* rows there were, duplicates among them."""

    name: str
    first: int
    next: int
    ids: RecentIds
    id_N: Integers
    offset_N: Integers
    rows: pa.Table
    sound: int


def offset_name(source: Source, partition: int) -> str:
    """Return the name under which a store keeps how far it has come in a partition of a source's stream."""
    return f"{source.name}/{partition}"


def refuse_batch_only(plan: Plan) -> None:
    """Refuse what a stream cannot keep.

    Raises:
        UserError: a feature needs what other keys had at the time of each event.
    """
    for name, expression in plan.system.declared.items():
        if isinstance(getattr(expression, "value", None), Residual):
            raise UserError(
                f"feature {name!r} is of residuals, which the stream engine does not keep: publish it by "
                "'orita run etl', or leave it out of what is streamed."
            )


class StreamWorker:
    """Keeps the state of one store up with the event log.

    Args:
        plan: what to keep.
        log: where events are; a stream a source, of the source's name.
        store: where state is; its offsets say where to go on.
        group: workers of one group share the partitions; one group a store.
        clock: tells which events lie in the future.
        most_rows: events taken in one transaction.
        horizon: offsets within which an event id counts once.
        id_types: by column, int64 or string, where the state's ids have a type already.
    """

    def __init__(
        self,
        plan: Plan,
        log: EventLog,
        store: OnlineStore,
        group: str,
        *,
        clock: Clock | None = None,
        most_rows: int = 20_000,
        horizon: int = DEDUPLICATED,
        id_types: Mapping[str, pa.DataType] | None = None,
    ) -> None:
        refuse_batch_only(plan)
        self._plan, self._log, self._store, self._group = plan, log, store, group
        self._clock, self._most_rows, self._horizon = clock or SystemClock(), most_rows, horizon
        self._id_types = dict(id_types or {})
        self._sources = {record.source.name: record.source for record in plan.records}
        self._consumers: dict[str, Consumer] = {}
        self._ids: dict[str, RecentIds] = {}
        self._held: dict[str, HeldEvents] = {}
        self._rejoin()

    def step(self, wait_seconds: float = 0.0) -> Progressed:
        """Take what has arrived, wait up to *wait_seconds* where nothing has, and count it.

        Raises:
            OffsetRetired: the log no longer has what comes next: publish anew from the lake.
        """
        turn = self._store.offset(_TURN) or 0
        taken = {name: self._poll(name, wait_seconds / len(self._consumers)) for name in list(self._consumers)}
        now = to_micros(self._clock.now())
        if not any(taken.values()) and not any(held.due(now) for held in self._held.values()):
            return Progressed(held=self._waiting())
        return self._apply(taken, turn, now)

    def close(self) -> None:
        """Leave the group; what was not counted is read again by the next worker."""
        for consumer in self._consumers.values():
            consumer.commit()  # for who watches the group: a worker begins where the store stands
            consumer.close()
        self._consumers.clear()

    def _apply(self, taken: Mapping[str, Sequence[_Partition]], turn: int, now: int) -> Progressed:
        while True:
            changes, held, counted = self._changes(taken, now)
            moves = {p.name: (p.first, p.next) for parts in taken.values() for p in parts}
            if self._store.apply(_TURN, turn, turn + 1, changes, also=moves):
                break
            turn = self._store.offset(_TURN) or 0
            if any((self._store.offset(name) or 0) != first for name, (first, _) in moves.items()):
                self._rejoin()  # another worker has counted these
                return Progressed(held=self._waiting())
        for name, parts in taken.items():
            for p in parts:
                p.ids.remember(p.id_N, p.offset_N, p.next)
            self._held[name].table = held[name]
        every = [p for parts in taken.values() for p in parts]
        duplicates = sum(p.sound - len(p.id_N) for p in every)
        unsound = sum(p.next - p.first - p.sound for p in every)
        return Progressed(sum(counted), duplicates, unsound, self._waiting())

    def _changes(
        self, taken: Mapping[str, Sequence[_Partition]], now: int
    ) -> tuple[list[Change], dict[str, pa.Table | None], list[int]]:
        """Return what the store must change, what stays held by source, and how many events count by source."""
        changes: list[Change] = []
        held: dict[str, pa.Table | None] = {}
        events = []
        for name, parts in taken.items():
            source = self._sources[name]
            arrived = pa.concat_tables([p.rows for p in parts], promote_options="permissive") if parts else None
            ready, held[name] = self._held[name].parted(arrived, now)
            changes += self._held[name].change(held[name])
            for p in parts:
                changes += p.ids.changes(p.id_N, p.offset_N, p.next)
            if ready is not None:
                told = with_attributes(self._plan, source, ready, self._store.get_many)
                grouped_by = grouping_attributes(self._plan, source)
                events.append(event_batch(source, told, self._plan.aggregates, grouped_by))
        changes += state_changes(self._plan, self._store.get_many, events)
        return changes, held, [len(batch) for batch in events]

    def _poll(self, name: str, wait_seconds: float) -> list[_Partition]:
        """Return what has arrived of a source, by partition; a poll brings one append of each, so there are several."""
        found: dict[int, list[Batch]] = {}
        missing = self._most_rows
        while missing > 0 and (batches := self._consumers[name].poll(missing, wait_seconds)):
            wait_seconds = 0.0
            for batch in batches:
                before = found.setdefault(batch.partition, [])
                if before and before[-1].next != batch.first:  # it was another worker's in between
                    self._rejoin()
                    return []
                before.append(batch)
                missing -= batch.rows.num_rows
        return [self._opened(self._sources[name], batches) for batches in found.values()]

    def _opened(self, source: Source, batches: Sequence[Batch]) -> _Partition:
        """Return the rows of batches that follow on each other, those whose ids are new."""
        first, end, partition = batches[0].first, batches[-1].next, batches[0].partition
        name = offset_name(source, partition)
        if name not in self._ids:
            self._ids[name] = self._remembered(source, partition, first)
        ids = self._ids[name]
        whole = pa.Table.from_batches([united([batch.rows for batch in batches])])
        found = arrived(source.schema, whole, self._id_types)
        offset_N = np.arange(first, end)[found.sound_N]
        rows = found.sound
        id_N, _ = identities(rows[source.schema.key])
        unseen_N = ids.unseen(id_N, offset_N)
        new = rows if unseen_N.all() else rows.filter(pa.array(unseen_N))
        return _Partition(name, first, end, ids, id_N[unseen_N], offset_N[unseen_N], new, len(rows))

    def _remembered(self, source: Source, partition: int, first: int) -> RecentIds:
        """Return the ids of a partition's last events; those that came before the store was filled are in the log."""
        name, key = offset_name(source, partition), source.schema.key
        ids = RecentIds(self._store, _IDS + name.encode() + b"\0", self._horizon)
        at = max(first - self._horizon, self._log.start(source.name, partition)) if ids.empty else first
        while at < first:
            read = self._log.read(source.name, partition, at, min(self._most_rows, first - at))
            if key in read.rows.schema.names:
                id_N, known_N = identities(pa.Table.from_batches([read.rows])[key])
                ids.recall(id_N[known_N], np.arange(at, read.next)[known_N])
            at = read.next
        return ids

    def _waiting(self) -> int:
        return sum(len(held.table) for held in self._held.values() if held.table is not None)

    def _rejoin(self) -> None:
        """Begin where the store stands, with what it remembers."""
        self.close()
        self._ids.clear()
        for name, source in self._sources.items():
            self._held[name] = HeldEvents(self._store, _HELD + name.encode(), source.schema.time or "")
            self._consumers[name] = self._log.consumer(name, self._group, position=self._position(source))

    def _position(self, source: Source) -> Position:
        return lambda partition: self._store.offset(offset_name(source, partition)) or 0
