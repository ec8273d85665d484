"""Checks that every `CacheStore` must pass, yours too."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from orita.core.ids import uuid7
from orita.serving.cache.store import CacheStore

__all__ = ["check_cache_store"]

_RECORDS = (b"", b"\x00", bytes(range(256)), b"\r\n$-1\r\n", "Ọ̀rìtà".encode(), bytes(100_000))


def check_cache_store(make: Callable[[], CacheStore]) -> None:
    """Put, look, wait and invalidate, and check all that the contract promises.

    What needs a server that goes away is not in it.

    Args:
        make: opens the store on the event loop that runs; it may hold records of others.

    Raises:
        AssertionError: a promise is broken; the sentence says which.
    """

    async def checked(check: Callable[[CacheStore], Awaitable[None]]) -> None:
        store = make()
        try:
            await check(store)
        finally:
            await store.close()

    for check in _CHECKS:
        asyncio.run(checked(check))


def _name(name: str) -> bytes:
    return f"{name} {uuid7()}".encode()


async def _put(store: CacheStore, key: bytes, record: bytes, tags: Sequence[bytes], seconds: float = 60.0) -> None:
    looked = await store.get(key, tags)
    assert looked.epochs is not None, "a store that is there must say as of which epochs it looked"
    await store.put(key, record, looked.epochs, seconds)


async def _what_is_put_is_found(store: CacheStore) -> None:
    key, tag = _name("key"), _name("tag")
    assert (await store.get(key, [tag])).record is None, "a key that was never put has a record"
    for record in _RECORDS:
        await _put(store, key, record, [tag])
        assert (await store.get(key, [tag])).record == record, f"the record {record[:20]!r} came back changed"
    assert (await store.get(key + b"\x00", [tag])).record is None, "two keys are taken for one"
    await _put(store, b"\xff\x00" + key, b"binary", [])
    assert (await store.get(b"\xff\x00" + key, [])).record == b"binary", "keys must be any bytes, tags may be none"


async def _records_end(store: CacheStore) -> None:
    key = _name("key")
    await _put(store, key, b"short", [], seconds=0.05)
    assert (await store.get(key, [])).record == b"short", "a record ends before its time"
    await asyncio.sleep(0.08)
    assert (await store.get(key, [])).record is None, "a record outlives its time"


async def _a_tag_lets_its_records_go(store: CacheStore) -> None:
    tags = [_name(f"tag {number}") for number in range(3)]
    keys = {tag: _name("key") for tag in tags}
    for tag in tags[:2]:
        await _put(store, keys[tag], tag, [tags[2], tag])
    await store.invalidate([tags[0]])
    assert (await store.get(keys[tags[0]], [tags[2], tags[0]])).record is None, "an invalidated record is found"
    assert (await store.get(keys[tags[1]], [tags[2], tags[1]])).record == tags[1], "another tag's record is gone"
    await _put(store, keys[tags[0]], b"new", [tags[2], tags[0]])
    found = (await store.get(keys[tags[0]], [tags[2], tags[0]])).record
    assert found == b"new", "after an invalidation nothing can be put any more"
    await store.invalidate([_name("unknown"), tags[2]])
    for tag in tags[:2]:
        assert (await store.get(keys[tag], [tags[2], tag])).record is None, "a tag that is shared lets not all go"


async def _late_records_are_not_seen(store: CacheStore) -> None:
    key, tag = _name("key"), _name("tag")
    looked = await store.get(key, [tag])
    await store.invalidate([tag])
    assert looked.epochs is not None
    await store.put(key, b"stale", looked.epochs, 60.0)
    assert (await store.get(key, [tag])).record is None, "what was computed before an invalidation is found after it"


async def _many_at_once(store: CacheStore) -> None:
    tag = _name("tag")
    keys = [_name(f"key {number}") for number in range(12)]
    await asyncio.gather(*(_put(store, key, key, [tag]) for key in keys))
    found = await asyncio.gather(*(store.get(key, [tag]) for key in keys))
    assert [looked.record for looked in found] == keys, "records are mixed up where many are asked for at once"
    await store.invalidate([tag] * 3 + [_name(f"tag {number}") for number in range(2000)])
    found = await asyncio.gather(*(store.get(key, [tag]) for key in keys))
    assert not any(looked.record for looked in found), "two thousand tags at once let nothing go"


_CHECKS = (
    _what_is_put_is_found,
    _records_end,
    _a_tag_lets_its_records_go,
    _late_records_are_not_seen,
    _many_at_once,
)
