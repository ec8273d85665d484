"""How rows come into a partition: appends that wait together are written together and share one sync.

Every append puts its payload in line; the first thread that finds no leader becomes it, and writes, syncs and
acknowledges for all who are in line by then. The line is bounded by the number of threads, each of which waits.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from orita.core.clock import Clock, to_micros
from orita.core.files import sync_directory
from orita.events.log.frame import Payload
from orita.events.log.log import Span
from orita.events.log.partition import End, Partition
from orita.events.log.segment import INDEX_BYTES, add_to_index, index_path, segment_path

__all__ = ["Rolling", "Ticket", "Writer"]


@dataclass(frozen=True, slots=True)
class Rolling:
    """When a segment is full: at *bytes*, or *age* after its first row."""

    bytes: int
    age: timedelta


@dataclass(slots=True, eq=False)
class Ticket:
    """An append in line, and what became of it."""

    payload: Payload
    span: Span | None = None
    error: Exception | None = None

    @property
    def done(self) -> bool:
        """Whether it was written or refused."""
        return self.span is not None or self.error is not None


class Writer:
    """Appends to one partition for all threads of a process."""

    def __init__(self, partition: Partition, clock: Clock, rolling: Rolling) -> None:
        self._partition, self._clock, self._rolling = partition, clock, rolling
        self._changed = threading.Condition()
        self._line: list[Ticket] = []
        self._leading = False
        self._file: tuple[int, int] | None = None  # first offset of the segment, and its descriptor

    def enqueue(self, payload: Payload) -> Ticket:
        """Put rows in line; they are written when someone waits."""
        ticket = Ticket(payload)
        with self._changed:
            self._line.append(ticket)
        return ticket

    def wait(self, ticket: Ticket) -> Span:
        """Return where the rows lie once they are durable; the calling thread may write for others.

        Raises:
            OSError: they could not be written; the partition is as it was.
        """
        with self._changed:
            while not ticket.done and self._leading:
                self._changed.wait()
            if not ticket.done:
                self._leading = True
        if not ticket.done:
            self._lead()
        if ticket.error is not None:
            raise ticket.error
        assert ticket.span is not None
        return ticket.span

    def roll(self, end: End) -> End:
        """Begin a new segment; only while the partition is locked."""
        folder = self._partition.folder
        self._let_go()
        for path in (segment_path(folder, end.next), index_path(folder, end.next)):
            # What a writer that was killed here may have left is emptied.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644))
        sync_directory(folder)
        rolled = End(segment=end.next, next=end.next, last_at=end.last_at)
        self._partition.advance(rolled)
        return rolled

    def close(self) -> None:
        """Let the segment go."""
        self._let_go()

    def _lead(self) -> None:
        with self._changed:
            group, self._line = self._line, []
        try:
            with self._partition.locked() as end:
                spans = self._write(group, end)
            for ticket, span in zip(group, spans, strict=True):
                ticket.span = span
        except Exception as error:  # handed to every thread that waits, which raises it
            _refuse(group, error)
        except BaseException:
            _refuse(group, InterruptedError("the thread that wrote for this one was interrupted"))
            raise
        finally:
            with self._changed:
                self._leading = False
                self._changed.notify_all()

    def _write(self, group: Sequence[Ticket], end: End) -> list[Span]:
        end = self._with_room(end)
        now = max(to_micros(self._clock.now()), end.last_at)
        descriptor = self._opened(end.segment)
        position, offset, spans = end.bytes, end.next, []
        try:
            for ticket in group:
                header = ticket.payload.header(offset, now, end.next)
                position = _write_all(descriptor, position, header, ticket.payload.content)
                spans.append(Span(offset, offset + ticket.payload.rows))
                offset += ticket.payload.rows
            indexed = self._index(end)
            os.fdatasync(descriptor)
            began = end.segment_at if end.bytes else now
            self._partition.advance(End(end.segment, position, offset, now, began, indexed))
        except BaseException:
            # Synced, so that a power cut does not bring back what was refused.
            os.ftruncate(descriptor, end.bytes)
            os.fsync(descriptor)
            raise
        return spans

    def _index(self, end: End) -> int:
        if end.bytes - end.indexed < INDEX_BYTES:
            return end.indexed
        add_to_index(self._partition.folder, end.segment, end.next, end.bytes)
        return end.bytes

    def _with_room(self, end: End) -> End:
        path = segment_path(self._partition.folder, end.segment)
        if not end.bytes:
            return end if path.exists() else self.roll(end)
        age = to_micros(self._clock.now()) - end.segment_at
        full = end.bytes >= self._rolling.bytes or age >= self._rolling.age // timedelta(microseconds=1)
        return self.roll(end) if full else end

    def _opened(self, base: int) -> int:
        if self._file is None or self._file[0] != base:
            self._let_go()
            self._file = (base, os.open(segment_path(self._partition.folder, base), os.O_RDWR))
        return self._file[1]

    def _let_go(self) -> None:
        if self._file is not None:
            os.close(self._file[1])
            self._file = None


def _refuse(group: Sequence[Ticket], error: Exception) -> None:
    for ticket in group:
        ticket.error = error


def _write_all(descriptor: int, position: int, *parts: object) -> int:
    """Write *parts* (bytes or Arrow buffers) at *position*, all of them, and return where they end."""
    left = [memoryview(part).cast("B") for part in parts]  # type: ignore[arg-type]
    while left:
        written = os.pwritev(descriptor, left, position)
        position += written
        while left and written >= len(left[0]):
            written -= len(left.pop(0))
        if written:
            left[0] = left[0][written:]
    return position
