"""What users did, as it becomes known: events with a positive value of some columns, from the log and the lake table.

Legend: N events, K outcomes, C columns.

The event log has what was pushed, the table also what was ingested; an event that both have counts once, as an item of
an answer either had an outcome or had none, and of what happened to one item at one time the value counts once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import structlog
from pyarrow.dataset import dataset, field

from orita.core.clock import to_micros
from orita.core.errors import closest
from orita.core.home import Home
from orita.delivery.rollouts.hashing import hash_of
from orita.events.lake import Lake
from orita.events.log.log import EventLog, OffsetRetired

__all__ = ["EventNames", "Outcomes", "OutcomesSince"]

_log = structlog.stdlib.get_logger("orita.rollouts")

_MOST_ROWS = 50_000
_MOST_VALUE = 1e100  # its square, summed up over users, is a number still
_CLOCKS = timedelta(seconds=60)

Hashes = npt.NDArray[np.uint64]
Micros = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class EventNames:
    """What the columns of a system's events are called.

    Attributes:
        stream: the stream and table of the events.
        user, item, time: columns.
        request: column with the id of the answer that showed the item.
        ingested: column of the table that says when an event became known; where that is null, or there is no such
            column (None), the event became known when the table got it.
    """

    stream: str = "interactions"
    user: str = "user_id"
    item: str = "item_id"
    time: str = "timestamp"
    request: str = "request_id"
    ingested: str | None = "ingested_at"


@dataclass(frozen=True, slots=True, eq=False)
class Outcomes:
    """Outcomes: events of which a column is positive.

    Attributes:
        key_K: hash of request and item; of user and item where the event names no request.
        named_K: whether it names the request.
        at_K: when it happened, microseconds since the Unix epoch.
        known_K: when it became known, likewise.
        value_KC: what each column says, 0 where it has nothing, or less than that.
    """

    key_K: Hashes
    named_K: npt.NDArray[np.bool_]
    at_K: Micros
    known_K: Micros
    value_KC: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.key_K)

    def where(self, wanted_K: npt.NDArray[np.bool_]) -> Outcomes:
        """Return those that are wanted."""
        return Outcomes(**{each.name: getattr(self, each.name)[wanted_K] for each in fields(self)})

    @classmethod
    def joined(cls, parts: Sequence[Outcomes]) -> Outcomes:
        """Return all of them, of one part or more."""
        return cls(**{each.name: np.concatenate([getattr(part, each.name) for part in parts]) for each in fields(cls)})


class OutcomesSince:
    """Reads the outcomes of some columns in one pass, each at least once.

    Args:
        home: whose lake.
        log: the event log.
        columns: such as ``click``, each once.
        since: what happened earlier is left out.
        names: of the columns of events.

    Attributes:
        unknown: by column that no event had so far, why nothing of it is counted.
    """

    def __init__(
        self, home: Home, log: EventLog, columns: Sequence[str], since: datetime, names: EventNames | None = None
    ) -> None:
        self._names = names or EventNames()
        self._lake, self._log, self._columns = Lake(home), log, tuple(columns)
        self._since = to_micros(since)
        self._next: dict[int, int] = {}
        self._files: set[str] = set()
        self._told: set[str] = set()
        self._seen: set[str] = set()
        self.unknown: dict[str, str] = {}

    def new(self, until: int) -> Iterator[Outcomes]:
        """Yield what became known since the last time and before *until*, in microseconds; some of later too.

        A column that no event has is told once, and has no outcomes: other checks go on.
        """
        yield from self._of_table()
        yield from self._of_log(until)

    def _of_log(self, until: int) -> Iterator[Outcomes]:
        stream = self._names.stream
        if stream not in self._log.streams():
            return
        for partition in range(self._log.partitions(stream)):
            place = self._next.get(partition)
            if place is None:
                place = self._first(partition)
            while True:
                try:
                    batch = self._log.read(stream, partition, place, _MOST_ROWS)
                except OffsetRetired as retired:  # the table has what was let go
                    place = retired.first
                    continue
                self._next[partition] = place = batch.next
                if not len(batch.appended_at_N):
                    break
                yield self._outcomes(pa.Table.from_batches([batch.rows]), batch.appended_at_N)
                if batch.appended_at_N[-1] >= until:
                    break

    def _first(self, partition: int) -> int:
        """Return an offset before which everything became known before the rollout began."""
        stream = self._names.stream
        low, high = self._log.start(stream, partition), self._log.end(stream, partition)
        while low < high:
            middle = (low + high) // 2
            found = self._log.read(stream, partition, middle, 1).appended_at_N
            low, high = (middle + 1, high) if len(found) and found[0] < self._since else (low, middle)
        return low

    def _of_table(self) -> Iterator[Outcomes]:
        names = self._names
        if not self._lake.exists(names.stream):
            return
        new = [file for file in self._lake.snapshot(names.stream).files if file not in self._files]
        written = self._lake.written(names.stream) if new else {}
        for file in new:
            self._files.add(file)
            if Path(file).stat().st_mtime < self._since / 1e6 - _CLOCKS.total_seconds():
                continue  # written before the rollout began
            at = written.get(file)
            yield from self._of_file(file, 0 if at is None else to_micros(at))

    def _of_file(self, path: str, written: int) -> Iterator[Outcomes]:
        """Yield the outcomes of a file of the table; what does not say when it became known did when it was written."""
        names, rows = self._names, dataset(path)
        wanted = (names.user, names.item, names.time, names.request, names.ingested, *self._columns)
        columns = [name for name in wanted if name is not None and name in rows.schema.names]
        since = field(names.time) >= pa.scalar(self._since, pa.timestamp("us", tz="UTC"))
        for batch in rows.to_batches(columns=columns, filter=since, batch_size=_MOST_ROWS):
            table = pa.Table.from_batches([batch])
            known_N = np.full(len(table), written, np.int64)
            if names.ingested is not None and names.ingested in columns:
                told_N = _micros(table[names.ingested])
                known_N = np.where(told_N == 0, known_N, told_N)
            yield self._outcomes(table, known_N)

    def _outcomes(self, rows: pa.Table, known_N: Micros) -> Outcomes:
        names = self._names
        value_NC = np.zeros((len(rows), len(self._columns)))
        for place, column in enumerate(self._columns):
            if column not in rows.column_names:
                self._tell_unknown(column, rows)
                continue
            self._seen.add(column)
            self.unknown.pop(column, None)
            values = pc.fill_null(pc.cast(rows[column], pa.float64()), 0.0).to_numpy()
            value_NC[:, place] = np.where(np.isfinite(values), np.clip(values, 0.0, _MOST_VALUE), 0.0)
        positive_N = (value_NC > 0).any(axis=1)
        rows, known_K = rows.filter(pa.array(positive_N)), known_N[positive_N]
        requests: list[str | None] = [None] * len(rows)
        if names.request in rows.column_names:
            requests = pc.cast(rows[names.request], pa.string()).to_pylist()
        users, items = (pc.cast(rows[name], pa.string()).to_pylist() for name in (names.user, names.item))
        keys = [
            hash_of(user or "", item or "", "") if request is None else hash_of(request, item or "")
            for request, user, item in zip(requests, users, items, strict=True)
        ]
        named_K = np.array([request is not None for request in requests], bool)
        found = Outcomes(np.array(keys, np.uint64), named_K, _micros(rows[names.time]), known_K, value_NC[positive_N])
        return found.where(found.at_K >= self._since)

    def _tell_unknown(self, column: str, rows: pa.Table) -> None:
        """Tell of a column that no event of the stream ever had, the log once."""
        if column in self._seen:
            return
        known = set(rows.column_names)
        if self._names.stream in self._log.streams():
            known |= set(self._log.schema(self._names.stream).names)
        if column in known:
            return
        self.unknown[column] = closest(column, sorted(known))
        if column not in self._told:
            self._told.add(column)
            _log.warning("metric_unknown", metric=column, stream=self._names.stream, reason=self.unknown[column])


def _micros(column: pa.ChunkedArray) -> Micros:
    """Return times as microseconds since the Unix epoch; text is ISO 8601, UTC where it has no offset."""
    if pa.types.is_timestamp(column.type):
        micros = column.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())
        return np.asarray(pc.fill_null(micros, 0).to_numpy(), np.int64)
    return np.array([to_micros(datetime.fromisoformat(text)) if text else 0 for text in column.to_pylist()], np.int64)
