"""Full maps, disks and memory, servers that are away: one clear sentence, nothing half-written, and on it goes."""

from __future__ import annotations

import json
import multiprocessing
import subprocess
import sys
import threading
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import lmdb
import pytest
from tests.features.stores import full_disk
from tests.features.stores.redis_process import RedisProcess

from orita.core.errors import OritaError, UserError
from orita.features.stores.lmdb import LmdbStore
from orita.features.stores.redis import RedisConfig, RedisStore

SMALL = 1 << 16


def test_another_process_reserves_more_in_the_moment_of_opening(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the map of a store that is opened and its first read the store outgrows that map."""
    LmdbStore(tmp_path, capacity=SMALL).close()
    grow = (
        "import sys; from pathlib import Path; from orita.features.stores.lmdb import LmdbStore\n"
        f"LmdbStore(Path(sys.argv[1]), capacity={SMALL}).put_many((b'%d' % n, bytes(2000)) for n in range(200))"
    )
    real, grown = lmdb.open, []

    def opened(*args: Any, **settings: Any) -> lmdb.Environment:
        environment = real(*args, **settings)
        grown.append(subprocess.run([sys.executable, "-c", grow, str(tmp_path)], check=True))
        return environment

    monkeypatch.setattr(lmdb, "open", opened)
    store = LmdbStore(tmp_path, capacity=SMALL)
    assert len(grown) == 1
    assert store.get_many([b"0", b"199"]) == [bytes(2000)] * 2
    store.close()


def test_a_full_map_grows_under_readers(tmp_path: Path) -> None:
    """While the map is replaced, again and again, threads that read get whole batches and no error."""
    store = LmdbStore(tmp_path, capacity=SMALL)
    keys = [b"first %d" % number for number in range(200)]
    store.put_many((key, b"0") for key in keys)
    done = threading.Event()
    wrong: list[object] = []
    reads = [0, 0, 0]

    def read(position: int) -> None:
        while not done.is_set():
            try:
                seen = set(store.get_many(keys))
                if len(seen) != 1:
                    wrong.append(seen)
                if position == 0 and len(dict(store.scan(b"first"))) != len(keys):
                    wrong.append("scan")
            except OritaError as error:
                wrong.append(error)
            reads[position] += 1

    readers = [threading.Thread(target=read, args=(position,)) for position in range(3)]
    for reader in readers:
        reader.start()
    before = store._environment.info()["map_size"]
    for number in range(60):
        filler = [(b"%d/%d" % (number, part), bytes(2000)) for part in range(100)]
        assert store.apply("s", number, number + 1, [*filler, *((key, b"%d" % number) for key in keys)])
    done.set()
    for reader in readers:
        reader.join()
    assert store._environment.info()["map_size"] > 64 * before
    assert not wrong, wrong[0]
    assert min(reads) > 0
    store.close()


def _read_elsewhere(folder: Path, pipe: Connection) -> None:
    store = LmdbStore(folder, readonly=True, capacity=SMALL)
    pipe.send(store.get_many([b"a"]))
    pipe.recv()
    pipe.send((store.get_many([b"a", b"9999"]), store.offset("s"), len(list(store.scan()))))
    store.close()


def test_other_processes_follow_a_grown_map(tmp_path: Path) -> None:
    """A reader that opened the store when it was small reads what another process has written since."""
    store = LmdbStore(tmp_path, capacity=SMALL)
    store.apply("s", 0, 1, [(b"a", b"old")])
    here, there = multiprocessing.get_context("spawn").Pipe()
    reader = multiprocessing.get_context("spawn").Process(target=_read_elsewhere, args=(tmp_path, there))
    reader.start()
    assert here.recv() == [b"old"]
    store.apply("s", 1, 2, [(b"a", b"new"), *((b"%d" % number, bytes(500)) for number in range(10_000))])
    here.send("go on")
    assert here.recv() == ([b"new", bytes(500)], 2, 10_001)
    reader.join()
    store.close()


def test_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    """Where the file may not grow, apply says so, changes nothing, and works again once there is space."""
    ran = subprocess.run(
        [sys.executable, full_disk.__file__, str(tmp_path)], capture_output=True, text=True, check=True
    )
    seen = json.loads(ran.stdout)
    for sentence in seen["sentences"]:
        assert "its disk is full, or broken; nothing of this batch was written" in sentence
    assert seen["full_at"] > 3
    assert seen["later"] == ""
    assert seen["at"] == 61
    assert seen["whole"] and seen["whole_later"] and seen["whole_reopened"]


def test_readers_wait_for_nobody(tmp_path: Path) -> None:
    """A read-only store of nothing is refused; a closed store, or one that is open here already, says so."""
    with pytest.raises(UserError, match="there is no online store"):
        LmdbStore(tmp_path / "none", readonly=True)
    store = LmdbStore(tmp_path)
    with pytest.raises(OritaError, match=r"already open[^.]*\.$"):
        LmdbStore(tmp_path)
    store.close()
    with pytest.raises(OritaError, match="cannot be used"):
        store.get_many([b"a"])
    reader = LmdbStore(tmp_path, readonly=True)
    with pytest.raises(OritaError, match="cannot be used"):
        reader.apply("s", 0, 1, [(b"a", b"1")])
    reader.close()


def test_generations_on_disk_stay_readable(tmp_path: Path) -> None:
    """A store that was written before stores kept offsets is read as it is."""
    with lmdb.open(str(tmp_path)) as old, old.begin(write=True) as transaction:
        transaction.put(b"a", b"1")
    store = LmdbStore(tmp_path, readonly=True)
    assert store.get_many([b"a", b"b"]) == [b"1", None]
    assert list(store.scan()) == [(b"a", b"1")]
    assert store.offset("s") is None
    assert store.size().records == 1
    store.close()


def test_redis_out_of_memory_changes_nothing(redis_process: RedisProcess) -> None:
    """A batch that the server has no memory for is refused whole, and passes once there is some."""
    store = redis_process.store("memory")
    assert store.apply("s", 0, 1, [(b"a", b"1")])
    redis_process.server.write("CONFIG SET", "maxmemory", "1")
    try:
        with pytest.raises(OritaError, match=r"refused.*maxmemory"):
            store.apply("s", 1, 2, [(b"b", b"1"), (b"c", b"2")])
        assert dict(store.scan()) == {b"a": b"1"}
        assert store.offset("s") == 1
    finally:
        redis_process.server.write("CONFIG SET", "maxmemory", "0")
    assert store.apply("s", 1, 2, [(b"a", None), (b"c", b"2")])
    assert dict(store.scan()) == {b"c": b"2"}
    store.close()


def test_redis_takes_large_batches(redis_process: RedisProcess) -> None:
    """Thousands of puts and deletes are one step; more than it takes are refused with the number that it does."""
    store = redis_process.store("large")
    keys = [b"%d" % number for number in range(9_001)]
    assert store.apply("s", 0, 1, [(key, key) for key in keys])
    assert dict(store.scan()) == {key: key for key in keys}
    assert store.apply("s", 1, 2, [*((key, None) for key in keys[:5_001]), *((key, b"new") for key in keys[5_001:])])
    assert dict(store.scan()) == dict.fromkeys(keys[5_001:], b"new")
    with pytest.raises(UserError, match="250001 changes, Redis takes 250000"):
        store.apply("s", 2, 3, ((b"%d" % number, None) for number in range(250_001)))
    store.clear()
    store.close()


def test_one_read_is_one_round_trip(redis_process: RedisProcess) -> None:
    """A hundred keys are one command, and so is a batch of a thousand changes."""
    store = redis_process.store("trips")
    assert store.apply("warm", 0, 1, [])

    def commands() -> int:
        return int(redis_process.server.write("INFO", "stats")["total_commands_processed"])

    commands()  # connects
    before = commands()
    assert commands() == before + 1
    store.get_many([b"%d" % number for number in range(100)])
    assert commands() == before + 3
    store.apply("s", 0, 1, [(b"%d" % number, b"1") for number in range(1000)])
    inside = 1 + 3  # the script's own: one HGET, one HSET of records, one HSET of offsets
    assert commands() <= before + 4 + inside
    store.clear()
    store.close()


def test_tenants_systems_and_generations_are_apart(redis_process: RedisProcess) -> None:
    """What one tenant, system or generation writes, scans and clears, no other sees; a rebuild disturbs no reader."""
    stores = [
        RedisStore(redis_process.config, tenant=tenant, system=system, generation=generation)
        for tenant, system, generation in (
            ("a", "apart", "1"),
            ("a", "apart", "2"),
            ("b", "apart", "1"),
            ("a", "apart2", "1"),
        )
    ]
    for number, store in enumerate(stores):
        assert store.apply("s", 0, number + 1, [(b"k", b"%d" % number)])
    stores[0].clear()
    assert [store.get_many([b"k"]) for store in stores] == [[None], [b"1"], [b"2"], [b"3"]]
    assert [store.offset("s") for store in stores] == [None, 2, 3, 4]
    for name in ("", "a:b", "{a}", "a b"):
        with pytest.raises(UserError, match="tenant is"):
            RedisStore(redis_process.config, tenant=name, system="apart")
    for store in stores:
        store.clear()
        store.close()


def test_a_server_that_was_restarted_is_found_again(tmp_path: Path) -> None:
    """Away, every call is an error with the address and what to do; back, the same store goes on, script and all."""
    process = RedisProcess(tmp_path)
    store = process.store("restarts")
    try:
        assert store.apply("s", 0, 1, [(b"a", b"1")])
        process.kill()
        address = process.config.url
        for call in (lambda: store.get_many([b"a"]), lambda: store.apply("s", 1, 2, []), lambda: store.offset("s")):
            with pytest.raises(OritaError, match=f"{address} is away .*start it"):
                call()
        process.start()
        assert store.get_many([b"a"]) == [b"1"]
        process.kill()
        process.start()
        assert store.apply("s", 1, 2, [(b"a", b"2")])
        assert store.get_many([b"a"]) == [b"2"]
    finally:
        store.close()
        process.kill()


def test_a_server_that_hangs_is_left_in_time(redis_process: RedisProcess) -> None:
    """A server that takes too long is an error, and so is a URL that is none; no error tells a password."""
    waiting = RedisStore(
        RedisConfig(url=redis_process.config.url.replace("//", "//nobody:secret@"), read_timeout=0.05), system="slow"
    )
    with pytest.raises(OritaError, match="password") as error:
        waiting.get_many([b"a"])
    assert "secret" not in str(error.value)
    waiting.close()
    waiting = RedisStore(redis_process.config.model_copy(update={"read_timeout": 0.05}), system="slow")
    redis_process.server.write("CLIENT", "PAUSE", "400", "ALL")
    with pytest.raises(OritaError, match="did not answer in time"):
        waiting.get_many([b"a"])
    waiting.close()
    for url in ("http://localhost", "redis://[", "localhost:6379", "redis://localhost:99999"):
        with pytest.raises(UserError, match="not allowed"):
            RedisStore(RedisConfig(url=url), system="slow")
