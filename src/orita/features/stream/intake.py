"""What a worker takes from the log: the new events of one source, those whose ids came before left out.

Legend: N events.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from orita.events.arriving import Arrived, arrived
from orita.events.config import ValidationConfig
from orita.events.log.columns import united
from orita.events.log.log import Batch, EventLog
from orita.features.batch import identities
from orita.features.declarations import Source
from orita.features.stores.store import Change, OnlineStore
from orita.features.stream.filled_ids import FilledIds
from orita.features.stream.recent_ids import RecentIds

__all__ = ["Intake", "Overtaken", "Stretch", "Taken", "offset_name"]

Integers = npt.NDArray[np.int64]

_IDS = b"i"


@dataclass(frozen=True, slots=True)
class Stretch:
    """What was taken of one partition.

    Attributes:
        name: under which the store keeps how far it has come there.
        first, next: its first offset, and the one after its last.
        new: how many of its sound events count, as their ids are new.
        ids: which ids the partition had before.
        id_N, offset_N: of the sound events.
    """

    name: str
    first: int
    next: int
    new: int
    ids: RecentIds
    id_N: Integers
    offset_N: Integers


@dataclass(frozen=True, slots=True)
class Taken:
    """New events of one source, of all partitions that brought some.

    Attributes:
        rows: the events, typed.
        stretches: where they were, a partition each.
    """

    rows: pa.Table
    stretches: tuple[Stretch, ...]


class Overtaken(Exception):
    """Another worker had a partition in between."""


def offset_name(source: Source, partition: int) -> str:
    """Return the name under which a store keeps how far it has come in a partition of a source's stream."""
    return f"{source.name}/{partition}"


class Intake:
    """Takes the events of one source, from where the store stands.

    Args:
        source: which; its stream has its name.
        log: where events are.
        store: where state is; its offsets say where to go on.
        group: workers of one group share the partitions.
        prefix: of the keys under which the store remembers ids.
        horizon: offsets within which an event id counts once.
        id_types: by column, int64 or string, where the state's ids have a type already.
        validation: how strictly events are judged.
    """

    def __init__(
        self,
        source: Source,
        log: EventLog,
        store: OnlineStore,
        group: str,
        *,
        prefix: bytes,
        horizon: int,
        id_types: Mapping[str, pa.DataType],
        validation: ValidationConfig | None = None,
    ) -> None:
        self._source, self._log, self._store = source, log, store
        self._validation = validation or ValidationConfig()
        self._prefix, self._horizon, self._id_types = prefix + _IDS, horizon, id_types
        self._ids: dict[int, RecentIds] = {}
        self._filled, self._forgets = FilledIds(store, source, horizon), False
        self._consumer = log.consumer(
            source.name, group, position=lambda partition: store.offset(offset_name(source, partition)) or 0
        )

    def take(self, most_rows: int, wait_seconds: float) -> Taken | None:
        """Return what has arrived, None where nothing has; a poll brings one append of each partition, so poll on.

        Raises:
            Overtaken: another worker had some of these partitions in between.
        """
        found: dict[int, list[Batch]] = {}
        missing = most_rows
        while missing > 0 and (batches := self._consumer.poll(missing, wait_seconds)):
            wait_seconds = 0.0
            for batch in batches:
                before = found.setdefault(batch.partition, [])
                if before and before[-1].next != batch.first:
                    raise Overtaken
                before.append(batch)
                missing -= batch.rows.num_rows
        return self._judged(found) if found else None

    def changes(self, taken: Taken) -> list[Change]:
        """Return what the store must change to remember what was *taken*, and to forget what is too old."""
        changes = [c for each in taken.stretches for c in each.ids.changes(each.id_N, each.offset_N, each.next)]
        self._forgets = self._filled.is_stale({each.name: each.next for each in taken.stretches}, self._positions)
        return [*changes, *self._filled.forgotten()] if self._forgets else changes

    def remember(self, taken: Taken) -> None:
        """Do in memory what `changes` said, once the store has done it."""
        for each in taken.stretches:
            each.ids.remember(each.id_N, each.offset_N, each.next)
        if self._forgets:
            self._filled.forget()

    def close(self, *, counted: bool) -> None:
        """Leave the group; *counted*: all that was taken is in the store, which who watches the group may know."""
        if counted:
            self._consumer.commit()  # a worker begins where the store stands, whatever is committed
        self._consumer.close()

    def _judged(self, found: Mapping[int, Sequence[Batch]]) -> Taken:
        """Return the sound rows of batches that follow on each other, those whose ids are new."""
        judged = self._sound([batch for batches in found.values() for batch in batches])
        id_N, _ = identities(judged.table[self._source.schema.key])
        new_N = np.zeros(len(judged.table), np.bool_)
        stretches, start = [], 0
        for partition, batches in found.items():
            first, end = batches[0].first, batches[-1].next
            rows = slice(start, start + end - first)
            stretches.append(self._stretch(partition, first, end, judged.sound_N[rows], id_N[rows], new_N[rows]))
            start = rows.stop
        return Taken(judged.table if new_N.all() else judged.table.filter(pa.array(new_N)), tuple(stretches))

    def _stretch(
        self, partition: int, first: int, end: int, sound_N: npt.NDArray[np.bool_], id_N: Integers,
        new_N: npt.NDArray[np.bool_],
    ) -> Stretch:  # fmt: skip
        """Return a partition's stretch, and set *new_N* where an event is sound and its id is new."""
        ids = self._ids.get(partition)
        if ids is None or ids.end != first:  # another worker had the partition in between
            ids = self._ids[partition] = self._remembered(partition, first)
        sound_S = np.flatnonzero(sound_N)
        offset_S, id_S = first + sound_S, id_N[sound_S]
        name = offset_name(self._source, partition)
        unseen_S = ~self._filled.repeated(name, id_S, offset_S)
        unseen_S &= ids.unseen(id_S, offset_S)
        new_N[sound_S[unseen_S]] = True
        return Stretch(name, first, end, int(unseen_S.sum()), ids, id_S, offset_S)

    def _remembered(self, partition: int, first: int) -> RecentIds:
        """Return the ids of a partition's last events before *first*.

        Those that came before the first that the store remembers, as state was filled with them, are in the log.
        """
        name = offset_name(self._source, partition)
        ids = RecentIds(self._store, self._prefix + name.encode() + b"\0", self._horizon, first)
        until = first if ids.oldest is None else min(first, ids.oldest)
        at = max(first - self._horizon, self._log.start(self._source.name, partition))
        known = [np.empty((2, 0), np.int64)]
        while at < until:
            read = self._log.read(self._source.name, partition, at, until - at)
            judged = self._sound([read])
            id_N, _ = identities(judged.table[self._source.schema.key])
            known.append(np.stack([id_N, np.arange(at, read.next)])[:, judged.sound_N])
            at = read.next
        id_N, offset_N = np.concatenate(known, axis=1)
        ids.recall(id_N, offset_N)
        return ids

    def _sound(self, batches: Sequence[Batch]) -> Arrived:
        """Judge rows of the log as of when it took them, so that every reader of it finds the same ones sound."""
        rows = pa.Table.from_batches([united([batch.rows for batch in batches])])
        came_N = np.concatenate([batch.appended_at_N for batch in batches])
        return arrived(self._source.schema, rows, self._id_types, self._validation, came_N)

    def _positions(self) -> dict[str, int]:
        """Return where the state stands in every partition."""
        names = [offset_name(self._source, partition) for partition in range(self._log.partitions(self._source.name))]
        return {name: self._store.offset(name) or 0 for name in names}
