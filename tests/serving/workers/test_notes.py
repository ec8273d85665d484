"""What workers tell one another as it happens."""

from __future__ import annotations

import asyncio
import os
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orita.core.clock import SystemClock
from orita.serving.cache.memory import MemoryStore
from orita.serving.workers.board import Board
from orita.serving.workers.notes import NOTES_BYTES, Notes
from orita.serving.workers.together import OtherWorkers


def ring() -> Notes:
    """Return an empty one."""
    return Notes(memoryview(bytearray(NOTES_BYTES)))


@given(st.lists(st.lists(st.binary(max_size=300), max_size=20), max_size=40))
def test_notes_are_read_as_they_were_written(batches: list[list[bytes]]) -> None:
    """Each reader gets all of them, in order, from where it stopped, round after round of the ring."""
    notes, begin = ring(), 0
    for batch in batches * 10:
        notes.write(batch)
        found, begin = notes.since(begin)
        assert found == batch
    assert notes.since(begin) == ([], begin)


def test_who_is_away_too_long_is_told_so() -> None:
    """More than half a ring since the last look is missed, at once or bit by bit; from there on nothing is."""
    notes = ring()
    for _ in range(NOTES_BYTES // 1000):
        notes.write([bytes(998)])
    found, begin = notes.since(0)
    assert found is None
    notes.write([b"n"])
    assert notes.since(begin)[0] == [b"n"]
    begin = notes.end
    notes.write([bytes(60_000)])
    found, begin = notes.since(begin)
    assert found is None
    notes.write([b"n"])
    assert notes.since(begin)[0] == [b"n"]


def test_no_note_is_read_in_halves() -> None:
    """While another process writes without a pause, what is read is whole, or said to be missed."""
    notes = Board(1).seats[0].notes
    pid = os.fork()
    if pid == 0:
        for turn in range(1 << 30):
            notes.write([bytes([turn % 251]) * (1 + turn % 500)])
    try:
        seen, begin, until = 0, 0, time.monotonic() + 60
        while seen < 2000 and time.monotonic() < until:
            found, begin = notes.since(begin)
            assert all(len(set(note)) == 1 for note in found or ())
            seen += len(found or ())
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
    assert seen >= 2000


@pytest.mark.parametrize("tags", [[b"u7"], [b"u%d" % user for user in range(20_000)]])
def test_an_invalidation_reaches_the_caches_of_all_workers(tags: list[bytes]) -> None:
    """What one worker invalidates no other gives any more, however much it is; it keeps what it had of others' tags."""
    board = Board(3)
    stores = [MemoryStore(1 << 20, SystemClock()) for _ in range(2)]
    for seat, store in zip(board.seats, stores, strict=False):
        store.share(OtherWorkers(board, seat))

    async def told() -> None:
        for key, tag in ((b"a", b"u7"), (b"b", b"u8")):
            missed = await stores[1].get(key, [tag])
            assert missed.epochs is not None
            await stores[1].put(key, b"kept", missed.epochs, 60)
        await stores[0].invalidate(tags)
        assert (await stores[1].get(b"a", [b"u7"])).record is None
        assert (await stores[1].get(b"b", [b"u8"])).record == (b"kept" if len(tags) == 1 else None)

    asyncio.run(told())
