"""The same id twice, within the horizon, is one event: over restarts, retentions, publications and files."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from tests.features.stream.counting_worker import SHOWN, counting_plan
from tests.features.stream.test_stream_worker import Event, append, assert_counted, drain, made

from orita.core.home import Home
from orita.events.arriving import event_table
from orita.events.log.embedded import EmbeddedLog
from orita.features.generations.folder import FolderGenerations
from orita.features.generations.publish import publish
from orita.features.stores.lmdb import LmdbStore
from orita.features.stream.intake import offset_name
from orita.features.stream.worker import StreamWorker

PLAN = counting_plan()


def streamed(log: EmbeddedLog, store: LmdbStore, horizon: int = 100) -> Counter[str]:
    """Let a new worker take what there is."""
    worker = StreamWorker(PLAN, log, store, "g", horizon=horizon)
    done = drain(worker)
    worker.close()
    return done


def filled(events: list[Event], folder: Path) -> LmdbStore:
    """Return the state of *events*, which came by a file."""
    generations = FolderGenerations(folder)
    with duckdb.connect() as connection:
        connection.register("file", event_table(SHOWN.schema, events))
        made = publish(PLAN, connection, {"interactions": "file"}, generations, tables={"interactions": 0}, unique=True)
    return LmdbStore(folder / made.name)


@pytest.mark.parametrize("retired", [False, True])
def test_a_restart_forgets_no_id(tmp_path: Path, retired: bool) -> None:
    """What the state was filled with is known from the log; once a worker counted, a retention takes nothing away."""
    log, store = EmbeddedLog(Home(tmp_path), segment_bytes=1), LmdbStore(tmp_path / "state")
    events = made(20)
    append(log, events[:10], partitions=1)
    store.apply(offset_name(SHOWN, 0), 0, 10, [])
    append(log, events[10:11], partitions=1)
    assert streamed(log, store) == Counter(counted=1, duplicates=0, unsound=0)
    if retired:
        assert log.retire("interactions", 0, 11) > 9
    append(log, [*events[:12], events[11]], partitions=1)
    assert streamed(log, store) == Counter(counted=1, duplicates=12, unsound=0)
    assert_counted(store, events[10:12])


def test_what_was_recalled_is_forgotten_past_the_horizon(tmp_path: Path) -> None:
    """An id that lies further back than the horizon is new, and takes no room in the store."""
    log, store = EmbeddedLog(Home(tmp_path)), LmdbStore(tmp_path / "state")
    events = made(30)
    append(log, events[:10], partitions=1)
    store.apply(offset_name(SHOWN, 0), 0, 10, [])
    for at in range(10, 30, 5):
        append(log, events[at : at + 5], partitions=1)
        assert streamed(log, store, horizon=12)["counted"] == 5
    append(log, [events[0], events[29]], partitions=1)
    assert streamed(log, store, horizon=12) == Counter(counted=1, duplicates=1, unsound=0)
    assert len(list(store.scan(b"\xffi"))) <= 5


def test_an_event_that_was_mended_counts(tmp_path: Path) -> None:
    """An unsound event leaves no id behind: sent again, mended, it counts, also for a worker that reads back."""
    log, store = EmbeddedLog(Home(tmp_path)), LmdbStore(tmp_path / "state")
    events = made(4)
    log.create("interactions", 1)
    rows = event_table(SHOWN.schema, events)
    log.append("interactions", rows.set_column(4, "click", pa.array([0, 1, 7, 0], pa.int8())), key=["user_id"])
    store.apply(offset_name(SHOWN, 0), 0, 4, [])
    append(log, events, partitions=1)
    assert streamed(log, store) == Counter(counted=1, duplicates=3, unsound=0)
    assert_counted(store, events[2:3])


def test_what_came_by_a_file_and_is_pushed_counts_once(tmp_path: Path) -> None:
    """The ids that tables had when state was filled are known to the stream, whichever worker, until the horizon."""
    log, events = EmbeddedLog(Home(tmp_path)), made(40)
    store = filled(events[:10], tmp_path / "online")
    append(log, events[5:12])
    assert streamed(log, store) == Counter(counted=2, duplicates=5, unsound=0)
    append(log, [*events[:10], *events[12:14]])
    assert streamed(log, store) == Counter(counted=2, duplicates=10, unsound=0)
    assert_counted(store, events[:14])


def test_ids_of_files_are_forgotten_past_the_horizon(tmp_path: Path) -> None:
    """Once every partition has moved on by the horizon, the store keeps these ids no longer."""
    log, events = EmbeddedLog(Home(tmp_path)), made(60)
    store = filled(events[:10], tmp_path / "online")
    append(log, events[10:20], partitions=1)
    assert streamed(log, store, horizon=15)["counted"] == 10
    assert list(store.scan(b"\xffl"))
    append(log, events[20:40], partitions=1)
    assert streamed(log, store, horizon=15)["counted"] == 20
    assert not list(store.scan(b"\xffl"))
    append(log, events[:2], partitions=1)
    assert streamed(log, store, horizon=15) == Counter(counted=2, duplicates=0, unsound=0)


def test_a_partition_that_comes_back_brings_the_ids_of_meanwhile(tmp_path: Path) -> None:
    """What another worker counted while it had a partition is known to the one that has it again."""
    log, store, events = EmbeddedLog(Home(tmp_path)), LmdbStore(tmp_path / "state"), made(40)
    log.create("interactions", 2)
    first = StreamWorker(PLAN, log, store, "g", horizon=100)
    append(log, events[:20], partitions=2)
    assert drain(first)["counted"] == 20
    second = StreamWorker(PLAN, log, store, "g", horizon=100)
    counted = 0
    while not counted:  # until the second has taken over a partition, and counted there
        counted = second.step(0.05).counted
        first.step(0.05)
        append(log, events[20:30], partitions=2)
    second.close()
    append(log, events, partitions=2)
    drain(first)
    assert_counted(store, events)


def test_what_decides_is_the_log_not_when_a_worker_began(tmp_path: Path) -> None:
    """An id that came again within the horizon of its last delivery is passed over, with and without a restart."""
    for restarted in (False, True):
        home = tmp_path / str(restarted)
        log, store, events = EmbeddedLog(Home(home)), LmdbStore(home / "state"), made(120)
        append(log, [*events[:60], events[0], *events[60:110]], partitions=1)
        worker = StreamWorker(PLAN, log, store, "g", horizon=100)
        assert drain(worker)["duplicates"] == 1
        if restarted:
            worker.close()
            store.apply("other", 0, 1, [(key, None) for key, _ in list(store.scan(b"\xffi"))])
            worker = StreamWorker(PLAN, log, store, "g", horizon=100)
        append(log, [events[0]], partitions=1)
        assert drain(worker) == Counter(counted=0, duplicates=1, unsound=0)
        worker.close()
