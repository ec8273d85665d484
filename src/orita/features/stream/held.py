"""Events that are not known yet, held until they are: Arrow beside the state, a thousand events or so in a record.

The workers of one store share what is held, and who has the turn changes it: a worker that finds that another had a
turn in between reads it anew. A record never changes: it is replaced by one of another number, and a list names those
that count, as a store need not find keys by their beginning. Publishing leaves here what is not known at its moment.
Legend: N events.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from orita.core.errors import OritaError
from orita.features.batch import known_times, times_of
from orita.features.declarations import Source
from orita.features.state.layout import RESERVED
from orita.features.stores.store import Change, OnlineStore

__all__ = ["HeldEvents", "Parted", "held_changes", "visible_from"]

_MOST_FUTURE = 100_000
_CHUNK_ROWS = 1_000

Integers = npt.NDArray[np.int64]


def visible_from(table: pa.Table, source: Source) -> Integers:
    """Return the first microsecond as of which each event is seen: its time is past, and it is known."""
    return np.maximum(times_of(table, source.schema.time or "") + 1, known_times(table, source))


def held_changes(source: Source, table: pa.Table, before: int) -> list[Change]:
    """Return what a store that is being filled must change to hold *table* too, beside *before* records."""
    added = _chunks(source, table, before)
    after = before + len(added)
    return [*((chunk.key(source), _written(chunk.table)) for chunk in added), _listed(source, range(after), after)]


@dataclass(frozen=True, slots=True)
class _Chunk:
    """One record: its number, its events, from when each is seen, and the earliest of that."""

    number: int
    table: pa.Table
    from_N: Integers
    first: int

    def key(self, source: Source) -> bytes:
        """Return its key in the store."""
        return _key(source, self.number)


@dataclass(frozen=True, slots=True)
class Parted:
    """Events parted by whether they are seen by now.

    Attributes:
        ready: those that are, None without any.
        changes: what the store must change so that it holds the others.
        held: the others.
        next: the number of the next record.
    """

    ready: pa.Table | None
    changes: Sequence[Change]
    held: tuple[_Chunk, ...]
    next: int


class HeldEvents:
    """The events of one source that are not known yet.

    Args:
        store: where they are kept.
        source: whose.
    """

    def __init__(self, store: OnlineStore, source: Source) -> None:
        self._store, self._source = store, source
        self._chunks: tuple[_Chunk, ...] = ()
        self._next = 0
        self.reload()

    def __len__(self) -> int:
        return sum(len(chunk.from_N) for chunk in self._chunks)

    def reload(self) -> None:
        """Read what the store holds."""
        (raw,) = self._store.get_many([_list_key(self._source)])
        self._next, *numbers = json.loads(raw or b"[0]")
        have = {chunk.number: chunk for chunk in self._chunks}
        missing = [number for number in numbers if number not in have]
        records = self._store.get_many([_key(self._source, number) for number in missing]) if missing else []
        for number, record in zip(missing, records, strict=True):
            if record is not None:  # else another worker counts it meanwhile, and has the turn
                have[number] = _chunk(self._source, number, pa.ipc.open_stream(record).read_all())
        self._chunks = tuple(have[number] for number in numbers if number in have)

    def due(self, now: int) -> int:
        """Return how many of the events are seen as of *now* (microseconds)."""
        return sum(int((chunk.from_N <= now).sum()) for chunk in self._chunks if chunk.first <= now)

    def parted(self, arrived: pa.Table | None, now: int, most: int) -> Parted:
        """Part what is held and what *arrived*; of what was held, little more than *most* are ready at once.

        Raises:
            OritaError: over 100,000 events from the future would be held: a clock is wrong somewhere.
        """
        ready, held, rest = list[pa.Table](), list[_Chunk](), list[pa.Table]()
        for chunk in self._chunks:
            if chunk.first > now or sum(map(len, ready)) >= most:
                held.append(chunk)
                continue
            ripe_N = chunk.from_N <= now
            ready.append(chunk.table.filter(pa.array(ripe_N)))
            rest.append(chunk.table.filter(pa.array(~ripe_N)))
        if arrived is not None and len(arrived):
            ripe_N = visible_from(arrived, self._source) <= now
            ready.append(arrived if ripe_N.all() else arrived.filter(pa.array(ripe_N)))
            rest.append(arrived.filter(pa.array(~ripe_N)))
        added = self._added(held, [table for table in rest if len(table)])
        if added:
            self._refuse_wrong_clocks([*held, *added], now)
        whole = _united(ready) if sum(map(len, ready)) else None
        return Parted(whole, self._changes(held, added), (*held, *added), self._next + len(added))

    def keep(self, parted: Parted) -> None:
        """Do in memory what `parted` said, once the store has done it."""
        self._chunks, self._next = parted.held, parted.next

    def _added(self, held: list[_Chunk], tables: list[pa.Table]) -> list[_Chunk]:
        """Return new records of *tables*, together with a small one, which leaves *held*."""
        if not tables:
            return []
        if held and len(held[-1].table) + sum(map(len, tables)) <= _CHUNK_ROWS:
            tables = [held.pop().table, *tables]
        return _chunks(self._source, _united(tables), self._next)

    def _changes(self, held: Sequence[_Chunk], added: Sequence[_Chunk]) -> list[Change]:
        kept = {chunk.number for chunk in held}
        gone: list[Change] = [(c.key(self._source), None) for c in self._chunks if c.number not in kept]
        new = [(chunk.key(self._source), _written(chunk.table)) for chunk in added]
        if not gone and not new:
            return []
        numbers = [chunk.number for chunk in (*held, *added)]
        return [*gone, *new, _listed(self._source, numbers, self._next + len(added))]

    def _refuse_wrong_clocks(self, held: Sequence[_Chunk], now: int) -> None:
        time = self._source.schema.time or ""
        if sum(len(chunk.table) for chunk in held) <= _MOST_FUTURE:
            return
        if sum(int((times_of(chunk.table, time) > now).sum()) for chunk in held) > _MOST_FUTURE:
            raise OritaError(
                f"over {_MOST_FUTURE} events have a {time!r} in the future: check the clocks of what sends them, and "
                "of this machine. They stay in the event log; nothing is lost."
            )


def _list_key(source: Source) -> bytes:
    return RESERVED + b"h" + source.name.encode() + b"\0"


def _key(source: Source, number: int) -> bytes:
    return _list_key(source) + number.to_bytes(8, "big")


def _listed(source: Source, numbers: Iterable[int], after: int) -> Change:
    """Return what makes the store list the records that count; the next has the number *after*."""
    return _list_key(source), json.dumps([after, *numbers]).encode()


def _chunks(source: Source, table: pa.Table, first: int) -> list[_Chunk]:
    """Return *table* in records numbered from *first* on; those that are seen together lie together."""
    order_N = np.argsort(visible_from(table, source), kind="stable")
    parts = [order_N[at : at + _CHUNK_ROWS] for at in range(0, len(order_N), _CHUNK_ROWS)]
    return [_chunk(source, first + n, table.take(part_N)) for n, part_N in enumerate(parts)]


def _chunk(source: Source, number: int, table: pa.Table) -> _Chunk:
    from_N = visible_from(table, source)
    return _Chunk(number, table, from_N, int(from_N.min()))


def _united(tables: Sequence[pa.Table]) -> pa.Table:
    return pa.concat_tables(map(_open, tables), promote_options="permissive").combine_chunks()


def _open(table: pa.Table) -> pa.Table:
    """Return *table* with columns that have no value yet of no type, as the first value decides the type of ids."""
    for at, column in enumerate(table.columns):
        if column.null_count == len(column):
            table = table.set_column(at, table.field(at).name, pa.nulls(len(column)))
    return table


def _written(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    written: bytes = sink.getvalue().to_pybytes()
    return written
