"""Records in this process, bounded by bytes; the one longest not used goes first.

Invalidations are numbered, and the epoch of some tags is the latest number that one of them was invalidated with. So it
grows with each invalidation that concerns them, and a tag that never was invalidated takes no memory. Where a server is
several processes, each asks the others what they invalidated before it gives a record.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from itertools import repeat

from orita.core.clock import Clock
from orita.serving.cache.store import Looked, Others, StoreSize

__all__ = ["MemoryStore"]

_OVERHEAD = 250
"""Bytes of an entry beside key and record: the tuple, its numbers, its place in the dictionary."""

_Entry = tuple[bytes, int, float]


class MemoryStore:
    """A `CacheStore` in memory.

    Args:
        most_bytes: of keys, records and what holds them.
        clock: the time.
        most_tags: invalidated tags that are remembered; past it everything is forgotten at once.
    """

    def __init__(self, most_bytes: int, clock: Clock, *, most_tags: int = 100_000) -> None:
        self._most_bytes, self._most_tags = most_bytes, most_tags
        self._monotonic = clock.monotonic
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()
        self._bytes = self._evictions = 0
        self._latest = self._floor = 0
        self._invalidated: dict[bytes, int] = {}
        self._others: Others | None = None

    async def get(self, key: bytes, tags: Sequence[bytes], /) -> Looked:
        """Return the record of *key*; see the protocol."""
        self._ask_others()
        epoch = self._epoch(tags)
        entry = self._entries.get(key)
        if entry is None:
            return Looked(None, epoch.to_bytes(8))
        record, put_at, until = entry
        if put_at != epoch or self._monotonic() >= until:
            self._drop(key)
            return Looked(None, epoch.to_bytes(8))
        self._entries.move_to_end(key)
        return Looked(record, epoch.to_bytes(8))

    async def put(self, key: bytes, record: bytes, epochs: bytes, seconds: float, /) -> None:
        """Keep *record*; see the protocol."""
        if key in self._entries:
            self._drop(key)
        size = len(key) + len(record) + _OVERHEAD
        if size > self._most_bytes:
            return
        while self._bytes + size > self._most_bytes:
            self._drop(next(iter(self._entries)))
            self._evictions += 1
        self._entries[key] = (record, int.from_bytes(epochs), self._monotonic() + seconds)
        self._bytes += size

    async def invalidate(self, tags: Sequence[bytes], /) -> None:
        """Let no record of *tags* be seen any more; see the protocol."""
        self._invalidate(tags)
        if self._others is not None:
            self._others.tell(tags)

    def share(self, others: Others, /) -> None:
        """Invalidate for *others* too, and what they do; see the protocol."""
        self._others = others

    def size(self) -> StoreSize:
        """Return what is kept."""
        return StoreSize(len(self._entries), self._bytes, self._evictions)

    async def close(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self._bytes = 0

    def _ask_others(self) -> None:
        if self._others is None:
            return
        tags = self._others.told()
        if tags is None:
            self._forget()
        elif tags:
            self._invalidate(tags)

    def _invalidate(self, tags: Sequence[bytes]) -> None:
        if len(self._invalidated) + len(tags) > self._most_tags:
            self._forget()
            return
        self._latest += 1
        self._invalidated.update(zip(tags, repeat(self._latest)))

    def _forget(self) -> None:
        """Let no record be seen any more."""
        self._latest += 1
        self._floor = self._latest
        self._invalidated.clear()
        self._entries.clear()
        self._bytes = 0

    def _epoch(self, tags: Sequence[bytes]) -> int:
        if not self._invalidated:
            return self._floor
        return max(self._floor, *map(self._invalidated.get, tags, repeat(0)))

    def _drop(self, key: bytes) -> None:
        self._bytes -= len(key) + len(self._entries.pop(key)[0]) + _OVERHEAD
