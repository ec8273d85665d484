"""Which event ids a partition had of late: an event whose id came within the horizon before it does not count.

What decides is how far apart two events lie in the log, never how they were batched or which of them counted, so that
a replay from anywhere decides alike. The memory stands in the online store, and changes in the transaction that counts
the events.

Legend: N events in the order of the log.
"""

from __future__ import annotations

from collections import deque
from itertools import takewhile

import numpy as np
import numpy.typing as npt

from orita.features.stores.store import Change, OnlineStore

__all__ = ["HORIZON", "RecentIds"]

HORIZON = 100_000
"""An event does not count if its id came among so many offsets of its partition before it."""

Integers = npt.NDArray[np.int64]


class RecentIds:
    """The ids of the last sound events of one partition, whether they counted or not.

    Args:
        store: where they are kept.
        prefix: of the keys of its records; 8 bytes are added.
        horizon: two events that lie *horizon* offsets apart or more are two, whatever their ids.
        end: where the store stands in the partition.

    Attributes:
        end: offset after the last event that it has seen.
    """

    def __init__(self, store: OnlineStore, prefix: bytes, horizon: int, end: int) -> None:
        self._prefix, self._horizon, self.end = prefix, horizon, end
        self._offsets: dict[int, int] = {}
        self._chunks: deque[tuple[bytes, Integers, Integers]] = deque()
        self._recalled: Change | None = None
        for key, record in sorted(store.scan(prefix)):
            id_C, offset_C = np.frombuffer(record, np.int64).reshape(2, -1)
            self._keep(key, id_C, offset_C)

    @property
    def oldest(self) -> int | None:
        """The offset of the first event that it remembers, None without any."""
        return int(self._chunks[0][2][0]) if self._chunks else None

    def unseen(self, id_N: Integers, offset_N: Integers) -> npt.NDArray[np.bool_]:
        """Return which events have an id that none had within the horizon before them; remembers nothing."""
        unseen_N = np.ones(len(id_N), np.bool_)
        latest: dict[int, int] = {}
        for n, (number, offset) in enumerate(zip(id_N.tolist(), offset_N.tolist(), strict=True)):
            before = latest.get(number, self._offsets.get(number))
            unseen_N[n] = before is None or offset - before >= self._horizon
            latest[number] = offset
        return unseen_N

    def changes(self, id_N: Integers, offset_N: Integers, end: int) -> list[Change]:
        """Return what the store must change to remember the events *id_N*, and to forget what is too old.

        Args:
            id_N, offset_N: the sound events of the batch.
            end: offset after the last event of the batch.
        """
        oldest = takewhile(lambda chunk: self._is_stale(chunk[2], end), self._chunks)
        stale: list[Change] = [(key, None) for key, _, _ in oldest]
        recalled = [self._recalled] if self._recalled and (self._recalled[0], None) not in stale else []
        if not len(id_N):
            return [*stale, *recalled]
        return [*stale, *recalled, self._record(id_N, offset_N)]

    def remember(self, id_N: Integers, offset_N: Integers, end: int) -> None:
        """Do in memory what `changes` said, once the store has done it."""
        self.end = end
        while self._chunks and self._is_stale(self._chunks[0][2], end):
            _, id_C, offset_C = self._chunks.popleft()
            for number, offset in zip(id_C.tolist(), offset_C.tolist(), strict=True):
                if self._offsets.get(number) == offset:
                    del self._offsets[number]
        self._recalled = None
        if len(id_N):
            self._keep(self._key(offset_N), id_N, offset_N)

    def recall(self, id_N: Integers, offset_N: Integers) -> None:
        """Take events from before the oldest it remembers; the next `changes` make the store know them, too."""
        if len(id_N):
            self._recalled = self._record(id_N, offset_N)
            self._chunks.appendleft((self._recalled[0], id_N, offset_N))
            self._offsets = dict(zip(id_N.tolist(), offset_N.tolist(), strict=True)) | self._offsets

    def _record(self, id_N: Integers, offset_N: Integers) -> tuple[bytes, bytes]:
        return self._key(offset_N), np.stack([id_N, offset_N]).tobytes()

    def _key(self, offset_N: Integers) -> bytes:
        return self._prefix + int(offset_N[0]).to_bytes(8, "big")

    def _keep(self, key: bytes, id_C: Integers, offset_C: Integers) -> None:
        self._chunks.append((key, id_C, offset_C))
        self._offsets.update(zip(id_C.tolist(), offset_C.tolist(), strict=True))

    def _is_stale(self, offset_C: Integers, end: int) -> bool:
        return int(offset_C[-1]) + self._horizon <= end
