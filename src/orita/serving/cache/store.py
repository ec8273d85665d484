"""What a cache needs of the place where it keeps records: bytes by key, for a time, until a tag is invalidated.

Every look says as of which *epochs* of its tags it was made, and a record is put with the epochs of the look that
missed it. A tag that is invalidated gets a new epoch, so what was computed from before is never seen, not even where it
is put only afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import msgspec

from orita.serving.resilience.guard import Guard

__all__ = ["CacheStore", "GuardedStore", "Looked", "Others", "StoreSize"]


class Looked(msgspec.Struct, frozen=True, gc=False):
    """What was found.

    Attributes:
        record: the bytes, None where there are none that hold.
        epochs: to put a record with, None where the store cannot tell: it is away, and nothing is put.
    """

    record: bytes | None
    epochs: bytes | None


@dataclass(frozen=True, slots=True)
class StoreSize:
    """What this process knows of what is kept: entries, their bytes, and how many were evicted; null: another knows."""

    entries: int | None
    bytes: int | None
    evictions: int | None


class Others(Protocol):
    """Other processes of the same server, each with a cache of its own."""

    def tell(self, tags: Sequence[bytes], /) -> None:
        """Let them know that *tags* are invalidated."""
        ...

    def told(self) -> Sequence[bytes] | None:
        """Return the tags that they told of since the last call; None: they told of more than could be kept."""
        ...


@runtime_checkable
class GuardedStore(Protocol):
    """A store that may be away; `orita.serving.cache.redis.RedisCacheStore` is one."""

    guard: Guard
    """Lets it alone then."""


class CacheStore(Protocol):
    """Keeps records; `orita.testing.check_cache_store` checks one. Called by one event loop."""

    async def get(self, key: bytes, tags: Sequence[bytes], /) -> Looked:
        """Return the record of *key*, if it was put with the epochs that *tags* have now; a failure is a miss."""
        ...

    async def put(self, key: bytes, record: bytes, epochs: bytes, seconds: float, /) -> None:
        """Keep *record* for *seconds* at most; a failure, or a record that is too large, is not kept."""
        ...

    async def invalidate(self, tags: Sequence[bytes], /) -> None:
        """Let no record be seen any more that was looked for with one of *tags*.

        Raises:
            Unavailable: the store is away; nothing was invalidated for certain.
        """
        ...

    def share(self, others: Others, /) -> None:
        """Invalidate for *others* too, and what they do; nothing is to be done by a store that they all use."""
        ...

    def size(self) -> StoreSize:
        """Return what is kept."""
        ...

    async def close(self) -> None:
        """Let the store go."""
        ...
