"""Which event ids a partition had of late: the same id twice within the horizon is one event, the first.

What counts is how far apart two events lie in the log, never how they were batched, so that a replay decides alike.
The memory stands in the online store, and changes in the transaction that counts the events.

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
"""Offsets of a partition within which the same event id counts once."""

Integers = npt.NDArray[np.int64]


class RecentIds:
    """The ids of the last events of one partition.

    Args:
        store: where they are kept.
        prefix: of the keys of its records; 8 bytes are added.
        horizon: two events that lie *horizon* offsets apart or more are two, whatever their ids.
    """

    def __init__(self, store: OnlineStore, prefix: bytes, horizon: int) -> None:
        self._prefix, self._horizon = prefix, horizon
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
        counted: dict[int, int] = {}
        for n, (number, offset) in enumerate(zip(id_N.tolist(), offset_N.tolist(), strict=True)):
            before = counted.get(number, self._offsets.get(number))
            if before is not None and offset - before < self._horizon:
                unseen_N[n] = False
            else:
                counted[number] = offset
        return unseen_N

    def changes(self, id_N: Integers, offset_N: Integers, end: int) -> list[Change]:
        """Return what the store must change to remember the counted events *id_N*, and to forget what is too old.

        Args:
            id_N, offset_N: the events that were counted.
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
        fresh_N = self.unseen(id_N, offset_N)
        if fresh_N.any():
            id_C, offset_C = id_N[fresh_N], offset_N[fresh_N]
            self._recalled = self._record(id_C, offset_C)
            self._chunks.appendleft((self._recalled[0], id_C, offset_C))
            self._offsets.update(zip(id_C.tolist(), offset_C.tolist(), strict=True))

    def _record(self, id_N: Integers, offset_N: Integers) -> tuple[bytes, bytes]:
        return self._key(offset_N), np.stack([id_N, offset_N]).tobytes()

    def _key(self, offset_N: Integers) -> bytes:
        return self._prefix + int(offset_N[0]).to_bytes(8, "big")

    def _keep(self, key: bytes, id_C: Integers, offset_C: Integers) -> None:
        self._chunks.append((key, id_C, offset_C))
        self._offsets.update(zip(id_C.tolist(), offset_C.tolist(), strict=True))

    def _is_stale(self, offset_C: Integers, end: int) -> bool:
        return int(offset_C[-1]) + self._horizon <= end
