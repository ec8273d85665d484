"""Cache-aside: a prediction that is kept is given, one that is not is computed once, and kept.

A record that will expire is computed anew by one of those who ask for it, at random, and the more likely the nearer the
end is and the longer computing takes: where −δ β ln(u) reaches the time that is left, δ being the seconds that it took
and u drawn from (0, 1] (XFetch; Vattani, Chierichetti and Lowenstein, "Optimal Probabilistic Cache Stampede
Prevention", VLDB 2015). Of those in one process who miss the same key at once, one computes and the others get its
result.

    cache = PredictionCache(MemoryStore(64 << 20, clock), clock)
    kept = await cache.get(key, tags, compute)      # compute: an async function of the record, None: not to be kept
    await cache.invalidate([user_tag(7)])

An error, and None, are not kept. A store that is away is a miss; what could not be invalidated there meanwhile is
invalidated before the store is asked again, and until then nothing is taken from it.
"""

from __future__ import annotations

import asyncio
import math
import struct
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from random import Random

import msgspec

from orita.core.clock import Clock
from orita.core.errors import Unavailable
from orita.serving.cache.keys import EVERYTHING
from orita.serving.cache.settling import Settling
from orita.serving.cache.store import CacheStore, GuardedStore, Others, StoreSize
from orita.serving.resilience.guard import GuardState

__all__ = ["CacheCounts", "CachedScores", "Kept", "PredictionCache"]

_TIMES = struct.Struct(">dd")  # Unix seconds at which it expires, seconds that it took to compute
_MOST_PENDING = 10_000
_AGAIN_SECONDS = 0.1
_PATIENT_SECONDS = 2.0  # for the store to take what is invalidated from another thread


class CachedScores(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What is kept of a prediction, as MessagePack; enough to rank it and to log it again.

    Attributes:
        scores: ``scores_N``, raw float32.
        features: ``x_NF``, raw float32; empty where the key is one of values, which whoever asks has at hand.
        as_of_micros: the time that the features are as of.
    """

    scores: bytes
    features: bytes
    as_of_micros: int


class Kept(msgspec.Struct, frozen=True, gc=False):
    """A record, and whether it was there: None as *record* is what *compute* said."""

    record: bytes | None
    hit: bool


@dataclass(slots=True)
class CacheCounts:
    """What metrics tell of a cache since its start.

    Attributes:
        hits: records that were there.
        misses: records that were not, *early* and *joined* ones included.
        early: records that were there and were computed anew before they expired.
        joined: misses that waited for the same computation.
        bypassed: requests that did not look, because something could not be invalidated yet.
        invalidations: tags that were invalidated.
    """

    hits: int = 0
    misses: int = 0
    early: int = 0
    joined: int = 0
    bypassed: int = 0
    invalidations: int = 0

    @property
    def hit_rate(self) -> float:
        """Share of looks that found a record, 0 to 1."""
        looks = self.hits + self.misses
        return self.hits / looks if looks else 0.0


class PredictionCache:
    """Keeps records of predictions; called by one event loop.

    Args:
        store: where.
        clock: the time.
        seconds: how long.
        beta: how early a record is computed anew; 1 is the best for most, 0 is never.
        seed: of the early ones.
        settle_seconds: after which what has *changed* is invalidated once more; 0: it is not.

    Attributes:
        counts: what happened.
    """

    def __init__(
        self,
        store: CacheStore,
        clock: Clock,
        *,
        seconds: float = 3600.0,
        beta: float = 1.0,
        seed: int | None = None,
        settle_seconds: float = 0.0,
    ) -> None:
        self._store = store
        self._clock = clock
        self._seconds = seconds
        self._beta = beta
        self._random = Random(seed)
        self._flights: dict[bytes, asyncio.Future[bytes | None]] = {}
        self._pending: dict[bytes, None] = {}
        self._again: asyncio.Task[bool] | None = None
        self._again_at = 0.0
        self._settling = Settling(self.invalidate, settle_seconds)
        self._loop: asyncio.AbstractEventLoop | None = None
        self.counts = CacheCounts()

    @property
    def size(self) -> StoreSize:
        """What is kept."""
        return self._store.size()

    @property
    def guard(self) -> GuardState | None:
        """How its store is, None where that cannot be away."""
        return self._store.guard.state if isinstance(self._store, GuardedStore) else None

    def open(self) -> None:
        """Let the running loop be the one that `changed_in_thread` hands over to."""
        self._loop = asyncio.get_running_loop()

    async def get(self, key: bytes, tags: list[bytes], compute: Callable[[], Awaitable[bytes | None]]) -> Kept:
        """Return the record of *key*, or what *compute* gives.

        Args:
            key: see `orita.serving.cache.keys`.
            tags: what invalidates it.
            compute: returns the record, None where it is not to be kept; its errors are raised to all who wait.
        """
        if self._pending:
            self._invalidate_soon()
            self.counts.bypassed += 1
            return Kept(await compute(), hit=False)
        looked = await self._store.get(key, tags)
        if looked.record is not None and not self._is_due(*_TIMES.unpack_from(looked.record)):
            self.counts.hits += 1
            return Kept(looked.record[_TIMES.size :], hit=True)
        self.counts.misses += 1
        return Kept(await self._fly(key, looked.epochs, compute), hit=False)

    async def invalidate(self, tags: Iterable[bytes]) -> bool:
        """Let no record of *tags* be given any more; return whether the store has taken it already."""
        named = list(tags)
        self.counts.invalidations += len(named)
        return await self._invalidated(named)

    async def changed(self, tags: Iterable[bytes]) -> bool:
        """Invalidate *tags* now, and once more when what happened to them should be in the features; see there."""
        named = list(tags)
        self._settling.later(named)
        return await self.invalidate(named)

    def changed_in_thread(self, tags: Iterable[bytes]) -> None:
        """Do as `changed`, from a thread, and wait for it; before `open` nothing is kept.

        Raises:
            TimeoutError: it is not done within 2 seconds.
        """
        if self._loop is not None:
            asyncio.run_coroutine_threadsafe(self.changed(tags), self._loop).result(timeout=_PATIENT_SECONDS)

    def share(self, others: Others) -> None:
        """Invalidate for the *others* of a server that is several processes, and what they invalidate."""
        self._store.share(others)

    async def close(self) -> None:
        """Let the store go."""
        await self._settling.close()
        if self._again is not None:
            self._again.cancel()
            await asyncio.wait([self._again])
        await self._store.close()

    def _invalidate_soon(self) -> None:
        """Try again what is pending, beside the requests, and not too often."""
        now = self._clock.monotonic()
        if now >= self._again_at and (self._again is None or self._again.done()):
            self._again_at = now + _AGAIN_SECONDS
            self._again = asyncio.create_task(self._invalidated(()))

    async def _invalidated(self, tags: Iterable[bytes]) -> bool:
        """Invalidate *tags* and what is pending; what the store does not take stays pending."""
        self._pending.update(dict.fromkeys(tags))
        if len(self._pending) > _MOST_PENDING:
            self._pending = {EVERYTHING: None}
        asked = list(self._pending)
        try:
            await self._store.invalidate(asked)
        except Unavailable:
            self._pending.update(dict.fromkeys(asked))  # another attempt may have taken them off meanwhile
            return False
        for tag in asked:
            self._pending.pop(tag, None)
        return not self._pending

    def _is_due(self, expires: float, took: float) -> bool:
        left = expires - self._clock.now().timestamp()
        if left <= 0:
            return True
        early = -took * self._beta * math.log(1 - self._random.random()) >= left
        self.counts.early += early
        return early

    async def _fly(
        self, key: bytes, epochs: bytes | None, compute: Callable[[], Awaitable[bytes | None]]
    ) -> bytes | None:
        """Compute the record of *key*, or wait for whoever is at it; one who hangs up does not take others along."""
        flight_key = key + (epochs or b"")  # who looked after an invalidation does not take what was begun before it
        while (flight := self._flights.get(flight_key)) is not None:
            self.counts.joined += 1
            await asyncio.wait([flight])
            if not flight.cancelled():
                return flight.result()
        flight = self._flights[flight_key] = asyncio.get_running_loop().create_future()
        started = self._clock.monotonic()
        try:
            record = await _computed(flight, compute)
            if record is not None and epochs is not None:
                await self._keep(key, epochs, record, self._clock.monotonic() - started)
        finally:
            del self._flights[flight_key]
        return record

    async def _keep(self, key: bytes, epochs: bytes, record: bytes, took: float) -> None:
        expires = self._clock.now().timestamp() + self._seconds
        await self._store.put(key, _TIMES.pack(expires, took) + record, epochs, self._seconds)


async def _computed(
    flight: asyncio.Future[bytes | None], compute: Callable[[], Awaitable[bytes | None]]
) -> bytes | None:
    """Return what *compute* does; who waits for *flight* is told the same."""
    try:
        record = await compute()
    except asyncio.CancelledError:
        flight.cancel()
        raise
    except BaseException as error:
        flight.set_exception(error)
        flight.exception()  # it is raised here: that nobody else waits for it is no matter for the log
        raise
    flight.set_result(record)
    return record
