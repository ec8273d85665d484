"""The consumer of the embedded log: a member of a group that reads what it holds, in turns."""

from __future__ import annotations

import time
from types import TracebackType

from orita.core.errors import UserError
from orita.events.log.groups import Membership
from orita.events.log.log import Batch, EventLog, Position

__all__ = ["EmbeddedConsumer"]

_SHARE_SECONDS = 0.1
_LOOK_SECONDS = 0.002


class EmbeddedConsumer:
    """See `orita.events.log.log.Consumer`; used by one thread."""

    def __init__(
        self, log: EventLog, stream: str, group: str, membership: Membership, position: Position | None
    ) -> None:
        self._log, self._stream, self._group = log, stream, group
        self._membership, self._position = membership, position
        self._next: dict[int, int] = {}
        self._turn = 0
        # Waiting is of this process, not of the data: the machine's own clock, not the injected one.
        self._shared_at = -_SHARE_SECONDS
        self._open = True

    @property
    def partitions(self) -> frozenset[int]:
        """What it holds since the last `poll`."""
        return self._membership.held

    def poll(self, max_rows: int, wait_seconds: float = 0.0) -> list[Batch]:
        """Return the next rows, at most *max_rows* in all."""
        if not self._open:
            raise UserError(f"this consumer of group {self._group!r} is closed: open another.")
        if max_rows < 1:
            raise UserError(f"max_rows is {max_rows}: poll for at least 1 row.")
        deadline = time.monotonic() + wait_seconds
        while True:
            self._share()
            found = self._taken(max_rows)
            left = deadline - time.monotonic()
            if found or left <= 0:
                return found
            time.sleep(min(_LOOK_SECONDS, left))

    def commit(self) -> None:
        """Commit what was polled from the partitions that are held."""
        for partition, offset in self._next.items():
            if self._log.committed(self._group, self._stream, partition) != offset:
                self._log.commit(self._group, self._stream, partition, offset)

    def close(self) -> None:
        """Leave the group, without committing."""
        self._open = False
        self._next.clear()
        self._membership.leave()

    def __enter__(self) -> EmbeddedConsumer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _share(self) -> None:
        now = time.monotonic()
        if now - self._shared_at < _SHARE_SECONDS:
            return
        self._shared_at = now
        self._membership.share()
        held = self._membership.held
        for partition in self._next.keys() - held:
            del self._next[partition]
        for partition in held - self._next.keys():
            self._next[partition] = self._begin(partition)

    def _begin(self, partition: int) -> int:
        begin = self._position(partition) if self._position else None
        if begin is None:
            begin = self._log.committed(self._group, self._stream, partition)
        return self._log.start(self._stream, partition) if begin is None else begin

    def _taken(self, max_rows: int) -> list[Batch]:
        # The partition that is asked first changes from poll to poll, so that a busy one starves no other.
        held = sorted(self._next)
        self._turn += 1
        found = []
        for at in range(len(held)):
            partition = held[(self._turn + at) % len(held)]
            batch = self._log.read(self._stream, partition, self._next[partition], max_rows)
            if batch.rows.num_rows:
                found.append(batch)
                max_rows -= batch.rows.num_rows
                self._next[partition] = batch.next
            if not max_rows:
                break
        return found
