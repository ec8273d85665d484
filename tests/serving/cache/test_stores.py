"""Both stores keep the contract, and a server that goes away is a miss."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.features.stores.redis_process import RedisProcess

from orita.core.clock import SystemClock
from orita.core.errors import Unavailable, UserError
from orita.features.stores.redis_server import RedisConfig
from orita.serving.cache.memory import MemoryStore
from orita.serving.cache.redis import RedisCacheStore
from orita.serving.cache.store import Looked
from orita.testing import check_cache_store


def memory(most_bytes: int = 1 << 20, **settings: int) -> MemoryStore:
    """Return an empty store."""
    return MemoryStore(most_bytes, SystemClock(), **settings)


def redis(config: RedisConfig, timeout: float = 0.5, most_seconds: float = 60.0) -> RedisCacheStore:
    """Return a store on the server at *config*."""
    clock = SystemClock()
    return RedisCacheStore(
        config, tenant="default", system="feed", clock=clock, most_seconds=most_seconds, timeout=timeout
    )


def test_memory_keeps_the_contract() -> None:
    """The store in process is as `check_cache_store` demands."""
    check_cache_store(memory)


def test_redis_keeps_the_contract(cache_redis: RedisProcess) -> None:
    """The store in Redis is as `check_cache_store` demands."""
    check_cache_store(lambda: redis(cache_redis.config))


class _Forgetful(MemoryStore):
    """Takes no notice of epochs."""

    async def put(self, key: bytes, record: bytes, epochs: bytes, seconds: float, /) -> None:
        """Keep a record as if it had been computed just now."""
        await super().put(key, record, self._latest.to_bytes(8), seconds)


class _Deaf(MemoryStore):
    """Does not invalidate."""

    async def invalidate(self, tags: Sequence[bytes], /) -> None:
        """Do nothing."""


class _Eternal(MemoryStore):
    """Keeps records for ever."""

    async def put(self, key: bytes, record: bytes, epochs: bytes, seconds: float, /) -> None:
        """Keep a record for a year."""
        await super().put(key, record, epochs, 3e7)


@pytest.mark.parametrize("broken", [_Forgetful, _Deaf, _Eternal])
def test_the_check_catches_stores_that_do_not(broken: type[MemoryStore]) -> None:
    """A store that breaks a promise fails the check."""
    with pytest.raises(AssertionError):
        check_cache_store(lambda: broken(1 << 20, SystemClock()))


def test_memory_is_bounded_by_bytes() -> None:
    """What was longest not used goes first, is counted, and what is larger than all is not kept."""

    async def work() -> None:
        store = memory(10_000)
        for number in range(100):
            await store.put(b"%d" % number, bytes(700), bytes(8), 60.0)
            assert (await store.get(b"0", [])).record is not None, "what is used stays"
            size = store.size()
            assert size.bytes is not None
            assert size.bytes <= 10_000
        assert (await store.get(b"50", [])).record is None
        assert (await store.get(b"99", [])).record is not None
        assert store.size().entries == 10
        assert store.size().evictions == 90
        await store.put(b"huge", bytes(20_000), bytes(8), 60.0)
        assert (await store.get(b"huge", [])).record is None

    asyncio.run(work())


def test_memory_of_invalidated_tags_is_bounded() -> None:
    """Past the bound everything is forgotten, also what is put with an older look; nothing stale comes back."""

    async def work() -> None:
        store = memory(most_tags=100)
        before = await store.get(b"late", [b"t"])
        assert before.epochs is not None
        await store.put(b"k", b"r", before.epochs, 60.0)
        for number in range(101):
            await store.invalidate([b"%d" % number])
        assert (await store.get(b"k", [b"other"])).record is None
        await store.put(b"late", b"stale", before.epochs, 60.0)
        assert (await store.get(b"late", [b"t"])).record is None

    asyncio.run(work())


def test_replicas_share_records_and_invalidations(cache_redis: RedisProcess) -> None:
    """What one server puts another finds, and what one lets go is gone for both; another system has its own."""

    async def work() -> None:
        one, two = redis(cache_redis.config), redis(cache_redis.config)
        other = cache_redis.config.model_copy(update={"prefix": "other"})
        three = redis(other)
        looked = await one.get(b"shared", [b"t"])
        assert looked.epochs is not None
        await one.put(b"shared", b"record", looked.epochs, 60.0)
        assert (await two.get(b"shared", [b"t"])).record == b"record"
        assert (await three.get(b"shared", [b"t"])).record is None
        await two.invalidate([b"t"])
        assert (await one.get(b"shared", [b"t"])).record is None
        for store in (one, two, three):
            await store.close()

    asyncio.run(work())


def test_every_key_in_redis_ends(cache_redis: RedisProcess) -> None:
    """Records expire with their time, tags after twice the longest; only the number of invalidations stays."""

    async def work() -> None:
        store = redis(cache_redis.config.model_copy(update={"prefix": "ends"}), most_seconds=30.0)
        await store.put(b"k", b"r", bytes(8), 10.0)
        await store.invalidate([b"t"])
        await store.close()

    asyncio.run(work())
    keys = cache_redis.server.read("KEYS", "{ends:*")
    left = {key.rpartition(b":cache")[2]: cache_redis.server.read("PTTL", key) for key in keys}
    assert 9_000 < left.pop(b":k:k") <= 10_000
    assert 59_000 < left.pop(b":t:t") <= 60_000
    assert left == {b":number": -1}


def test_a_frozen_server_is_a_miss_within_the_timeout(tmp_path: Path) -> None:
    """While the server hangs looks are misses, after five of them without waiting; then records are found again."""
    process = RedisProcess(tmp_path)

    async def work() -> None:
        store = redis(process.config, timeout=0.5)
        looked = await store.get(b"k", [b"t"])
        assert looked.epochs is not None
        await store.put(b"k", b"r", looked.epochs, 60.0)
        os.kill(process._process.pid, signal.SIGSTOP)
        for _ in range(50):
            assert await store.get(b"k", [b"t"]) == Looked(None, None)
        assert store.guard.state.opened >= 1
        assert store.guard.state.refused >= 30, "each look waited for its timeout"
        with pytest.raises(Unavailable):
            await store.invalidate([b"t"])
        os.kill(process._process.pid, signal.SIGCONT)
        deadline = time.monotonic() + 30.0
        while (await store.get(b"k", [b"t"])).record != b"r":
            assert time.monotonic() < deadline, "records are not found again"
            await asyncio.sleep(0.05)
        await store.close()

    try:
        asyncio.run(work())
    finally:
        process.kill()


def test_a_server_that_is_away_is_a_miss(tmp_path: Path) -> None:
    """Nothing raises but an invalidation, and after a restart the store goes on."""
    process = RedisProcess(tmp_path)
    process.kill()

    async def work() -> None:
        store = redis(process.config)
        assert await store.get(b"k", []) == Looked(None, None)
        await store.put(b"k", b"r", bytes(8), 60.0)
        with pytest.raises(Unavailable, match="Redis does not answer"):
            await store.invalidate([b"t"])
        process.start()
        deadline = time.monotonic() + 30.0
        while (looked := await store.get(b"k", [])).epochs is None:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
        await store.put(b"k", b"r", looked.epochs, 60.0)
        assert (await store.get(b"k", [])).record == b"r"
        await store.close()

    try:
        asyncio.run(work())
    finally:
        process.kill()


def test_an_address_or_a_password_that_cannot_be_is_refused() -> None:
    """What is wrong in the configuration is a sentence when the store is opened."""
    with pytest.raises(UserError, match="address of Redis"):
        redis(RedisConfig(url="http://nowhere"))
    with pytest.raises(UserError, match="NO_SUCH_VARIABLE"):
        redis(RedisConfig(password_variable="NO_SUCH_VARIABLE"))
