"""Kills, of writers and of servers: every event is counted once."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.features.stores import counting_writer
from tests.features.stores.counting_writer import SOURCE, counted
from tests.features.stores.redis_process import RedisProcess

from orita.features.stores.lmdb import LmdbStore
from orita.features.stores.store import OnlineStore

ENDLESS = 10_000_000


@contextmanager
def writing(kind: str, where: str, target: int, seed: int, most: int = 40) -> Iterator[subprocess.Popen[str]]:
    """Run a counting writer that has got over its start: it has acknowledged a batch, or is done."""
    arguments = [kind, where, str(target), str(seed), str(most)]
    with subprocess.Popen(
        [sys.executable, counting_writer.__file__, *arguments], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def last_said(process: subprocess.Popen[str]) -> int:
    """Kill a writer and return the last offset that it had acknowledged."""
    process.kill()
    said = process.communicate()[0].split("\n")[:-1]  # what has no end of line was never said
    return int(said[-1]) if said else 0


def assert_exact(store: OnlineStore, acknowledged: int) -> int:
    """Check that the store holds what was acknowledged, and of no event a part; return its offset."""
    at = store.offset(SOURCE) or 0
    assert at >= acknowledged, "an acknowledged batch is lost"
    assert dict(store.scan()) == counted(at), "an event was counted twice, in part or not at all"
    return at


@pytest.mark.parametrize("kills", [10, pytest.param(200, marks=pytest.mark.slow)])
def test_killed_writers_count_every_event_once(kills: int, tmp_path: Path) -> None:
    """After kill -9 at any moment LMDB holds whole batches, all that were acknowledged, and its offset fits them."""
    draw = random.Random(kills)
    reached = 0
    for number in range(kills):
        with writing("lmdb", str(tmp_path), ENDLESS, seed=number) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            time.sleep(draw.random() * 0.04)
            acknowledged = last_said(writer)
        store = LmdbStore(tmp_path)
        at = assert_exact(store, acknowledged)
        store.close()
        assert at > reached, "the writer did not go on where the one before was killed"
        reached = at


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_a_killed_redis_counts_every_event_once(kills: int, tmp_path: Path) -> None:
    """A server killed with -9 comes back with all that it had acknowledged, while its writer tries again."""
    process = RedisProcess(tmp_path)
    draw = random.Random(kills)
    with writing("redis", process.config.url, ENDLESS, seed=1) as writer:
        assert writer.stdout is not None
        for _ in range(kills):
            acknowledged = int(writer.stdout.readline())
            time.sleep(draw.random() * 0.1)
            process.kill()
            process.start()
            with_store = process.store("counted")
            before = with_store.offset(SOURCE) or 0
            with_store.close()
            assert before >= acknowledged, "the server forgot an acknowledged batch"
            while int(writer.stdout.readline()) <= before:
                """What it had said before the kill comes first; then it must go on."""
        acknowledged = last_said(writer)
    store = process.store("counted")
    try:
        assert_exact(store, acknowledged)
    finally:
        store.close()
        process.kill()


@pytest.mark.parametrize("kind", ["lmdb", "redis"])
def test_of_two_writers_one_counts(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """A zombie and its successor, two processes on one source, together count every event once."""
    target = 1_500
    where = str(tmp_path)
    if kind == "redis":
        process: RedisProcess = request.getfixturevalue("redis_process")
        where = process.config.url
    store: OnlineStore
    with writing(kind, where, target, seed=1, most=3) as one, writing(kind, where, target, seed=2, most=3) as other:
        said = [[int(line) for line in writer.communicate()[0].split()] for writer in (one, other)]
        assert one.returncode == other.returncode == 0
    assert sorted(said[0] + said[1]) == sorted(set(said[0] + said[1])), "two writers moved the source to one offset"
    store = LmdbStore(tmp_path) if kind == "lmdb" else process.store("counted")
    assert assert_exact(store, target) == target
    store.clear()
    store.close()
